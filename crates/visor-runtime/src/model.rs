//! What a model must be able to do to be run: the trait and its few types.

use crate::cancel::{Cancel, Cancelled};
use crate::card::ModelCard;
use std::sync::Arc;
use thiserror::Error;
use visor_core::cost::Flops;
use visor_core::{Ladder, Patches, Schedule};
use visor_processor::{EncodedPrompt, ProcessedPicture};

/// Why a pass of the network failed. Clones tell the samples that shared the pass.
#[derive(Clone, Debug, Error)]
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
    Failed(Arc<dyn std::error::Error + Send + Sync>),
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
        /// What cross-attention may read.
        patches: Patches,
    },
    /// The stock model: no conditional position, every layer self-attention. There is nothing to
    /// decide, so no layer runs before the decision.
    Dense,
}

/// Pictures that are to be encoded: a sample of a batch.
#[derive(Clone, Debug)]
pub struct Encode<'a> {
    /// The pictures, in their order.
    pub pictures: &'a [ProcessedPicture],
    /// The switches of those who wait for them: the sample is called off when all of them are.
    pub owners: Vec<&'a Cancel>,
}

impl Encode<'_> {
    /// Whether nobody waits for it any more.
    pub fn is_called_off(&self) -> bool {
        self.owners.iter().all(|owner| owner.is_cancelled())
    }
}

/// A prompt that is to be prefilled: a sample of a batch. `V` is [`Backbone::Visual`].
#[derive(Clone, Debug)]
pub struct Prefill<'a, V> {
    /// The prompt.
    pub prompt: &'a EncodedPrompt,
    /// Its pictures in their order, in any number of pieces; a piece may serve several samples.
    pub visual: Vec<&'a V>,
    /// How it begins.
    pub start: Start<'a>,
    /// How many text tokens the caches must hold in the end, the prompt's included.
    pub capacity: usize,
    /// Calls the sample off.
    pub cancel: &'a Cancel,
}

/// A decided sample whose remaining layers are to run. `S` is [`Backbone::AtDecision`].
#[derive(Debug)]
pub struct Remaining<'a, S> {
    /// The sample at the decision layer.
    pub state: S,
    /// What was decided, for all layers.
    pub schedule: &'a Schedule,
    /// Calls the sample off.
    pub cancel: &'a Cancel,
}

/// A sample that takes a generated token. `D` is [`Backbone::Decoding`].
#[derive(Debug)]
pub struct Step<'a, D> {
    /// The sample.
    pub state: &'a mut D,
    /// The token.
    pub token: u32,
}

/// What a policy may look at when a sample reaches the decision layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutingState {
    /// The routing token's state, where one rode along.
    pub token: Option<Vec<f32>>,
    /// The mean of the visual tokens, where there is a picture.
    pub visual_mean: Option<Vec<f32>>,
}

/// The patches that a question has chosen (QGSA; method, section 5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The chosen visual tokens of all pictures, in their order.
    pub patches: Vec<usize>,
    /// How much the question wants each visual token, of mean 0.
    pub scores: Vec<f32>,
    /// How many the selector finds enough, before it is rounded up; also where a number was asked
    /// for.
    pub kappa: f32,
}

/// A vision-language model whose layers run as a schedule says.
///
/// Weights are `&self`. A sample moves through three types that forget: `AtDecision` is consumed,
/// so that what has been decided cannot be decided twice, and `Decoding` holds caches alone, no
/// picture. Every stage takes a batch of samples; a single sample is a batch of one.
pub trait Backbone {
    /// Encoded pictures. They depend on no question and serve any number of prompts, on any thread.
    type Visual: Send + Sync + 'static;
    /// A sample that has reached the decision layer.
    type AtDecision;
    /// A sample that generates.
    type Decoding;

    /// What is known about the model.
    fn card(&self) -> &ModelCard;

    /// Pictures to visual tokens, before any position is added. Tiles of all samples run side by
    /// side, as many at once as a bound on memory allows. A sample that fails leaves the others
    /// unharmed.
    ///
    /// One result a sample, in their order.
    ///
    /// # Errors
    /// Of a sample: without pictures, or with one that was prepared for another model, or
    /// [`BackboneError::Cancelled`], which is looked for between layers and between tiles.
    fn encode_batch(&self, samples: &[Encode<'_>]) -> Vec<Result<Self::Visual, BackboneError>>;

    /// Encoded pictures that will be kept for other prompts: from now on what layers make of them
    /// may stay with them, as long as all of it takes no more than `room` bytes.
    fn keep(&self, visual: Self::Visual, room: u64) -> Self::Visual;

    /// The pictures alone, without what has come to stay with them.
    fn bare(&self, visual: &Self::Visual) -> Self::Visual;

    /// Bytes that pictures take, with what has come to stay with them.
    fn visual_bytes(&self, visual: &Self::Visual) -> u64;

    /// Runs the layers before the decision for every sample of a batch, whatever their lengths and
    /// whatever they will run at. What has weights runs once for all of them; each attends to its
    /// own tokens, as if it were alone. A sample that fails leaves the others unharmed.
    ///
    /// One result a sample, in their order.
    ///
    /// # Errors
    /// Of a sample: if the pictures are not those of the prompt, a token is outside the vocabulary,
    /// the caches cannot hold the prompt, or [`BackboneError::Cancelled`]. Between layers a
    /// cancellation is looked for while the pass serves nobody else; a sample of others that go on
    /// learns of it at the end of the pass.
    fn prefill_to_decision_batch(
        &self,
        samples: &[Prefill<'_, Self::Visual>],
    ) -> Vec<Result<Self::AtDecision, BackboneError>>;

    /// What cross-attention reads of the pictures; `None` where it reads everything.
    fn selection<'a>(&self, state: &'a Self::AtDecision) -> Option<&'a Selection>;

    /// Lets the question choose `patches` of the visual tokens now, for the layers that are left:
    /// what a pair of rung and patches has decided. Nothing has been chosen before.
    ///
    /// # Errors
    /// If nothing chooses patches here, or there are fewer of them.
    fn select(&self, state: &mut Self::AtDecision, patches: usize) -> Result<(), BackboneError>;

    /// What a policy may look at.
    fn routing_state(&self, state: &Self::AtDecision) -> RoutingState;

    /// Runs the remaining layers, each sample by its own schedule, and gives the scores of the first
    /// tokens. Samples before which the same layers lie run together, whatever their schedules.
    ///
    /// One result a sample, in their order.
    ///
    /// # Errors
    /// Of a sample: [`BackboneError::Schedule`], or [`BackboneError::Cancelled`] as in
    /// [`prefill_to_decision_batch`](Self::prefill_to_decision_batch).
    fn prefill_rest_batch(
        &self,
        samples: Vec<Remaining<'_, Self::AtDecision>>,
    ) -> Vec<Result<(Logits, Self::Decoding), BackboneError>>;

    /// FLOPs that the prefill of a sample did not execute, because what they give was made of its
    /// pictures before and is kept with them.
    fn spared(&self, state: &Self::Decoding) -> Flops;

    /// Takes one generated token of every sample and gives the scores of the next ones. A step has
    /// the same weights at every rung: all samples share it, each reads its own caches.
    ///
    /// One result a sample, in their order.
    ///
    /// # Errors
    /// Of a sample: if the token is outside the vocabulary or the caches are full.
    fn decode_step_batch(
        &self,
        samples: &mut [Step<'_, Self::Decoding>],
    ) -> Vec<Result<Logits, BackboneError>>;

    /// [`encode_batch`](Self::encode_batch) of one sample.
    ///
    /// # Errors
    /// As of a sample of a batch.
    fn encode(
        &self,
        pictures: &[ProcessedPicture],
        cancel: &Cancel,
    ) -> Result<Self::Visual, BackboneError> {
        only(self.encode_batch(&[Encode { pictures, owners: vec![cancel] }]))
    }

    /// [`prefill_to_decision_batch`](Self::prefill_to_decision_batch) of one sample. `capacity` is
    /// how many text tokens the caches must hold in the end, the prompt's included.
    ///
    /// # Errors
    /// As of a sample of a batch.
    fn prefill_to_decision(
        &self,
        prompt: &EncodedPrompt,
        visual: Option<&Self::Visual>,
        start: Start<'_>,
        capacity: usize,
        cancel: &Cancel,
    ) -> Result<Self::AtDecision, BackboneError> {
        let visual = visual.into_iter().collect();
        only(self.prefill_to_decision_batch(&[Prefill { prompt, visual, start, capacity, cancel }]))
    }

    /// [`prefill_rest_batch`](Self::prefill_rest_batch) of one sample.
    ///
    /// # Errors
    /// As of a sample of a batch.
    fn prefill_rest(
        &self,
        state: Self::AtDecision,
        schedule: &Schedule,
        cancel: &Cancel,
    ) -> Result<(Logits, Self::Decoding), BackboneError> {
        only(self.prefill_rest_batch(vec![Remaining { state, schedule, cancel }]))
    }

    /// [`decode_step_batch`](Self::decode_step_batch) of one sample.
    ///
    /// # Errors
    /// As of a sample of a batch.
    fn decode_step(&self, state: &mut Self::Decoding, token: u32) -> Result<Logits, BackboneError> {
        only(self.decode_step_batch(&mut [Step { state, token }]))
    }
}

/// Runs together the samples that have not failed before, if there are any; results are in the order of `samples`.
///
/// # Panics
/// If `run` gives fewer results than it gets samples.
pub fn together<S, T, E>(
    samples: Vec<Result<S, E>>,
    run: impl FnOnce(Vec<S>) -> Vec<Result<T, E>>,
) -> Vec<Result<T, E>> {
    let (mut sound, mut failed) = (Vec::new(), Vec::new());
    for sample in samples {
        match sample {
            Ok(sample) => {
                sound.push(sample);
                failed.push(None);
            }
            Err(error) => failed.push(Some(error)),
        }
    }
    let mut results = if sound.is_empty() { Vec::new() } else { run(sound) }.into_iter();
    let result = |error: Option<E>| match error {
        Some(error) => Err(error),
        None => results.next().expect("a batch gives one result a sample"),
    };
    failed.into_iter().map(result).collect()
}

/// The result of a batch of one.
fn only<T>(mut results: Vec<T>) -> T {
    results.pop().expect("a batch gives one result a sample")
}
