//! The stages of a batch: encoding, the layers before and after the decision, decode steps.
//!
//! Each stage checks every sample by itself, then runs the network once over those that are sound.

use super::VisorModel;
use super::kept::KeptPicture;
use super::pass::host;
use super::states::{AtDecision, Begun, Decoding, EncodedPictures, Resumed};
use crate::cache::bytes;
use crate::error::ModelError;
use crate::layer::Streams;
use crate::placement::Placement;
use crate::ragged::unpack;
use burn::tensor::Tensor;
use std::sync::Arc;
use visor_core::Padding;
use visor_core::cost::Flops;
use visor_runtime::{
    Backbone, BackboneError, Cancel, Encode, Logits, ModelCard, Prefill, Remaining, RoutingState,
    Selection, Step, together,
};

impl Backbone for VisorModel {
    type Visual = EncodedPictures;
    type AtDecision = AtDecision;
    type Decoding = Decoding;

    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn encode_batch(&self, samples: &[Encode<'_>]) -> Vec<Result<EncodedPictures, BackboneError>> {
        let encoded = self.encode_samples(samples, &mut |_, _| {});
        // Whoever measures this stage wants it done and not queued.
        let synced = self.device.sync().map_err(|error| BackboneError::Failed(Arc::new(error)));
        let pictures = |pictures: Result<Vec<Tensor<3>>, BackboneError>| match pictures? {
            none if none.is_empty() => Err(ModelError::NoPictures.into()),
            pictures => synced.clone().map(|()| EncodedPictures::new(pictures)),
        };
        encoded.into_iter().map(pictures).collect()
    }

    fn keep(&self, visual: EncodedPictures, room: u64) -> EncodedPictures {
        let room = room.saturating_sub(self.visual_bytes(&visual));
        visual.keeping(room)
    }

    fn bare(&self, visual: &EncodedPictures) -> EncodedPictures {
        EncodedPictures::new(visual.pictures().to_vec())
    }

    fn visual_bytes(&self, visual: &EncodedPictures) -> u64 {
        visual.pictures().iter().map(bytes).sum::<u64>()
            + visual.kept().map_or(0, KeptPicture::bytes)
    }

    fn spared(&self, state: &Decoding) -> Flops {
        state.spared
    }

    fn prefill_to_decision_batch(
        &self,
        samples: &[Prefill<'_, EncodedPictures>],
    ) -> Vec<Result<AtDecision, BackboneError>> {
        let begun = samples.iter().map(|sample| Ok(self.begin(sample)?)).collect();
        let reached = together(begun, |begun| self.pass(begun, Begun::before_choice));
        let chosen = reached.into_iter().map(|reached| {
            let (mut begun, streams) = reached?;
            self.choose(&mut begun, &streams);
            Ok((begun, streams))
        });
        let reached = together(chosen.collect(), |chosen| self.pass(chosen, Begun::behind_choice));
        let settled = |(begun, streams): (Begun<'_>, Streams)| begun.settle(streams);
        reached.into_iter().map(|reached| reached.map(settled)).collect()
    }

    fn selection<'a>(&self, state: &'a AtDecision) -> Option<&'a Selection> {
        state.prompt.selection.as_ref()
    }

    fn select(&self, state: &mut AtDecision, patches: usize) -> Result<(), BackboneError> {
        Ok(self.choose_late(&mut state.prompt, patches)?)
    }

    fn routing_state(&self, state: &AtDecision) -> RoutingState {
        let mean = |visual: Tensor<3>| host(visual.mean_dim(1)); // [1, 1, E]
        RoutingState {
            token: state.routing.clone().map(host),
            visual_mean: state.streams.visual.clone().map(mean),
        }
    }

    fn prefill_rest_batch(
        &self,
        samples: Vec<Remaining<'_, AtDecision>>,
    ) -> Vec<Result<(Logits, Decoding), BackboneError>> {
        let resume = |Remaining { state, schedule, cancel }| {
            let AtDecision { streams, prompt, .. } = state;
            let caches = self.caches(schedule, prompt.room);
            Ok((Resumed::new(prompt, schedule, caches, cancel)?, streams))
        };
        let resumed = samples.into_iter().map(resume).collect();
        together(resumed, |resumed| {
            let (mut resumed, streams): (Vec<Resumed<'_>>, Vec<_>) = resumed.into_iter().unzip();
            let pending = resumed.iter_mut().zip(streams);
            let pending = pending.map(|(resumed, streams)| resumed.pending(streams)).collect();
            let reached = self.run(pending);
            // Only who came to the end has caches that are whole, for itself and for others.
            let done = resumed.into_iter().zip(reached);
            self.scored(done.map(|(resumed, reached)| {
                let last = resumed.last_row();
                reached.map(|Streams { text, .. }| (resumed.decoding(), text.narrow(1, last, 1)))
            }))
        })
    }

    fn decode_step_batch(
        &self,
        samples: &mut [Step<'_, Decoding>],
    ) -> Vec<Result<Logits, BackboneError>> {
        let checked = samples.iter_mut().map(|Step { state, token }| {
            self.expect_known(*token)?;
            state.caches.iter().try_for_each(|cache| cache.own().expect_room(1))?;
            Ok((&mut **state, *token))
        });
        together(checked.collect(), |checked| {
            let (mut states, tokens): (Vec<&mut Decoding>, Vec<u32>) = checked.into_iter().unzip();
            let filled_up = self.card.padding == Padding::Steps;
            let memory = |state: &Decoding| filled_up.then(|| state.memory_of_step());
            let positions: Vec<_> =
                states.iter().map(|state| (state.position, memory(state))).collect();
            let at = Placement::steps(&positions, self.rotary, &self.device);
            let text = unpack(self.embed(&tokens), &vec![1; tokens.len()], 1); // [1, 1, E] each
            let never = Cancel::new();
            let pending = states.iter_mut().zip(text).zip(&at);
            let pending = pending.map(|((state, text), at)| state.pending(text, at, &never));
            let reached = self.run(pending.collect());
            let step = |scored| {
                let (logits, state): (Logits, &mut Decoding) = scored?;
                state.position += 1;
                Ok(logits)
            };
            let reached = states.into_iter().zip(reached);
            let reached =
                reached.map(|(state, reached)| reached.map(|Streams { text, .. }| (state, text)));
            self.scored(reached).into_iter().map(step).collect()
        })
    }
}
