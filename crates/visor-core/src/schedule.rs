//! What every layer does for one sample.

use crate::{LayerIdx, Layout};
use std::collections::BTreeSet;

/// What a decoder layer does with the picture (VISOR, Eq. 1-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerMode {
    /// The layer runs on text alone; the picture passes by unchanged.
    TextOnly,
    /// Text reads the picture through cross-attention, then the layer runs on text alone.
    CrossAttention,
    /// The layer runs on text and picture together and refines both.
    SelfAttention,
}

/// One mode for every layer: made by a [`Ladder`](crate::Ladder), for the dense reference, or with
/// text alone where these look at the picture, so that no layer is asked for what its weights do
/// not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Box<[LayerMode]>);

impl Schedule {
    /// Cross-attention where the layout has it, self-attention in the active layers.
    pub(crate) fn new(layout: &Layout, active: &BTreeSet<LayerIdx>) -> Self {
        let mode = |layer| {
            if active.contains(&layer) {
                LayerMode::SelfAttention
            } else if layout.cross().contains(&layer) {
                LayerMode::CrossAttention
            } else {
                LayerMode::TextOnly
            }
        };
        Self((0..layout.n_layers()).map(|layer| mode(LayerIdx(layer))).collect())
    }

    /// The stock LLaVA-style model: every layer attends to picture and text together.
    pub fn dense(n_layers: usize) -> Self {
        Self(vec![LayerMode::SelfAttention; n_layers].into())
    }

    /// Whether it is that of the stock model.
    pub fn is_dense(&self) -> bool {
        self.0.iter().all(|&mode| mode == LayerMode::SelfAttention)
    }

    /// Every layer on text alone: the floor that vision-side costs are counted from.
    pub fn blind(n_layers: usize) -> Self {
        Self(vec![LayerMode::TextOnly; n_layers].into())
    }

    /// The same with some layers on text alone, whatever they did: an experiment's way to ask what
    /// a layer's sight of the picture is worth. No layer is asked for more than it has.
    #[must_use]
    pub fn with_text_only(&self, layers: &BTreeSet<LayerIdx>) -> Self {
        let mode = |(layer, &mode): (usize, &LayerMode)| match layers.contains(&LayerIdx(layer)) {
            true => LayerMode::TextOnly,
            false => mode,
        };
        Self(self.0.iter().enumerate().map(mode).collect())
    }

    /// The modes, first layer first.
    pub fn modes(&self) -> &[LayerMode] {
        &self.0
    }

    /// How many layers run in `mode`.
    pub fn count(&self, mode: LayerMode) -> usize {
        self.0.iter().filter(|&&m| m == mode).count()
    }
}
