//! What the layers make of a picture, kept with the encoded picture for later questions.
//!
//! Nothing of a picture depends on a question that follows it. Keys and values that cross-attention
//! makes before anything is refined depend on the picture alone, whatever the rung. Behind the first
//! self-attention layer that runs, everything depends on which of these layers have run and on all
//! tokens up to the picture's end with their positions (method, section 1): what is kept of it
//! belongs to one such text at a time. A question that finds all it needs runs its own rows alone.
//! The selector's keys of the picture are the picture's alone, too.

use super::states::EncodedPictures;
use crate::cache::{KvCache, LayerCache, bytes, owned};
use crate::cross::VisualKeys;
use crate::error::ModelError;
use crate::placement::Chosen;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use visor_core::cost::{DecoderShape, Flops, SelectorShape};
use visor_core::{LayerMode, Schedule};
use visor_processor::{EncodedPrompt, ImageSpan};

/// What is kept of a picture. Questions on all threads share it.
#[derive(Clone, Debug)]
pub(super) struct KeptPicture(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    /// Bytes that may be kept beside the encoded picture.
    room: u64,
    /// What everything behind a self-attention layer belongs to.
    before: Option<Before>,
    /// What cross-attention made.
    keys: BTreeMap<Place, VisualKeys>,
    /// What self-attention made.
    rows: BTreeMap<Place, Rows>,
    /// The selector's keys, `[1, V, S]`.
    selector: Option<Tensor<3>>,
}

/// A layer, and what has become of the picture in front of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    layer: usize,
    stream: Stream,
}

/// A visual stream, by what made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    /// Of the stock model: every layer before has run on it.
    Stock,
    /// With conditional positions, refined by these layers.
    RefinedBy(Vec<usize>),
}

/// The picture in a self-attention layer.
#[derive(Clone, Debug)]
struct Rows {
    /// Keys and values of its rows.
    cache: KvCache,
    /// The picture behind the layer, `[1, V, E]`; `None` in the stock model, of which all layers
    /// are kept or none.
    refined: Option<Tensor<3>>,
}

/// A text as far as its picture's end: tokens and their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Before {
    text: Vec<(u32, usize)>,
    pictures: Vec<ImageSpan>,
}

impl Before {
    fn of(prompt: &EncodedPrompt) -> Self {
        let end = prompt.images().iter().map(|span| span.start + span.len).max().unwrap_or(0);
        let text = prompt.text_ids().iter().copied().zip(prompt.text_positions().iter().copied());
        let text = text.filter(|&(_, position)| position < end).collect();
        Self { text, pictures: prompt.images().to_vec() }
    }
}

impl Place {
    /// Whether what is made there depends on the text as far as the picture's end.
    fn needs_text(&self, mode: LayerMode) -> bool {
        mode == LayerMode::SelfAttention || self.stream != Stream::RefinedBy(Vec::new())
    }
}

impl Known {
    fn new(room: u64) -> Self {
        Self { room, before: None, keys: BTreeMap::new(), rows: BTreeMap::new(), selector: None }
    }

    fn bytes(&self) -> u64 {
        let keys = self.keys.values().map(VisualKeys::bytes);
        let rows = self.rows.values().map(Rows::bytes);
        keys.chain(rows).chain(self.selector.as_ref().map(bytes)).sum()
    }

    /// Makes room for what belongs to this text.
    fn turn_to(&mut self, before: &Before) {
        if self.before.as_ref() != Some(before) {
            self.keys.retain(|place, _| !place.needs_text(LayerMode::CrossAttention));
            self.rows.clear();
            self.before = Some(before.clone());
        }
    }
}

impl Rows {
    fn bytes(&self) -> u64 {
        self.cache.bytes() + self.refined.as_ref().map_or(0, bytes)
    }
}

impl KeptPicture {
    /// Nothing yet, and room for so many bytes.
    pub(super) fn new(room: u64) -> Self {
        Self(Arc::new(Mutex::new(Known::new(room))))
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// Nothing stops halfway under the lock, so that a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a prompt's only picture, for one request.
#[derive(Debug)]
pub(super) struct Keeping {
    picture: KeptPicture,
    before: Before,
    shape: DecoderShape,
    n_text: usize,
    n_visual: usize,
    /// Which patches are read, and from which layer on, where a question has chosen.
    chosen: Option<(usize, Chosen)>,
    /// Layers that need not compute what was there.
    found: Vec<usize>,
    /// FLOPs of the selector's keys, where they were there.
    spared: Flops,
    /// The picture behind each self-attention layer that has run on it.
    refined: BTreeMap<usize, Tensor<3>>,
}

impl Keeping {
    /// Of encoded pictures that are all of a prompt's; `None` where nothing is kept.
    pub(super) fn of(
        pictures: &EncodedPictures,
        prompt: &EncodedPrompt,
        shape: &DecoderShape,
    ) -> Option<Self> {
        Some(Self {
            picture: pictures.kept()?.clone(),
            before: Before::of(prompt),
            shape: *shape,
            n_text: prompt.n_text(),
            n_visual: prompt.n_visual(),
            chosen: None,
            found: Vec::new(),
            spared: Flops(0),
            refined: BTreeMap::new(),
        })
    }

    /// Puts what is there into the empty caches of some layers.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`] of a cache that has no room for the picture.
    pub(super) fn hand_out(
        &mut self,
        schedule: &Schedule,
        layers: Range<usize>,
        caches: &mut [LayerCache],
    ) -> Result<(), ModelError> {
        let picture = self.picture.clone();
        let known = picture.lock();
        let same_text = known.before.as_ref() == Some(&self.before);
        let places = places(schedule);
        let whole = places.iter().all(|place| known.rows.contains_key(place));
        for place in places.into_iter().filter(|place| layers.contains(&place.layer)) {
            let mode = schedule.modes()[place.layer];
            if place.needs_text(mode) && !same_text || place.stream == Stream::Stock && !whole {
                continue;
            }
            let cache = &mut caches[place.layer];
            match mode {
                LayerMode::TextOnly => continue,
                LayerMode::CrossAttention => {
                    let Some(keys) = known.keys.get(&place) else { continue };
                    cache.keep_visual(keys);
                    if let Some((_, patches)) = &self.chosen {
                        cache.select(patches);
                    }
                }
                LayerMode::SelfAttention => {
                    let Some(Rows { cache: rows, refined }) = known.rows.get(&place) else {
                        continue;
                    };
                    cache.put_picture(rows, refined.clone())?;
                }
            }
            self.found.push(place.layer);
        }
        Ok(())
    }

    /// The selector's keys of the picture before anything refines it, made anew where they are not
    /// there.
    pub(super) fn selector_keys(
        &mut self,
        shape: SelectorShape,
        make: impl FnOnce() -> Tensor<3>,
    ) -> Tensor<3> {
        let there = self.picture.lock().selector.clone();
        if let Some(keys) = there {
            self.spared = shape.keys(self.n_visual);
            return keys;
        }
        let keys = make();
        let mut known = self.picture.lock();
        if known.selector.is_none() && known.bytes() + bytes(&keys) <= known.room {
            known.selector = Some(keys.clone());
        }
        keys
    }

    /// From this layer on the question reads these patches alone: of what was handed out to the
    /// layers from there on, their rows.
    pub(super) fn choose(&mut self, layer: usize, patches: &Chosen, caches: &mut [LayerCache]) {
        caches.iter_mut().skip(layer).for_each(|cache| cache.select(patches));
        self.chosen = Some((layer, patches.clone()));
    }

    /// Notes the picture behind a self-attention layer.
    pub(super) fn note(&mut self, layer: usize, visual: Option<&Tensor<3>>) {
        if let Some(visual) = visual.filter(|_| !self.found.contains(&layer)) {
            self.refined.insert(layer, visual.clone());
        }
    }

    /// Keeps what the layers of a request have made, where there is room for all of it.
    pub(super) fn take_in(mut self, schedule: &Schedule, caches: &[LayerCache]) {
        let picture = self.picture.clone();
        let mut known = picture.lock();
        let new = places(schedule).into_iter().filter(|place| !self.found.contains(&place.layer));
        let new: Vec<Place> = new.filter(|place| self.is_whole(place.layer)).collect();
        if new.iter().any(|place| place.needs_text(schedule.modes()[place.layer])) {
            known.turn_to(&self.before);
        }
        let mut made = Known::new(known.room);
        for place in new {
            let cache = &caches[place.layer];
            match schedule.modes()[place.layer] {
                LayerMode::TextOnly => {}
                LayerMode::CrossAttention => {
                    let keys = cache.visual().filter(|_| !known.keys.contains_key(&place));
                    made.keys.extend(keys.map(|keys| (place, keys.clone())));
                }
                LayerMode::SelfAttention if known.rows.contains_key(&place) => {}
                LayerMode::SelfAttention => {
                    let Some(cache) = cache.own().first(self.n_visual) else { continue };
                    let refined = match place.stream {
                        Stream::Stock => None,
                        Stream::RefinedBy(_) => {
                            self.refined.remove(&place.layer).as_ref().map(owned)
                        }
                    };
                    made.rows.insert(place, Rows { cache, refined });
                }
            }
        }
        if known.bytes() + made.bytes() <= known.room {
            known.keys.append(&mut made.keys);
            known.rows.append(&mut made.rows);
        }
    }

    /// Whether what a layer has read is the whole picture.
    fn is_whole(&self, layer: usize) -> bool {
        self.chosen.as_ref().is_none_or(|(from, _)| layer < *from)
    }

    /// FLOPs that were not executed.
    pub(super) fn spared(&self, schedule: &Schedule) -> Flops {
        let &Self { ref shape, n_text, n_visual, .. } = self;
        let spared = |&layer: &usize| {
            shape.kept_of_layer(schedule.modes()[layer], n_text, n_visual, self.n_read(layer))
        };
        self.spared + self.found.iter().map(spared).sum()
    }

    /// Patches that a layer reads.
    fn n_read(&self, layer: usize) -> usize {
        match &self.chosen {
            Some((from, patches)) if layer >= *from => patches.n,
            Some(_) | None => self.n_visual,
        }
    }
}

/// The layers of a schedule that have to do with the picture, and what has become of it in front of
/// each.
fn places(schedule: &Schedule) -> Vec<Place> {
    let stock = schedule.is_dense();
    let mut refined = Vec::new();
    let mut places = Vec::new();
    for (layer, mode) in schedule.modes().iter().enumerate() {
        let stream = match stock {
            true => Stream::Stock,
            false => Stream::RefinedBy(refined.clone()),
        };
        match mode {
            LayerMode::TextOnly => continue,
            LayerMode::CrossAttention => {}
            LayerMode::SelfAttention => refined.push(layer),
        }
        places.push(Place { layer, stream });
    }
    places
}
