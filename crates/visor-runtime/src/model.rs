//! What a model must be able to do to be run: the trait and its few types.

use crate::cancel::{Cancel, Cancelled};
use crate::card::ModelCard;
use thiserror::Error;
use visor_core::{Ladder, Schedule};
use visor_processor::{EncodedPrompt, ProcessedPicture};

/// Why a pass of the network failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The request was called off.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The schedule contradicts layers that have run already.
    #[error(
        "the schedule differs from the one that layers 0..{done} have run by: a decision is made \
         once, at the decision layer"
    )]
    Schedule {
        /// Layers that have run.
        done: usize,
    },
    /// The network's own error.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// The scores of the next token, one for every id of the vocabulary, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits(pub Vec<f32>);

/// The embedding of the routing token, which a policy brings along. It stands behind the prompt at
/// the next position; no other token attends to it and no cache keeps it (method, section 4).
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingToken(pub Vec<f32>);

/// How a prefill begins.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// The layers that all rungs of a ladder share, on conditional positions.
    Budgeted {
        /// The ladder.
        ladder: &'a Ladder,
        /// Rides along as the last row until the decision.
        routing: Option<&'a RoutingToken>,
    },
    /// The stock model: no conditional position, every layer self-attention. There is nothing to
    /// decide, so no layer runs before the decision.
    Dense,
}

/// What a policy may look at when a sample reaches the decision layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutingState {
    /// The routing token's state, where one rode along.
    pub token: Option<Vec<f32>>,
    /// The mean of the visual tokens, where there is a picture.
    pub visual_mean: Option<Vec<f32>>,
}

/// A vision-language model whose layers run as a schedule says.
///
/// Weights are `&self`. A sample moves through three types that forget: `AtDecision` is consumed,
/// so that what has been decided cannot be decided twice, and `Decoding` holds caches alone, no
/// picture.
pub trait Backbone {
    /// Encoded pictures. They depend on no question and serve any number of prompts.
    type Visual;
    /// A sample that has reached the decision layer.
    type AtDecision;
    /// A sample that generates.
    type Decoding;

    /// What is known about the model.
    fn card(&self) -> &ModelCard;

    /// Pictures to visual tokens, before any position is added.
    ///
    /// # Errors
    /// Of pictures that were prepared for another model, or [`BackboneError::Cancelled`], which is
    /// looked for between layers and between tiles.
    fn encode(
        &self,
        pictures: &[ProcessedPicture],
        cancel: &Cancel,
    ) -> Result<Self::Visual, BackboneError>;

    /// Runs the layers before the decision. `capacity` is how many text tokens the caches must
    /// hold in the end, the prompt's included.
    ///
    /// # Errors
    /// If the pictures are not those of the prompt, a token is outside the vocabulary, or
    /// [`BackboneError::Cancelled`].
    fn prefill_to_decision(
        &self,
        prompt: &EncodedPrompt,
        visual: Option<&Self::Visual>,
        start: Start<'_>,
        capacity: usize,
        cancel: &Cancel,
    ) -> Result<Self::AtDecision, BackboneError>;

    /// What a policy may look at.
    fn routing_state(&self, state: &Self::AtDecision) -> RoutingState;

    /// Runs the remaining layers by `schedule` and gives the scores of the first token.
    ///
    /// # Errors
    /// [`BackboneError::Schedule`] or [`BackboneError::Cancelled`].
    fn prefill_rest(
        &self,
        state: Self::AtDecision,
        schedule: &Schedule,
        cancel: &Cancel,
    ) -> Result<(Logits, Self::Decoding), BackboneError>;

    /// Takes one generated token and gives the scores of the next.
    ///
    /// # Errors
    /// If the token is outside the vocabulary or the caches are full.
    fn decode_step(&self, state: &mut Self::Decoding, token: u32) -> Result<Logits, BackboneError>;
}
