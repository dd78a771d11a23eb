//! The choice of patches on the way of a batch (QGSA; method, section 5).

use super::VisorModel;
use super::pass::host;
use super::states::{Begun, Choice};
use crate::error::ModelError;
use crate::layer::Streams;
use crate::selector::best;
use visor_core::{LayerMode, Patches, Schedule};
use visor_processor::EncodedPrompt;
use visor_runtime::Selection;

impl VisorModel {
    /// What is to be chosen of a prompt with pictures, whose layers before `decision` run by
    /// `prefix`.
    pub(super) fn choice(
        &self,
        patches: Patches,
        prefix: &Schedule,
        decision: usize,
        prompt: &EncodedPrompt,
    ) -> Result<Option<Choice>, ModelError> {
        let count = match patches {
            Patches::All => return Ok(None),
            Patches::Auto => None,
            Patches::Count(count) => Some(count),
        };
        let n_visual = prompt.n_visual();
        if let Some(asked) = count.filter(|count| count.get() > n_visual) {
            return Err(ModelError::Patches { asked: asked.get(), n_visual });
        }
        let modes = prefix.modes();
        let reading = modes.iter().position(|mode| *mode == LayerMode::CrossAttention);
        let layer = reading.filter(|layer| *layer < decision && self.network.selector().is_some());
        let layer = layer.ok_or(ModelError::NoSelector)?;
        Ok(Some(Choice { layer, count, question: prompt.question() }))
    }

    /// Chooses in front of the first layer that reads.
    pub(super) fn choose(&self, begun: &mut Begun<'_>, streams: &Streams) {
        let (Some(choice), Some(visual), Some(selector)) =
            (&begun.choice, &streams.visual, self.network.selector())
        else {
            return;
        };
        let question = streams.text.clone().slice_dim(1, choice.question.clone()); // [1, L, E]
        let scored = selector.forward(question, None, visual.clone());
        let scores = host(scored.logits);
        let kappa = host(scored.kappa).first().copied().unwrap_or(f32::NAN);
        let k = choice.count.map_or(kappa.ceil() as usize, |count| count.get());
        let patches = best(&scores, k.max(1));
        begun.select(Selection { patches, scores, kappa }, &self.device);
    }
}
