//! Training of the universal network on generated tasks.
//!
//! One network is trained for all budgets at once by the sandwich rule (method, section 3), with a
//! curriculum and with dense grounding supervision that the generator makes possible: labels of
//! single patches. The latter two are this project's, not the papers'.

pub mod analysis;
pub mod batch;
pub mod convert;
pub mod data;
mod error;
pub mod evaluate;
pub mod export;
pub mod int8;
pub mod ladder;
pub mod leak;
mod looks;
pub mod loss;
pub mod optimizer;
pub mod outcomes;
pub mod pass;
pub mod policy;
pub mod recipe;
pub mod record;
pub mod reduction;
mod rewrite;
pub mod run;
mod saved;
pub mod schedule;
pub mod selector;
pub mod state;
mod trained;
pub mod trainer;
pub mod tuning;
pub mod vocabulary;

pub use error::TrainError;
pub use recipe::{Arm, Recipe};
pub use trainer::{StepReport, Trainer};
#[doc(inline)]
pub use visor_checkpoint::{Checkpoint, Source};

/// The sizes of a checkpoint's network.
///
/// # Errors
/// Of a configuration that cannot be built.
pub fn model_config(checkpoint: &Checkpoint) -> Result<visor_model::ModelConfig, TrainError> {
    Ok(visor_model::Blueprint::read(checkpoint)?.config)
}
