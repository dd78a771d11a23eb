//! A whole model as the runner drives it: a network, its configuration, and the way of one sample.

mod blueprint;
mod end_tokens;
mod prompt;

pub use blueprint::{Blueprint, parameters};

use crate::attention::Heads;
use crate::cache::LayerCache;
use crate::config::ModelConfig;
use crate::decoder::Pass;
use crate::error::ModelError;
use crate::layer::{Refinement, Streams};
use crate::network::{Head, Network};
use crate::placement::Placement;
use crate::rotary::RotaryConfig;
use crate::weights;
use burn::tensor::{Device, Int, Tensor, TensorData};
use prompt::{token_map, with_routing_token};
use std::ops::Range;
use visor_checkpoint::{Checkpoint, Verified};
use visor_core::{ImageMask, Schedule};
use visor_processor::{EncodedPrompt, ImageSpan, ProcessedPicture};
use visor_runtime::{
    Backbone, BackboneError, Cancel, Logits, ModelCard, RoutingState, RoutingToken, Start,
};

/// A model of any family, ready to run.
#[derive(Debug)]
pub struct VisorModel {
    network: Network,
    card: ModelCard,
    heads: Heads,
    rotary: RotaryConfig,
    image_mask: ImageMask,
    device: Device,
}

/// What became of a checkpoint's files when a model was loaded from them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadReport {
    /// What became of the tensors.
    pub weights: visor_checkpoint::LoadReport,
    /// How the files were checked, and what they are.
    pub verified: Verified,
}

/// Encoded pictures: `[pictures, N, E]`, without conditional position.
#[derive(Clone, Debug)]
pub struct EncodedPictures(Tensor<3>);

/// A sample that has reached the decision layer.
#[derive(Debug)]
pub struct AtDecision {
    /// Without the routing token.
    streams: Streams,
    /// State of the routing token, `[1, 1, E]`.
    routing: Option<Tensor<3>>,
    /// Where the tokens stand, the routing token left out.
    at: Placement,
    /// One cache a layer that has run.
    caches: Vec<LayerCache>,
    /// By what these layers have run.
    prefix: Schedule,
    room: Room,
}

/// A sample that generates: caches and a position, no picture.
#[derive(Debug)]
pub struct Decoding {
    caches: Vec<LayerCache>,
    schedule: Schedule,
    /// Where the next token stands in the dense prompt.
    position: usize,
}

/// What caches must hold, and where the answer begins.
#[derive(Clone, Copy, Debug)]
struct Room {
    n_text: usize,
    n_visual: usize,
    next_position: usize,
}

impl VisorModel {
    /// Loads a model: reads the small files, verifies the weights, fills the network with them,
    /// accounts for every tensor and folds the gates of cross-attention.
    ///
    /// # Errors
    /// A configuration that cannot be built, files that are damaged or contradict each other, or
    /// tensors that are missing, superfluous or of another shape.
    pub fn load(
        checkpoint: &Checkpoint,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        let Blueprint { config, extension, mut card } = Blueprint::read(checkpoint)?;
        let (verified, mut weights) = checkpoint.verified_weights()?;
        let keys = config.family.key_map();
        let head = match weights.contains(&keys.on_disk("head.weight")) {
            true => Head::Own,
            false => blueprint::head(&config),
        };
        let network = Network::new(&config, extension.as_ref(), head, device);
        let network = weights::load(network, &mut weights, &keys, device)?;
        let report = LoadReport { weights: weights.finish()?, verified };
        card.parameters = report.weights.parameters;
        card.sha256 = Some(verified.digests.backbone.to_string());
        Ok((Self::new(network.fold_gates(), &config, card, device), report))
    }

    /// A model of a filled network, whose card says how it is to be run.
    pub fn new(network: Network, config: &ModelConfig, card: ModelCard, device: &Device) -> Self {
        Self {
            network,
            heads: config.text.heads(),
            rotary: config.text.rotary(card.positions.rotary),
            image_mask: card.positions.image_mask,
            card,
            device: device.clone(),
        }
    }

    /// The same under the name that reports shall use.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.card.name = name.into();
        self
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The visual stream of a prompt, `[1, V, E]`, with the conditional position of every picture
    /// where the start has one.
    fn visual(
        &self,
        spans: &[ImageSpan],
        visual: Option<&EncodedPictures>,
        start: Start<'_>,
    ) -> Result<Option<Tensor<3>>, ModelError> {
        let [pictures, tokens, e] = visual.map_or([0, 0, 0], |EncodedPictures(v)| v.dims());
        if spans.len() != pictures || spans.iter().any(|span| span.len != tokens) {
            let expected = spans.iter().map(|span| span.len).sum();
            return Err(ModelError::VisualTokens { expected, got: pictures * tokens });
        }
        let Some(EncodedPictures(visual)) = visual.cloned() else { return Ok(None) };
        let visual = match start {
            Start::Budgeted { .. } => self.network.condition(visual),
            Start::Dense => visual,
        };
        Ok(Some(visual.reshape([1, pictures * tokens, e])))
    }

    /// Ids to `[1, T, E]`.
    fn embed(&self, ids: &[u32]) -> Result<Tensor<3>, ModelError> {
        let vocab = self.card.vocab;
        if let Some(&id) = ids.iter().find(|id| **id as usize >= vocab) {
            return Err(ModelError::TokenId { id, vocab });
        }
        let values: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let ids: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(values, [1, ids.len()]), &self.device);
        Ok(self.network.decoder().embed(ids))
    }

    /// `[1, T, E]` and the routing token's embedding to `[1, T + 1, E]`.
    fn append(&self, text: Tensor<3>, routing: &RoutingToken) -> Result<Tensor<3>, ModelError> {
        let [_, _, e] = text.dims();
        let RoutingToken(values) = routing;
        if values.len() != e {
            return Err(ModelError::RoutingToken { expected: e, got: values.len() });
        }
        let data = TensorData::new(values.clone(), [1, 1, e]);
        Ok(Tensor::cat(vec![text, Tensor::from_data(data, &self.device)], 1))
    }

    fn placement(&self, map: crate::TokenMap) -> Placement {
        Placement::prefill(&[map], self.rotary, self.image_mask, None, &self.device)
    }

    fn caches(&self, schedule: &Schedule, room: Room) -> Vec<LayerCache> {
        let Room { n_text, n_visual, .. } = room;
        LayerCache::for_schedule(schedule, self.heads, n_text, n_visual, &self.device)
    }

    /// Runs some layers, looking for a cancellation between them.
    fn run(
        &self,
        streams: Streams,
        layers: Range<usize>,
        schedule: &Schedule,
        at: &Placement,
        caches: &mut [LayerCache],
        cancel: &Cancel,
    ) -> Result<Streams, ModelError> {
        let pass = Pass { layers, schedule, at, refinement: Refinement::Apply };
        let observe = &mut |_, _: &Streams| Ok(cancel.check()?);
        self.network.decoder().run(streams, &pass, Some(caches), observe)
    }

    /// The scores that follow the last row of the text.
    fn scores(&self, text: Tensor<3>) -> Logits {
        let [_, t, e] = text.dims();
        let last = text.narrow(1, t - 1, 1).reshape([1, e]); // [1, E]
        Logits(host(self.network.logits(last)))
    }
}

impl Backbone for VisorModel {
    type Visual = EncodedPictures;
    type AtDecision = AtDecision;
    type Decoding = Decoding;

    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn encode(
        &self,
        pictures: &[ProcessedPicture],
        cancel: &Cancel,
    ) -> Result<EncodedPictures, BackboneError> {
        let interrupt = || Ok(cancel.check()?);
        let encode = |picture: &ProcessedPicture| {
            interrupt()?;
            let shape @ [tiles, _, _, _] = picture.pixels.shape();
            if tiles != 1 {
                return Err(ModelError::Tiles { got: tiles });
            }
            let data = TensorData::new(picture.pixels.data().to_vec(), shape);
            self.network.encode(Tensor::from_data(data, &self.device), &interrupt) // [1, N, E]
        };
        let encoded = pictures.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        if encoded.is_empty() {
            return Err(ModelError::VisualTokens { expected: 0, got: 0 }.into());
        }
        let encoded = Tensor::cat(encoded, 0); // [pictures, N, E]
        // Whoever measures this stage wants it done and not queued.
        self.device.sync().map_err(|error| BackboneError::Failed(Box::new(error)))?;
        Ok(EncodedPictures(encoded))
    }

    fn prefill_to_decision(
        &self,
        prompt: &EncodedPrompt,
        visual: Option<&EncodedPictures>,
        start: Start<'_>,
        capacity: usize,
        cancel: &Cancel,
    ) -> Result<AtDecision, BackboneError> {
        let visual = self.visual(prompt.images(), visual, start)?; // [1, V, E]
        let text = self.embed(prompt.text_ids())?; // [1, T, E]
        let (n_text, n_visual) = (prompt.n_text(), prompt.n_visual());
        let room = Room { n_text: capacity, n_visual, next_position: prompt.len() };
        let (prefix, decision, routing) = match start {
            Start::Budgeted { ladder, routing } => {
                (ladder.schedule(ladder.cheapest()), ladder.decision_layer().0, routing)
            }
            Start::Dense => (Schedule::dense(self.network.decoder().n_layers()), 0, None),
        };
        let mut caches = self.caches(&prefix, room);
        caches.truncate(decision);
        let map = token_map(prompt);
        let Some(routing) = routing else {
            let at = self.placement(map);
            let streams = Streams { text, visual };
            let streams = self.run(streams, 0..decision, &prefix, &at, &mut caches, cancel)?;
            return Ok(AtDecision { streams, routing: None, at, caches, prefix, room });
        };
        let at = self.placement(with_routing_token(&map, prompt)).with_routing_token();
        let streams = Streams { text: self.append(text, routing)?, visual };
        let Streams { text, visual } =
            self.run(streams, 0..decision, &prefix, &at, &mut caches, cancel)?;
        let routing = Some(text.clone().narrow(1, n_text, 1)); // [1, 1, E]
        let streams = Streams { text: text.narrow(1, 0, n_text), visual };
        Ok(AtDecision { streams, routing, at: self.placement(map), caches, prefix, room })
    }

    fn routing_state(&self, state: &AtDecision) -> RoutingState {
        let mean = |visual: Tensor<3>| host(visual.mean_dim(1)); // [1, 1, E]
        RoutingState {
            token: state.routing.clone().map(host),
            visual_mean: state.streams.visual.clone().map(mean),
        }
    }

    fn prefill_rest(
        &self,
        state: AtDecision,
        schedule: &Schedule,
        cancel: &Cancel,
    ) -> Result<(Logits, Decoding), BackboneError> {
        let AtDecision { streams, at, mut caches, prefix, room, .. } = state;
        let (done, layers) = (caches.len(), self.network.decoder().n_layers());
        if schedule.modes().len() != layers || schedule.modes()[..done] != prefix.modes()[..done] {
            return Err(BackboneError::Schedule { done });
        }
        caches.extend(self.caches(schedule, room).into_iter().skip(done));
        let streams = self.run(streams, done..layers, schedule, &at, &mut caches, cancel)?;
        let decoding =
            Decoding { caches, schedule: schedule.clone(), position: room.next_position };
        Ok((self.scores(streams.text), decoding))
    }

    fn decode_step(&self, state: &mut Decoding, token: u32) -> Result<Logits, BackboneError> {
        let streams = Streams { text: self.embed(&[token])?, visual: None }; // [1, 1, E]
        let at = Placement::step(state.position, self.rotary, &self.device);
        let layers = 0..self.network.decoder().n_layers();
        let (schedule, caches) = (&state.schedule, &mut state.caches);
        let streams = self.run(streams, layers, schedule, &at, caches, &Cancel::new())?;
        state.position += 1;
        Ok(self.scores(streams.text))
    }
}

/// The values of a tensor, on the host.
fn host<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
