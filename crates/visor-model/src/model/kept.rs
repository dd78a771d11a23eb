//! Keys and values that cross-attention makes of a picture, kept with the encoded picture.
//!
//! As long as no self-attention layer has refined the visual stream, it is what the encoder and the
//! conditional position make of the picture: the keys and values of every cross-attention layer up to
//! there depend on the picture alone (method, section 1), at whichever rung. They are made by the
//! first question and are there for all others.

use super::states::EncodedPictures;
use crate::cache::LayerCache;
use crate::cross::VisualKeys;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use visor_core::LayerMode;
use visor_core::cost::{DecoderShape, Flops, matmul};

/// By layer. Questions on all threads share them.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptKeys(Arc<Mutex<BTreeMap<usize, VisualKeys>>>);

impl KeptKeys {
    /// Nothing stops halfway under the lock, so that a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, VisualKeys>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kept keys and values of a prompt's only picture, for one request.
#[derive(Debug)]
pub(super) struct Keeping {
    keys: KeptKeys,
    /// FLOPs of the keys and values of one layer.
    each: Flops,
    /// Layers whose keys and values were there.
    found: usize,
}

impl Keeping {
    /// Of encoded pictures that are all of a prompt's; `None` where nothing is kept.
    pub(super) fn of(pictures: &EncodedPictures, shape: &DecoderShape) -> Option<Self> {
        let keys = pictures.keys()?.clone();
        let width = shape.cross.map_or(0, |cross| cross.n_kv_heads * shape.head_dim);
        let each = matmul(pictures.tokens(), shape.d_model, width) * 2;
        Some(Self { keys, each, found: 0 })
    }

    /// Puts what is there into the empty caches of some layers.
    pub(super) fn hand_out(
        &mut self,
        modes: &[LayerMode],
        layers: Range<usize>,
        caches: &mut [LayerCache],
    ) {
        let known = self.keys.lock();
        for layer in unrefined(modes).filter(|layer| layers.contains(layer)) {
            if let Some(keys) = known.get(&layer) {
                caches[layer].keep_visual(keys);
                self.found += 1;
            }
        }
    }

    /// Keeps what the layers of a request have made.
    pub(super) fn take_in(self, modes: &[LayerMode], caches: &[LayerCache]) {
        let mut known = self.keys.lock();
        for layer in unrefined(modes) {
            if let Some(keys) = caches[layer].visual() {
                known.entry(layer).or_insert_with(|| keys.clone());
            }
        }
    }

    /// Lets go of what is kept: from here on layers read chosen patches, whose keys and values are
    /// not the picture's.
    pub(super) fn let_go(&mut self) {
        self.keys = KeptKeys::default();
    }

    /// FLOPs that were not executed.
    pub(super) fn spared(&self) -> Flops {
        self.each * self.found
    }
}

/// The layers that read the picture as it was encoded.
fn unrefined(modes: &[LayerMode]) -> impl Iterator<Item = usize> + '_ {
    let before = modes.iter().take_while(|mode| **mode != LayerMode::SelfAttention).enumerate();
    before.filter(|(_, mode)| **mode == LayerMode::CrossAttention).map(|(layer, _)| layer)
}
