//! Why a request failed.

use crate::cancel::Cancelled;
use crate::model::BackboneError;
use crate::policy::PolicyError;
use thiserror::Error;
use visor_core::cost::Flops;
use visor_core::{BudgetError, Patches};
use visor_processor::{ImageProcessorError, PictureError, PromptError, TokenizerError};

/// Why a request failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A picture cannot be read.
    #[error("picture {number} cannot be read: {source}", number = index + 1)]
    Picture {
        /// Which, counted from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: PictureError,
    },
    /// A picture was encoded by another runner.
    #[error(
        "picture {number} was prepared by another model, or another copy of this one: prepare it \
         with the model that is asked", number = index + 1
    )]
    ForeignImage {
        /// Which, counted from 0.
        index: usize,
    },
    /// A picture was prepared for a prompt that cuts pictures in another way.
    #[error(
        "picture {number} was prepared to be cut in another way: a model may cut a picture by how \
         many there are in its prompt and by the most tiles that are allowed; prepare it for \
         {pictures} pictures and the same limit", number = index + 1
    )]
    OtherSetting {
        /// Which, counted from 0.
        index: usize,
        /// Pictures in the prompt.
        pictures: usize,
    },
    /// The model's own picture preparation cannot be followed.
    #[error(transparent)]
    ImageProcessor(#[from] ImageProcessorError),
    /// The prompt cannot be asked.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Prompt and answer together are longer than the context.
    #[error(
        "the prompt has {prompt} tokens, of which {visual} are visual, and {new} new ones were \
         asked for: the context of this model holds {context} in all; ask for at most {} new \
         tokens", context - prompt
    )]
    Context {
        /// Tokens of the prompt, visual ones included.
        prompt: usize,
        /// Visual tokens among them.
        visual: usize,
        /// New tokens asked for.
        new: usize,
        /// What the context holds.
        context: usize,
    },
    /// The budget cannot be had.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// A budget was asked for by name and costs more than the ceiling.
    #[error(
        "`{name}` costs {cost} for this prompt, above the ceiling of {ceiling}: raise \
         --max-gflops to at least {:.6}, or ask for a cheaper budget", rounded_up(*cost)
    )]
    AboveCeiling {
        /// The budget.
        name: String,
        /// What it costs, end-to-end cold prefill.
        cost: Flops,
        /// The ceiling.
        ceiling: Flops,
    },
    /// Patches are to be chosen, and the model has nothing that chooses.
    #[error("this model has no patch selector: leave out `--patches {asked}`, or ask for all")]
    NoSelector {
        /// What was asked for.
        asked: Patches,
    },
    /// More patches than there are.
    #[error(
        "{asked} patches were asked for and the pictures have {n_visual}: ask for at most {n_visual}, \
         for auto or for all"
    )]
    Patches {
        /// Patches asked for.
        asked: usize,
        /// Visual tokens of the pictures.
        n_visual: usize,
    },
    /// Patches are to be chosen at a level where nothing cross-attends.
    #[error(
        "`dense` has no cross-attention that could read fewer patches: leave out \
         `--patches {asked}`, or ask for a rung"
    )]
    DensePatches {
        /// What was asked for.
        asked: Patches,
    },
    /// Patches are asked for twice: by their number, and with a pair.
    #[error(
        "`{name}` says itself how many patches are read: leave out `--patches {asked}`, or ask for \
         a rung by name"
    )]
    PairPatches {
        /// What was asked for.
        asked: Patches,
        /// The pair, or one that the policy may choose.
        name: String,
    },
    /// The policy did not decide.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The request was called off.
    #[error(transparent)]
    Cancelled(Cancelled),
    /// The model failed.
    #[error(transparent)]
    Backbone(BackboneError),
    /// The model's own rules forbid every token.
    #[error(
        "no token is left for token {step} of the answer: `generation_config.json` forbids all of \
         them; take `no_repeat_ngram_size` or `suppress_tokens` out of it"
    )]
    NothingAllowed {
        /// Which token of the answer, counted from 1.
        step: usize,
    },
    /// The model gave scores that are not numbers.
    #[error(
        "the scores of token {step} are not numbers: the weights are damaged or overflow in this \
         number format"
    )]
    NonFinite {
        /// Which token of the answer, counted from 1.
        step: usize,
    },
}

/// In GFLOPs with six decimals, never less than it is: the number must do as a ceiling.
fn rounded_up(cost: Flops) -> f64 {
    cost.0.div_ceil(1000) as f64 / 1e6
}

impl From<BackboneError> for RunError {
    fn from(error: BackboneError) -> Self {
        match error {
            BackboneError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Backbone(other),
        }
    }
}

impl From<Cancelled> for RunError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}
