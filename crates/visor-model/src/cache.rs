//! Keys and values that decoding comes back to, one kind a layer mode.

use crate::cross::VisualKeys;
use crate::error::ModelError;
use burn::tensor::{Int, Tensor};
use visor_core::{LayerMode, Schedule};

/// Keys and values of one layer in the order they came, with room for a fixed number.
///
/// A prompt's are held as they were made; memory for more is taken when more come, and not for all
/// that may come. Positions are never read off its length: they come from the prompt.
#[derive(Clone, Debug)]
pub struct KvCache {
    held: Option<Held>,
    len: usize,
    capacity: usize,
}

/// `[B, G, room, D]` each, of which the first positions are taken.
#[derive(Clone, Debug)]
struct Held {
    k: Tensor<4>,
    v: Tensor<4>,
}

/// Least positions that memory is taken for when it is full.
const MORE: usize = 32;

impl KvCache {
    /// Room for `capacity` positions.
    pub fn new(capacity: usize) -> Self {
        Self { held: None, len: 0, capacity }
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
        let (capacity, wanted) = (self.capacity, self.len + rows);
        if wanted <= capacity { Ok(()) } else { Err(ModelError::CacheFull { capacity, wanted }) }
    }

    /// Its first positions, in memory of their own; `None` where it holds fewer.
    pub(crate) fn first(&self, len: usize) -> Option<Self> {
        if self.len < len {
            return None;
        }
        let own = |all: &Tensor<4>| moved(all, len, len);
        let held = self.held.as_ref().map(|Held { k, v }| Held { k: own(k), v: own(v) });
        Some(Self { held, len, capacity: len })
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, |Held { k, v }| bytes(k) + bytes(v))
    }

    /// Puts what another holds in front of all that will come.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    fn put(&mut self, first: &Self) -> Result<(), ModelError> {
        if let (Some(Held { k, v }), true) = (&first.held, self.is_empty()) {
            // Memory is shared until more comes: there is no room behind it.
            self.extend(k.clone(), v.clone())?;
        }
        Ok(())
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
        let Some(Held { k: old_k, v: old_v }) = self.held.take() else {
            self.held = Some(Held { k: k.clone(), v: v.clone() });
            self.len = wanted;
            return Ok((k, v));
        };
        let place = [0..b, 0..g, self.len..wanted, 0..d];
        let joined = |mut all: Tensor<4>, new: Tensor<4>| {
            let [_, _, room, _] = all.dims();
            if room < wanted {
                let room = (wanted + MORE.max(wanted / 8)).min(self.capacity);
                all = moved(&all, self.len, room);
            }
            all.inplace(|all| all.slice_assign(place.clone(), new));
            all
        };
        let held = Held { k: joined(old_k, k), v: joined(old_v, v) };
        let all = |all: &Tensor<4>| all.clone().narrow(2, 0, wanted); // [B, G, len, D]
        let (k, v) = (all(&held.k), all(&held.v));
        self.held = Some(held);
        self.len = wanted;
        Ok((k, v))
    }
}

/// The first `len` positions of `[B, G, S, D]` in memory of their own, with room for `room`.
fn moved(all: &Tensor<4>, len: usize, room: usize) -> Tensor<4> {
    let [b, g, _, d] = all.dims();
    let first = all.clone().narrow(2, 0, len); // [B, G, len, D]
    Tensor::zeros([b, g, room, d], &all.device()).slice_assign([0..b, 0..g, 0..len, 0..d], first)
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
        refined: Option<Box<Tensor<3>>>,
    },
}

impl LayerCache {
    /// Empty caches for the layers of a schedule.
    pub fn for_schedule(schedule: &Schedule, text_capacity: usize, n_visual: usize) -> Vec<Self> {
        let text = KvCache::new(text_capacity);
        let cache = |mode: &LayerMode| match mode {
            LayerMode::TextOnly => Self::TextOnly { text: text.clone() },
            LayerMode::CrossAttention => Self::CrossAttention { text: text.clone(), visual: None },
            LayerMode::SelfAttention => {
                let joint = KvCache::new(n_visual + text_capacity);
                Self::SelfAttention { joint, refined: None }
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
            joint.put(rows)?;
            *refined = behind.map(Box::new);
        }
        Ok(())
    }

    /// The picture behind the layer, where it was put there.
    pub(crate) fn take_refined(&mut self) -> Option<Tensor<3>> {
        match self {
            Self::SelfAttention { refined, .. } => refined.take().map(|refined| *refined),
            Self::TextOnly { .. } | Self::CrossAttention { .. } => None,
        }
    }
}

/// The same values in memory of their own: what is kept must not hold on to a batch that it was a
/// part of.
pub(crate) fn owned(x: &Tensor<3>) -> Tensor<3> {
    let [b, s, e] = x.dims();
    Tensor::zeros([b, s, e], &x.device()).slice_assign([0..b, 0..s, 0..e], x.clone())
}

/// Bytes of a tensor's values.
pub(crate) fn bytes<const R: usize>(x: &Tensor<R>) -> u64 {
    (x.dims().iter().product::<usize>() * size_of::<f32>()) as u64
}
