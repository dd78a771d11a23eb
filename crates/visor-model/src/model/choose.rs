//! The choice of patches on the way of a batch (QGSA; method, section 5).

use super::VisorModel;
use super::kept::Keeping;
use super::pass::host;
use super::states::{Asked, Begun, Choice, Number, Placed};
use crate::error::ModelError;
use crate::init::Noise;
use crate::layer::Streams;
use crate::selector::best;
use visor_core::{Ladder, LayerMode, Patches};
use visor_processor::EncodedPrompt;
use visor_runtime::Selection;

impl VisorModel {
    /// What is to be chosen of a prompt with pictures that begins on `ladder`.
    pub(super) fn choice(
        &self,
        patches: Patches,
        ladder: &Ladder,
        prompt: &EncodedPrompt,
    ) -> Result<Option<Choice>, ModelError> {
        let number = match patches {
            Patches::All if ladder.pairs().is_empty() => return Ok(None),
            Patches::All => Number::WithRung,
            Patches::Auto => Number::BySelector,
            Patches::Count(count) => Number::Fixed(self.within(count.get(), prompt.n_visual())?),
            Patches::Random { one_in, draw } => {
                Number::Drawn { count: Patches::drawn(one_in, prompt.n_visual()), draw }
            }
        };
        let decision = ladder.decision_layer().0;
        let schedule = ladder.schedule(ladder.cheapest());
        let modes = &schedule.modes()[..decision];
        let reading = modes.iter().position(|mode| *mode == LayerMode::CrossAttention);
        let layer = match number {
            // Nothing is read of the picture to draw by lot.
            Number::Drawn { .. } => reading.unwrap_or(decision),
            Number::BySelector | Number::Fixed(_) | Number::WithRung => {
                let able = self.network.selector().is_some();
                reading.filter(|_| able).ok_or(ModelError::NoSelector)?
            }
        };
        Ok(Some(Choice { layer, number, question: prompt.question() }))
    }

    /// Chooses in front of the first layer that reads, or notes what will be chosen from.
    pub(super) fn choose(&self, begun: &mut Begun<'_>, streams: &Streams) {
        let (Some(choice), Some(visual)) = (&begun.choice, &streams.visual) else { return };
        let question = streams.text.clone().slice_dim(1, choice.question.clone()); // [1, L, E]
        let asked = Asked { question, visual: visual.clone() };
        let count = match choice.number {
            Number::WithRung => {
                begun.prompt.asked = Some(asked);
                return;
            }
            Number::BySelector => None,
            Number::Fixed(count) => Some(count),
            Number::Drawn { count, draw } => {
                let [_, n_visual, _] = asked.visual.dims();
                begun.select(drawn(n_visual, count, draw), &self.device);
                return;
            }
        };
        if let Some(selection) = self.select_of(&asked, count, begun.prompt.kept.as_mut()) {
            begun.select(selection, &self.device);
        }
    }

    /// Chooses at the decision layer.
    pub(super) fn choose_late(&self, prompt: &mut Placed, count: usize) -> Result<(), ModelError> {
        let asked = prompt.asked.take().ok_or(ModelError::NoSelector)?;
        let [_, n_visual, _] = asked.visual.dims();
        let count = self.within(count, n_visual)?;
        let selection = self.select_of(&asked, Some(count), prompt.kept.as_mut());
        let selection = selection.ok_or(ModelError::NoSelector)?;
        prompt.select(prompt.caches.len(), selection, &self.device);
        Ok(())
    }

    /// The best patches, so many or as many as the selector says; `None` without a selector.
    fn select_of(
        &self,
        asked: &Asked,
        count: Option<usize>,
        kept: Option<&mut Keeping>,
    ) -> Option<Selection> {
        let Asked { question, visual } = asked;
        let selector = self.network.selector()?;
        let keys = || selector.keys(visual.clone()); // [1, V, S]
        let keys = match kept {
            // In front of the first layer that reads nothing has been refined.
            Some(kept) => kept.selector_keys(selector.sizes().shape, keys),
            None => keys(),
        };
        let scored = selector.score(question.clone(), None, keys);
        let scores = host(scored.logits);
        let kappa = host(scored.kappa).first().copied().unwrap_or(f32::NAN);
        let k = count.unwrap_or(kappa.ceil() as usize);
        let patches = best(&scores, k.max(1));
        Some(Selection { patches, scores, kappa })
    }

    fn within(&self, asked: usize, n_visual: usize) -> Result<usize, ModelError> {
        if asked <= n_visual { Ok(asked) } else { Err(ModelError::Patches { asked, n_visual }) }
    }
}

/// So many patches at random.
fn drawn(n_visual: usize, count: usize, draw: u64) -> Selection {
    let mut noise = Noise::new(draw, "random patches");
    let scores: Vec<f32> = (0..n_visual).map(|_| noise.uniform()).collect();
    Selection { patches: best(&scores, count), scores, kappa: count as f32 }
}
