//! What is known about a model before anything runs.

use crate::dtype::Dtype;
use crate::model::Logits;
use crate::rules::{Before, ScoreRule};
use std::borrow::Cow;
use visor_core::cost::{ModelShape, SelectorShape};
use visor_core::{Ladder, Padding, PositionScheme};
use visor_processor::{EncodedPrompt, ImageTokens};

/// Whether a model also runs as the stock model it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenseMode {
    /// Every layer may attend to picture and text together.
    Available,
    /// It was not trained to.
    Unavailable,
}

/// What is known about a patch selector before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorCard {
    /// Sizes, for the cost formulas.
    pub shape: SelectorShape,
    /// Fewest and most patches that it chooses of its own accord from `n_reference`.
    pub range: (usize, usize),
    /// Visual tokens that the range is meant for.
    pub n_reference: usize,
}

impl SelectorCard {
    /// Fewest and most patches that are chosen from `n_visual`: the range grows with the root of
    /// their number (method, section 5).
    pub fn range_of(&self, n_visual: usize) -> (usize, usize) {
        let scale = (n_visual as f64 / self.n_reference as f64).sqrt();
        let scaled = |k: usize| ((k as f64 * scale).ceil() as usize).clamp(1, n_visual.max(1));
        let (k_min, k_max) = self.range;
        (scaled(k_min), scaled(k_max))
    }
}

/// What is known about a model before anything runs: sizes, budgets, names, never a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// The name that reports use.
    pub name: String,
    /// The trained budgets; `None` for a stock model, which runs dense alone.
    pub ladder: Option<Ladder>,
    /// The dense reference.
    pub dense: DenseMode,
    /// What chooses patches; `None` where nothing does and cross-attention reads every one.
    pub selector: Option<SelectorCard>,
    /// Sizes, for the cost formulas.
    pub shape: ModelShape,
    /// Most tokens of prompt and answer together, visual ones included.
    pub context: usize,
    /// Masks and rotary positions.
    pub positions: PositionScheme,
    /// The id that stands for a picture in a prompt.
    pub image_token: u32,
    /// Side of a tile in pixels, as the vision encoder takes it.
    pub tile_side: usize,
    /// Visual tokens of one tile.
    pub tile_tokens: ImageTokens,
    /// Ids that end an answer; possibly none.
    pub eos: Vec<u32>,
    /// What is done to the scores of every next token, in this order.
    pub rules: Vec<ScoreRule>,
    /// Rows of the embedding table: ids beyond it cannot be asked for.
    pub vocab: usize,
    /// Number of weights.
    pub parameters: u64,
    /// The number format of its matrices; activations, keys and values are in single precision.
    pub dtype: Dtype,
    /// Up to which sizes rows and keys are filled up where it runs; not at all before that is known.
    pub padding: Padding,
    /// SHA-256 of the backbone, hexadecimal; `None` before the weights have been read.
    pub sha256: Option<String>,
    /// SHA-256 of the patch selector, hexadecimal; `None` without one, or before the weights have
    /// been read.
    pub selector_sha256: Option<String>,
    /// The policy that the model names as its own.
    pub default_policy: Option<String>,
}

impl ModelCard {
    /// What the rules make of the scores of the token behind a prompt and the answer so far.
    pub fn ruled<'l>(
        &self,
        logits: &'l Logits,
        prompt: &EncodedPrompt,
        answer: &[u32],
    ) -> Cow<'l, Logits> {
        if self.rules.is_empty() {
            return Cow::Borrowed(logits);
        }
        let Logits(mut scores) = logits.clone();
        let mut ids = prompt.dense_ids(self.image_token);
        ids.extend_from_slice(answer);
        let before = Before { ids: &ids, n_prompt: prompt.len(), ends: &self.eos };
        self.rules.iter().for_each(|rule| rule.apply(&mut scores, before));
        Cow::Owned(Logits(scores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: SelectorShape = SelectorShape { d_model: 8, d_select: 4, n_pools: 2, d_hidden: 4 };
    const SELECTOR: SelectorCard = SelectorCard { shape: SHAPE, range: (2, 5), n_reference: 9 };

    #[test]
    fn the_range_of_patches_grows_with_the_root_of_their_number_and_never_beyond_it() {
        assert_eq!(SELECTOR.range_of(9), (2, 5));
        assert_eq!(SELECTOR.range_of(36), (4, 10));
        assert_eq!(SELECTOR.range_of(2), (1, 2));
        assert_eq!(SELECTOR.range_of(1), (1, 1));
    }
}
