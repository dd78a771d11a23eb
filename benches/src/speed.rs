//! How long the stages of a model take: rungs, tiles, batches, threads and devices against each
//! other, and against another program in the same run.
//!
//! [`shapes`] builds models of published sizes with random weights, [`subject`] is what is measured,
//! [`plan`] the cross product and the order of its turns. [`ceilings`] measures what the machine can
//! do at best, [`peer`] runs the other program. [`record`] is computed from these once, and all else
//! reads it alone: tables in [`render`], the comparison with an older one in [`gate`].

pub mod ceilings;
pub mod clock;
pub mod gate;
pub mod peer;
pub mod plan;
pub mod record;
pub mod render;
pub mod shapes;
pub mod stage;
pub mod subject;

use thiserror::Error;
use visor_runtime::{BackboneError, device::DeviceError};

/// What ends a measurement.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpeedError {
    /// No shape has this name.
    #[error("no shape is called `{got}`: expected one of {known}")]
    UnknownShape {
        /// What was asked for.
        got: String,
        /// What there is.
        known: String,
    },
    /// Such a picture has no whole number of patches.
    #[error("{pixels} pixels a side are no whole number of patches of {side} pixels")]
    Pixels {
        /// Pixels a side.
        pixels: usize,
        /// Pixels of a patch.
        side: usize,
    },
    /// No picture gives this many tiles.
    #[error("no picture gives {tiles} tiles with this model: it makes {possible}")]
    Tiles {
        /// What was asked for.
        tiles: usize,
        /// Some numbers that do.
        possible: String,
    },
    /// A budget that the model does not have.
    #[error("no budget is called `{got}`: this model has {known}")]
    Budget {
        /// What was asked for.
        got: String,
        /// What there is.
        known: String,
    },
    /// The context is too short for the prompt and what is decoded.
    #[error(
        "{needed} tokens do not fit the context of {context}: use fewer tiles, fewer \
         `--text-tokens` or fewer `--new-tokens`"
    )]
    Context {
        /// Prompt and steps together.
        needed: usize,
        /// What the model has.
        context: usize,
    },
    /// Threads that cannot be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
    /// The model fails.
    #[error("the model fails")]
    Model(#[from] BackboneError),
    /// A random model cannot be built.
    #[error("the model cannot be built")]
    Build(#[from] visor_model::ModelError),
    /// The embedded configuration of a shape is not one.
    #[error("the configuration of the shape cannot be used")]
    Shape(#[from] visor_checkpoint::CheckpointError),
    /// A ladder cannot be made for the shape.
    #[error("no ladder for the shape")]
    Ladder(#[from] visor_train::TrainError),
    /// The picture cannot be prepared.
    #[error("the picture cannot be prepared")]
    Picture(#[from] visor_processor::ImageProcessorError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A clock that means nothing for several threads.
    #[error("the clock `cpu` adds up what all threads have worked: use it with `--threads 1`")]
    CpuTimeOfThreads,
    /// The other program.
    #[error(transparent)]
    Peer(#[from] peer::PeerError),
    /// Stopped from outside.
    #[error("interrupted; nothing was written")]
    Interrupted,
}
