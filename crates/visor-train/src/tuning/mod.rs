//! Training of a converted model on a user's own conversations about pictures (method, section 3).
//!
//! [`Material`] makes examples of the data, with prompts that are those of serving. [`Tuner`] trains
//! in two stages: what conversion added, then everything that is not frozen. [`run()`](fn@run) takes
//! it from the first step, or the last that was saved, to the last; [`export`](fn@export) writes the
//! checkpoint.

mod batch;
mod export;
mod features;
mod material;
mod order;
mod recipe;
mod record;
mod run;
mod settings;
mod state;
mod tuner;

pub(crate) use batch::{Frame, Keep, Kept, Lifted, rows, tokens};
pub use batch::{Rows, Sight};
pub use export::export;
pub(crate) use features::maker;
pub use features::{Feature, Features};
pub use material::{Example, Material, PictureFile, Preparing, Shown, Turns};
pub use order::Order;
pub use recipe::{Conversion, DecoderSizes, ModelRecipe};
pub use record::{DataRecord, RungRecord, SCHEMA_VERSION, TuningRecord};
pub use run::{Course, Progress, Rhythm, run};
pub use settings::{Freeze, Settings, Stage, StageSettings};
pub use tuner::{RungScore, Tuner, TunerReport};
