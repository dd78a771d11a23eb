//! Keys and values that decoding comes back to, one kind a layer mode.

use crate::cross::VisualKeys;
use crate::error::ModelError;
use crate::host;
use crate::placement::{Chosen, Memory};
use burn::tensor::Tensor;
use visor_core::{LayerMode, Padding, Schedule};

/// Keys and values of one layer in the order they came, with room for a fixed number.
///
/// A prompt's are held as they were made; memory for more is taken when more come, and not for all
/// that may come. Where rows are filled up, so is memory, and what comes is written over what fills
/// it. Positions are never read off its length: they come from the prompt.
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

/// Rows that come to a cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    /// How many of them may be read; what comes next is written over the others.
    pub(crate) keys: usize,
    /// How memory is filled up.
    pub(crate) padding: Padding,
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
            self.extend(k.clone(), v.clone(), New { keys: first.len, padding: Padding::None })?;
        }
        Ok(())
    }

    /// What it has memory for when `rows` more have come, of which `new.keys` stay.
    fn memory_after(&self, rows: usize, new: New) -> Memory {
        let keys = self.len + new.keys;
        let room = self.held.as_ref().map_or(0, |Held { k, .. }| k.dims()[2]);
        let needed = self.len + rows;
        let room = match new.padding {
            _ if room >= needed => room,
            Padding::None => (keys + MORE.max(keys / 8)).min(self.capacity),
            Padding::Steps => new.padding.rows(needed),
        };
        Memory { keys, room }
    }

    /// What it has memory for when one more has come, where it is filled up.
    pub(crate) fn memory_of_step(&self) -> Memory {
        self.memory_after(1, New { keys: 1, padding: Padding::Steps })
    }

    /// Adds `[B, G, S, D]` keys and values, of which the first may be read, and returns all that
    /// there are, older ones first: with what fills up memory, where it is filled up.
    pub(crate) fn extend(
        &mut self,
        k: Tensor<4>,
        v: Tensor<4>,
        new: New,
    ) -> Result<(Tensor<4>, Tensor<4>), ModelError> {
        let [b, g, s, d] = k.dims();
        self.expect_room(new.keys)?;
        let Memory { keys: wanted, room } = self.memory_after(s, new);
        let Some(Held { k: old_k, v: old_v }) = self.held.take() else {
            // There is room behind the first rows: a view would hold on to a whole batch, or to what
            // was projected together, until a block is full.
            let held = |x: &Tensor<4>| match new.padding {
                Padding::None => x.clone(),
                Padding::Steps => moved(x, s, s),
            };
            self.held = Some(Held { k: held(&k), v: held(&v) });
            self.len = wanted;
            return Ok((k, v));
        };
        let place = [0..b, 0..g, self.len..self.len + s, 0..d];
        let joined = |mut all: Tensor<4>, new: Tensor<4>| {
            let [_, _, there, _] = all.dims();
            if there < room {
                all = moved(&all, self.len, room);
            }
            match host::put(all, self.len, &new) {
                Ok(all) => all,
                Err(all) => all.slice_assign(place.clone(), new),
            }
        };
        let held = Held { k: joined(old_k, k), v: joined(old_v, v) };
        let all = |all: &Tensor<4>| match new.padding {
            Padding::None => all.clone().narrow(2, 0, wanted), // [B, G, len, D]
            Padding::Steps => all.clone(),                     // [B, G, room, D]
        };
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

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.own().bytes() + self.visual().map_or(0, VisualKeys::bytes)
    }

    /// Keeps the picture's keys, where the layer reads a picture.
    pub(crate) fn keep_visual(&mut self, keys: &VisualKeys) {
        if let Self::CrossAttention { visual, .. } = self {
            *visual = Some(Box::new(keys.clone()));
        }
    }

    /// From here on the layer reads these patches alone, where it has the picture's keys.
    pub(crate) fn select(&mut self, patches: &Chosen) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use visor_runtime::{DeviceRequest, device};

    const CAPACITY: usize = 40;

    /// Keys of a prompt of five tokens, of six rows where it is filled up, then one by one: how many
    /// each step is given, and how many of them are there.
    fn given(padding: Padding) -> Vec<(usize, usize)> {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let rows = |n: usize| Tensor::<4>::ones([1, 1, n, 2], &device);
        let mut cache = KvCache::new(CAPACITY);
        let mut extend = |n: usize, keys: usize| {
            let memory = cache.memory_of_step();
            let (k, v) = (rows(n), rows(n) * 2.0);
            let (k, _) = cache.extend(k, v, New { keys, padding }).expect("there is room");
            let [_, _, room, _] = k.dims();
            assert!(padding == Padding::None || n > 1 || memory.room == room);
            (room, cache.len())
        };
        let first = extend(padding.prompt(5), 5);
        std::iter::once(first).chain((5..CAPACITY).map(|_| extend(1, 1))).collect()
    }

    #[test]
    fn steps_are_given_as_many_keys_as_there_are_or_whole_blocks() {
        for (room, keys) in given(Padding::None) {
            assert_eq!(room, keys);
        }
        let given = given(Padding::Steps);
        assert!(given.iter().all(|(room, keys)| keys <= room));
        let mut rooms: Vec<usize> = given.into_iter().map(|(room, _)| room).collect();
        rooms.dedup();
        assert_eq!(rooms, [6, 8, 12, 16, 24, 32, 48]);
    }

    #[test]
    fn a_full_cache_is_an_error_wherever_memory_is_filled_up_to() {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let rows = |n: usize| Tensor::<4>::ones([1, 1, n, 2], &device);
        let mut cache = KvCache::new(5);
        let mut extend = |n, keys| {
            cache.extend(rows(n), rows(n), New { keys, padding: Padding::Steps }).map(|_| ())
        };
        extend(6, 5).expect("there is room");
        let error = extend(1, 1).expect_err("memory is no room");
        assert!(matches!(error, ModelError::CacheFull { capacity: 5, wanted: 6 }));
    }
}
