//! The decoder's cost under a schedule.

use super::{DecoderShape, Flops, Looks};
use crate::{LayerMode, Padding, Schedule};

/// Where a decode step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decode {
    /// Text tokens that the step attends to, the new one included.
    pub context: usize,
    /// Visual tokens of the prompt.
    pub n_visual: usize,
    /// Visual tokens that cross-attention reads.
    pub looks: Looks,
}

impl DecoderShape {
    /// One layer of prefill over `n_text` and `n_visual` tokens, of which cross-attention reads
    /// `n_keys`.
    pub fn prefill_layer(
        &self,
        mode: LayerMode,
        n_text: usize,
        n_visual: usize,
        n_keys: usize,
    ) -> Flops {
        match mode {
            LayerMode::TextOnly => self.layer(n_text),
            LayerMode::CrossAttention => self.layer(n_text) + self.cross_add_on(n_text, n_keys),
            LayerMode::SelfAttention => self.layer(n_text + n_visual),
        }
    }

    /// All layers of prefill, without head and conditional position.
    pub fn prefill(
        &self,
        schedule: &Schedule,
        n_text: usize,
        n_visual: usize,
        looks: Looks,
    ) -> Flops {
        let modes = schedule.modes().iter().enumerate();
        modes.map(|(i, &mode)| self.prefill_layer(mode, n_text, n_visual, looks.at(i))).sum()
    }

    /// What a prefill need not compute where everything is kept that layers have made of the
    /// picture: keys and values that cross-attention reads, and the picture's own rows.
    pub fn kept(&self, schedule: &Schedule, n_text: usize, n_visual: usize) -> Flops {
        let kept = |mode: &LayerMode| self.kept_of_layer(*mode, n_text, n_visual, n_visual);
        schedule.modes().iter().map(kept).sum()
    }

    /// The same of one layer, whose cross-attention reads `n_keys`.
    pub fn kept_of_layer(
        &self,
        mode: LayerMode,
        n_text: usize,
        n_visual: usize,
        n_keys: usize,
    ) -> Flops {
        match mode {
            LayerMode::TextOnly => Flops(0),
            LayerMode::CrossAttention => self.cross_keys(n_keys),
            LayerMode::SelfAttention => {
                self.layer(n_text + n_visual) - self.layer_beside(n_text, n_visual)
            }
        }
    }

    /// One decode step, the head included.
    ///
    /// A cross-attention layer reads the null key too, so that the count is what is executed.
    pub fn decode_step(&self, schedule: &Schedule, at: Decode) -> Flops {
        let text = self.projections(1) + self.attention(1, at.context) + self.ffn(1);
        let layer = |(i, &mode): (usize, &LayerMode)| match mode {
            LayerMode::TextOnly => text,
            LayerMode::CrossAttention => {
                text + self.cross_queries(1) + self.attention(1, at.looks.at(i) + 1)
            }
            LayerMode::SelfAttention => text + self.attention(1, at.n_visual),
        };
        schedule.modes().iter().enumerate().map(layer).sum::<Flops>() + self.head()
    }

    /// Bytes of keys and values after prefill with `bytes` a value, on a device of this
    /// padding: what is filled up is held filled up.
    pub fn kv_bytes(
        &self,
        schedule: &Schedule,
        n_text: usize,
        n_visual: usize,
        looks: Looks,
        bytes: usize,
        padding: Padding,
    ) -> u64 {
        let layer = |(layer, mode): (usize, &LayerMode)| match mode {
            LayerMode::TextOnly => self.d_kv() * padding.prompt(n_text),
            LayerMode::CrossAttention => {
                self.d_kv() * padding.prompt(n_text)
                    + self.d_ca() * padding.rows(looks.at(layer) + 1)
            }
            LayerMode::SelfAttention => self.d_kv() * padding.joint(n_text, n_visual),
        };
        let values: usize = schedule.modes().iter().enumerate().map(layer).sum();
        2 * bytes as u64 * values as u64
    }
}
