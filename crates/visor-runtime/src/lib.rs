//! The backend-agnostic runner: one request, from picture bytes and a question to an answer.
//!
//! A [`Runner`] owns a model behind the [`Backbone`] trait, a tokenizer and the family's picture
//! and prompt preparation. [`Runner::prepare`] does everything that needs no tensor: it decodes
//! pictures, encodes the prompt, resolves the budget and predicts what it costs; [`Runner::plan`]
//! does as much of it as needs no pixel.
//! [`Runner::generate`] is a plain iterator of [`Event`]s: the caller decides about threads and
//! streaming.
//!
//! What changes during a request belongs to the request: models are `&self`, the state before the
//! decision is consumed by it, and what decodes holds no picture. What outlives a request depends on
//! its pictures alone: a runner may keep them encoded, and a [`PreparedImage`] holds one for whoever
//! asks about it again.
//!
//! This crate knows neither files nor model families, and [`device`] is the only place of the
//! workspace that names a backend.

mod budget;
mod cancel;
mod card;
mod costs;
pub mod device;
mod dtype;
mod error;
mod generate;
mod lowered;
mod model;
mod outcome;
mod patches;
mod picture_cache;
mod pictures;
mod policy;
mod prepared_image;
mod preparing;
mod request;
mod rules;
mod runner;
mod sample;
mod sampler;
mod settings;
mod stages;
mod stop;
mod timing;
mod warm_up;

pub use budget::{Decided, Level};
pub use cancel::{Cancel, Cancelled};
pub use card::{DenseMode, ModelCard, SelectorCard};
pub use costs::{CostTable, LevelCost};
pub use device::{DeviceError, DeviceInfo, DeviceRequest};
pub use dtype::{Dtype, UnknownDtype};
pub use error::RunError;
pub use generate::{Event, Generation};
pub use model::{
    Backbone, BackboneError, Encode, Logits, Prefill, Remaining, RoutingState, RoutingToken,
    Selection, Start, Step, together,
};
pub use outcome::{FinishReason, Outcome, PictureUse, RunCost};
pub use picture_cache::PictureCacheStats;
pub use policy::{BudgetPolicy, PolicyChoice, PolicyError};
pub use prepared_image::PreparedImage;
pub use request::{PictureInput, Planned, Prepared, Request, Wording};
pub use rules::{RepetitionPenalty, ScoreRule};
pub use runner::Runner;
pub use sample::{Phase, Sample};
pub use sampler::{Sampler, Sampling, SamplingError, Temperature, TopK, TopP};
pub use settings::{DEFAULT_MAX_NEW_TOKENS, GenerationSettings};
pub use stop::{EmptyStop, StopString};
pub use timing::Timing;
