//! Keys and values that decoding comes back to, one kind a layer mode.

use crate::attention::Heads;
use crate::cross::VisualKeys;
use crate::error::ModelError;
use burn::tensor::{Device, Int, Tensor};
use visor_core::{LayerMode, Schedule};

/// Keys and values of one layer in the order they came, with room for a fixed number.
///
/// Positions are never read off its length: they come from the prompt.
#[derive(Clone, Debug)]
pub struct KvCache {
    k: Tensor<4>,
    v: Tensor<4>,
    len: usize,
}

impl KvCache {
    /// Room for `capacity` positions.
    pub fn new(batch: usize, heads: Heads, capacity: usize, device: &Device) -> Self {
        let shape = [batch, heads.n_kv_heads, capacity, heads.head_dim];
        Self { k: Tensor::zeros(shape, device), v: Tensor::zeros(shape, device), len: 0 }
    }

    /// Number of positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `rows` more fit.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    pub(crate) fn expect_room(&self, rows: usize) -> Result<(), ModelError> {
        let [_, _, capacity, _] = self.k.dims();
        let wanted = self.len + rows;
        if wanted <= capacity { Ok(()) } else { Err(ModelError::CacheFull { capacity, wanted }) }
    }

    /// Its first positions, in memory of their own.
    pub(crate) fn first(&self, len: usize) -> Self {
        let own = |all: &Tensor<4>| {
            let [b, g, _, d] = all.dims();
            let first = all.clone().narrow(2, 0, len); // [B, G, len, D]
            Tensor::zeros([b, g, len, d], &all.device())
                .slice_assign([0..b, 0..g, 0..len, 0..d], first)
        };
        Self { k: own(&self.k), v: own(&self.v), len }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        bytes(&self.k) + bytes(&self.v)
    }

    /// Adds `[B, G, S, D]` keys and values and returns all of them, older ones first.
    pub(crate) fn extend(
        &mut self,
        k: Tensor<4>,
        v: Tensor<4>,
    ) -> Result<(Tensor<4>, Tensor<4>), ModelError> {
        let [b, g, s, d] = k.dims();
        self.expect_room(s)?;
        let wanted = self.len + s;
        let place = [0..b, 0..g, self.len..wanted, 0..d];
        for (all, new) in [(&mut self.k, k), (&mut self.v, v)] {
            all.inplace(|all| all.slice_assign(place.clone(), new));
        }
        self.len = wanted;
        let held = |all: &Tensor<4>| all.clone().narrow(2, 0, wanted); // [B, G, len, D]
        Ok((held(&self.k), held(&self.v)))
    }
}

/// The cache of a layer, by what the layer does in this sample.
#[derive(Clone, Debug)]
pub enum LayerCache {
    /// Text attends to text.
    TextOnly {
        /// Keys and values of the text.
        text: KvCache,
    },
    /// Text reads the picture, then attends to text.
    CrossAttention {
        /// Keys and values of the text.
        text: KvCache,
        /// Keys and values of the picture; set by prefill, never appended to.
        visual: Option<Box<VisualKeys>>,
    },
    /// Text attends to picture and text.
    SelfAttention {
        /// Keys and values of the picture, then of the text.
        joint: KvCache,
        /// The picture behind the layer, where it was refined before; gone when the layer has run.
        refined: Option<Tensor<3>>,
    },
}

impl LayerCache {
    /// Empty caches for the layers of a schedule.
    pub fn for_schedule(
        schedule: &Schedule,
        heads: Heads,
        text_capacity: usize,
        n_visual: usize,
        device: &Device,
    ) -> Vec<Self> {
        let room = |capacity| KvCache::new(1, heads, capacity, device);
        let cache = |mode: &LayerMode| match mode {
            LayerMode::TextOnly => Self::TextOnly { text: room(text_capacity) },
            LayerMode::CrossAttention => {
                Self::CrossAttention { text: room(text_capacity), visual: None }
            }
            LayerMode::SelfAttention => {
                Self::SelfAttention { joint: room(n_visual + text_capacity), refined: None }
            }
        };
        schedule.modes().iter().map(cache).collect()
    }

    /// The keys and values that self-attention extends.
    pub(crate) fn own(&self) -> &KvCache {
        match self {
            Self::TextOnly { text } | Self::CrossAttention { text, .. } => text,
            Self::SelfAttention { joint, .. } => joint,
        }
    }

    /// The same, to be extended.
    pub(crate) fn own_mut(&mut self) -> &mut KvCache {
        match self {
            Self::TextOnly { text } | Self::CrossAttention { text, .. } => text,
            Self::SelfAttention { joint, .. } => joint,
        }
    }

    /// The picture's keys, where the layer reads a picture and has done so before.
    pub(crate) fn visual(&self) -> Option<&VisualKeys> {
        match self {
            Self::CrossAttention { visual, .. } => visual.as_deref(),
            Self::TextOnly { .. } | Self::SelfAttention { .. } => None,
        }
    }

    /// Keeps the picture's keys, where the layer reads a picture.
    pub(crate) fn keep_visual(&mut self, keys: &VisualKeys) {
        if let Self::CrossAttention { visual, .. } = self {
            *visual = Some(Box::new(keys.clone()));
        }
    }

    /// From here on the layer reads these patches alone, where it has the picture's keys.
    pub(crate) fn select(&mut self, patches: &Tensor<1, Int>) {
        if let Self::CrossAttention { visual: Some(keys), .. } = self {
            **keys = keys.select(patches);
        }
    }

    /// Puts the picture's keys and values in front of the text's, and keeps the picture behind the
    /// layer until it runs, where the layer refines a picture.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    pub(crate) fn put_picture(
        &mut self,
        rows: &KvCache,
        behind: Option<Tensor<3>>,
    ) -> Result<(), ModelError> {
        if let Self::SelfAttention { joint, refined } = self {
            joint.extend(rows.k.clone(), rows.v.clone())?;
            *refined = behind;
        }
        Ok(())
    }

    /// The picture behind the layer, where it was put there.
    pub(crate) fn take_refined(&mut self) -> Option<Tensor<3>> {
        match self {
            Self::SelfAttention { refined, .. } => refined.take(),
            Self::TextOnly { .. } | Self::CrossAttention { .. } => None,
        }
    }
}

/// Bytes of a tensor's values.
pub(crate) fn bytes<const R: usize>(x: &Tensor<R>) -> u64 {
    (x.dims().iter().product::<usize>() * size_of::<f32>()) as u64
}
