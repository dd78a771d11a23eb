//! A prompt on its way to the first layer: checked, embedded, placed.

use super::VisorModel;
use super::kept::Keeping;
use super::prompt::{token_map, with_routing_token};
use super::states::{Begun, EncodedPictures, Placed, Room};
use crate::TokenMap;
use crate::cache::LayerCache;
use crate::error::ModelError;
use crate::layer::Streams;
use crate::placement::Placement;
use crate::ragged::pack;
use burn::tensor::{Int, Tensor, TensorData};
use visor_core::{Padding, Schedule};
use visor_processor::ImageSpan;
use visor_runtime::{Prefill, RoutingToken, Start};

/// What fills up the rows of a text. Every vocabulary has it, and nobody reads it.
const FILLING: u32 = 0;

/// Which of a text's tokens is the routing token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RoutedAs {
    Nothing,
    LastToken,
}

impl VisorModel {
    /// Everything before the first layer.
    pub(super) fn begin<'a>(
        &self,
        sample: &Prefill<'a, EncodedPictures>,
    ) -> Result<(Begun<'a>, Streams), ModelError> {
        let Prefill { prompt, start, capacity, cancel, .. } = *sample;
        let visual = self.visual(prompt.images(), &sample.visual, start)?; // [1, V, E]
        prompt.text_ids().iter().try_for_each(|&id| self.expect_known(id))?;
        let mut ids = prompt.text_ids().to_vec();
        ids.resize(self.card.padding.prompt(prompt.n_text()), FILLING);
        let text = self.embed(&ids); // [1, T, E]
        let wanted = prompt.n_text();
        if wanted > capacity {
            return Err(ModelError::CacheFull { capacity, wanted });
        }
        let n_visual = prompt.n_visual();
        let (prefix, decision, routing) = match start {
            Start::Budgeted { ladder, routing, .. } => {
                (ladder.schedule(ladder.cheapest()), ladder.decision_layer().0, routing)
            }
            Start::Dense => (Schedule::dense(self.network.decoder().n_layers()), 0, None),
        };
        let choice = match start {
            Start::Budgeted { ladder, patches, .. } if n_visual > 0 => {
                self.choice(patches, ladder, prompt)?
            }
            Start::Budgeted { .. } | Start::Dense => None,
        };
        let room = Room { n_text: capacity, n_visual, next_position: prompt.len() };
        let mut caches = self.caches(&prefix, room);
        caches.truncate(decision);
        let mut kept = match sample.visual.as_slice() {
            [only] => Keeping::of(only, prompt, &self.card.shape.decoder),
            _ => None,
        };
        if let Some(kept) = &mut kept {
            kept.hand_out(&prefix, 0..decision, &mut caches)?;
        }
        let map = token_map(prompt);
        let (text, routed) = match routing {
            None => (text, None),
            Some(routing) => {
                let at = self.placed_as(with_routing_token(&map, prompt), RoutedAs::LastToken);
                (self.append(text, prompt.n_text(), routing)?, Some(at)) // [1, T + 1, E]
            }
        };
        let at = self.placed_as(map, RoutedAs::Nothing);
        let prompt = Placed { at, caches, prefix, room, selection: None, asked: None, kept };
        Ok((Begun { prompt, decision, routed, choice, cancel }, Streams { text, visual }))
    }

    /// The visual stream of a prompt, `[1, V, E]`, with the conditional position of every picture
    /// where the start has one.
    pub(super) fn visual(
        &self,
        spans: &[ImageSpan],
        pieces: &[&EncodedPictures],
        start: Start<'_>,
    ) -> Result<Option<Tensor<3>>, ModelError> {
        let pictures = pieces.iter().flat_map(|pieces| pieces.pictures());
        let lengths = pictures.flat_map(|picture| {
            let [places, tokens, _] = picture.dims();
            std::iter::repeat_n(tokens, places)
        });
        if !spans.iter().map(|span| span.len).eq(lengths.clone()) {
            let expected = spans.iter().map(|span| span.len).sum();
            return Err(ModelError::VisualTokens { expected, got: lengths.sum() });
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        let sequences = pieces.iter().flat_map(|pieces| pieces.sequences());
        let streams = sequences.map(|picture| match start {
            Start::Budgeted { .. } => self.network.condition(picture),
            Start::Dense => picture,
        });
        Ok(Some(pack(streams.collect(), 1, Padding::None)))
    }

    /// Whether the vocabulary has a token.
    pub(super) fn expect_known(&self, id: u32) -> Result<(), ModelError> {
        let vocab = self.card.vocab;
        if (id as usize) < vocab { Ok(()) } else { Err(ModelError::TokenId { id, vocab }) }
    }

    /// Ids to `[1, T, E]`.
    pub(super) fn embed(&self, ids: &[u32]) -> Tensor<3> {
        let values: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let ids: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(values, [1, ids.len()]), &self.device);
        self.network.decoder().embed(ids)
    }

    /// `[1, T, E]` and the routing token's embedding to `[1, T + 1, E]`: in the row behind the text
    /// that is free, where rows are filled up.
    fn append(
        &self,
        text: Tensor<3>,
        n_text: usize,
        routing: &RoutingToken,
    ) -> Result<Tensor<3>, ModelError> {
        let [_, _, e] = text.dims();
        let RoutingToken(values) = routing;
        if values.len() != e {
            return Err(ModelError::RoutingToken { expected: e, got: values.len() });
        }
        let data = TensorData::new(values.clone(), [1, 1, e]);
        let token = Tensor::from_data(data, &self.device);
        Ok(match self.card.padding {
            Padding::None => Tensor::cat(vec![text, token], 1),
            Padding::Steps => text.slice_assign([0..1, n_text..n_text + 1, 0..e], token),
        })
    }

    /// Where the tokens of a prefill stand.
    fn placed_as(&self, map: TokenMap, routed: RoutedAs) -> Placement {
        let n_asking = usize::from(routed == RoutedAs::LastToken);
        let (rotary, mask, device) = (self.rotary, self.image_mask, &self.device);
        match (self.card.padding, routed) {
            (Padding::None, RoutedAs::Nothing) => self.placement(map),
            (Padding::None, RoutedAs::LastToken) => self.placement(map).with_routing_token(),
            (Padding::Steps, _) => Placement::filled_up(map, n_asking, rotary, mask, device),
        }
    }

    /// The same without padding.
    pub(super) fn placement(&self, map: TokenMap) -> Placement {
        Placement::prefill(&[map], self.rotary, self.image_mask, None, &self.device)
    }

    pub(super) fn caches(&self, schedule: &Schedule, room: Room) -> Vec<LayerCache> {
        let Room { n_text, n_visual, .. } = room;
        LayerCache::for_schedule(schedule, n_text, n_visual)
    }
}
