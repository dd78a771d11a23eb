//! Run a vision-language model at a compute budget chosen per request.
//!
//! A universal checkpoint holds one network and a ladder of budgets that it was trained for. A
//! [`Model`] is loaded once and answers [`Question`]s; each one names a budget, a ceiling in FLOPs,
//! or leaves the choice open, and every [`Answer`] comes with what it cost.
//!
//! ```
//! use visor::{LoadOptions, Model, ModelRef, Picture, Question};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = std::env::temp_dir().join(format!("visor-doc-{}", std::process::id()));
//! # let folder = root.join("model");
//! # visor::fixture::universal(&folder, 1)?;
//! # let model_ref = ModelRef::Folder(folder);
//! # let picture = Picture::from_rgb(1, 1, vec![9, 9, 9])?;
//! let model = Model::load(&model_ref, &LoadOptions::default())?;
//! let question = Question::new("colour at r2 c3 ?").picture(picture).budget("sa1".parse()?);
//! let answer = model.ask(question)?;
//! println!("{} ({} end to end)", answer.text, answer.cost.cold.end_to_end);
//! # std::fs::remove_dir_all(root)?;
//! # Ok(())
//! # }
//! ```
//!
//! A model may name a policy, which decides by picture and question how much is computed where a
//! question leaves its budget open; [`PolicyRef`] says where it is looked for, and
//! [`Question::thrift`] how much cost weighs.
//!
//! [`ModelInfo`] says what every budget of a model would cost before any weight is read.

mod error;
#[doc(hidden)]
pub mod fixture;
mod info;
pub mod memory;
mod model;
mod model_ref;
mod policy;
mod policy_ref;
mod preparation;
mod preprocessor;
mod prompting;
mod question;
mod remark;
mod shipped;
mod verify;

pub use error::Error;
pub use info::{ModelInfo, PictureSize};
pub use model::{LoadOptions, Model, WarmUp};
pub use model_ref::{ModelRef, ModelRefError};
pub use policy::PolicyInfo;
pub use policy_ref::{PolicyRef, PolicyRefError};
pub use preparation::Preparation;
pub use preprocessor::PreprocessorError;
pub use question::{MAX_PICTURE_BYTES, Question};
pub use remark::Remark;
pub use shipped::{shipped_models, shipped_policies};
pub use verify::{Difference as SeamDifference, Parity, ReferenceError, SeamParity};

#[doc(inline)]
pub use visor_checkpoint::hub;
#[doc(inline)]
pub use visor_checkpoint::{
    CheckpointError, Manifest, Provenance, Reading, ReadingStage, SelectorTraining, Sha256Sum,
    Trust, Watch,
};
#[doc(inline)]
pub use visor_core::cost::{Flops, Scopes};
#[doc(inline)]
pub use visor_core::{
    Basis, BudgetError, BudgetRequest, Ladder, LayerMode, Layout, Pair, Patches, PatchesError,
    Rung, RungId, Schedule, Thrift,
};
#[doc(inline)]
pub use visor_model::{LoadReport, ModelError, VisorModel};
#[doc(inline)]
pub use visor_policy::{Difference, Objective, PolicyFileError, PolicyProvenance};
#[doc(inline)]
pub use visor_processor::{
    Arrangement, Cover, Frame, Panel, Picture, PictureError, PictureFormat, PictureLimits,
    PromptError, Setting,
};
#[doc(inline)]
pub use visor_processor::{ChatTemplateError, Message, Part, Role};
#[doc(inline)]
pub use visor_runtime::{
    Cancel, Cancelled, CostTable, Decided, DenseMode, DeviceError, DeviceInfo, DeviceRequest,
    Dtype, EmptyStop, Event, FinishReason, Generation, GenerationSettings, Level, LevelCost,
    ModelCard, Outcome as Answer, PictureCacheStats, PictureInput, PictureUse, Planned,
    PolicyError, Prepared, PreparedImage, RunCost, RunError, Sampling, SamplingError, Selection,
    SelectorCard, StopString, Temperature, Timing, TopK, TopP, UnknownDtype,
};

/// The devices that this binary can use on this machine.
pub fn devices() -> Vec<DeviceInfo> {
    visor_runtime::device::list()
}
