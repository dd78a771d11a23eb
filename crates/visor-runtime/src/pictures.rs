//! The pictures of a batch, each distinct one encoded once.

use crate::model::{Backbone, BackboneError};
use crate::request::Prepared;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use visor_core::cost::{Flops, ModelShape};
use visor_processor::ProcessedPicture;

/// Values of a picture that go into its hash; equality looks at all of them.
const HASHED: usize = 256;

/// The encoded pictures of a batch of requests.
pub(crate) struct Encoded<V> {
    /// What became of each distinct picture.
    distinct: Vec<Result<V, BackboneError>>,
    /// Which of them the pictures of each sample are.
    samples: Vec<Vec<Place>>,
}

/// Where a sample's picture is.
#[derive(Clone, Copy, Debug)]
struct Place {
    distinct: usize,
    /// Whether it is encoded for an earlier picture of the batch already.
    shared: bool,
}

impl<V> Encoded<V> {
    /// Encodes the pictures of all samples.
    pub(crate) fn new<'p, M: Backbone<Visual = V>>(model: &M, samples: &[&'p Prepared]) -> Self {
        let mut known: HashMap<ByContent<'_>, usize> = HashMap::new();
        let mut distinct: Vec<Distinct<'_>> = Vec::new();
        let mut place = |sample, picture: &'p ProcessedPicture| {
            let new = distinct.len();
            let at = *known.entry(ByContent(picture)).or_insert(new);
            let shared = at < new;
            match distinct.get_mut(at) {
                Some(known) => known.owners.push(sample),
                None => distinct.push(Distinct { picture, owners: vec![sample] }),
            }
            Place { distinct: at, shared }
        };
        let places = samples
            .iter()
            .map(|sample| sample.pictures.iter().map(|p| place(*sample, p)).collect());
        let samples = places.collect();
        let distinct = distinct.iter().map(|distinct| distinct.encode(model)).collect();
        Self { distinct, samples }
    }

    /// The encoded pictures of a sample in their order, or why one of them could not be encoded.
    pub(crate) fn of(&self, sample: usize) -> Result<Vec<&V>, BackboneError> {
        let piece = |place: &Place| self.distinct[place.distinct].as_ref().map_err(Clone::clone);
        self.samples[sample].iter().map(piece).collect()
    }

    /// What a sample need not spend, because its pictures are encoded for earlier ones.
    pub(crate) fn spared(&self, sample: usize, prepared: &Prepared, shape: &ModelShape) -> Flops {
        let pictures = prepared.pictures.iter().zip(&self.samples[sample]);
        let shared = pictures.filter(|(_, place)| place.shared);
        shared.map(|(picture, _)| shape.vision(picture.pixels.tiles())).sum()
    }
}

/// A distinct picture and the samples that show it.
struct Distinct<'a> {
    picture: &'a ProcessedPicture,
    owners: Vec<&'a Prepared>,
}

impl Distinct<'_> {
    /// Encodes it for the first owner that is not called off meanwhile.
    fn encode<M: Backbone>(&self, model: &M) -> Result<M::Visual, BackboneError> {
        let picture = std::slice::from_ref(self.picture);
        let mut encoded = self.owners.iter().map(|owner| model.encode(picture, &owner.cancel));
        let called_off = |encoded: &_| matches!(encoded, Err(BackboneError::Cancelled(_)));
        let first = encoded.find(|encoded| !called_off(encoded));
        first.unwrap_or(Err(BackboneError::Cancelled(crate::cancel::Cancelled)))
    }
}

/// Pixels that are the same in every bit, and lie the same way, are the same picture.
struct ByContent<'a>(&'a ProcessedPicture);

impl ByContent<'_> {
    fn bits(&self) -> impl Iterator<Item = u32> {
        self.0.pixels.data().iter().map(|value| value.to_bits())
    }
}

impl PartialEq for ByContent<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0, other.0);
        ours.arrangement == theirs.arrangement
            && ours.pixels.shape() == theirs.pixels.shape()
            && self.bits().eq(other.bits())
    }
}

impl Eq for ByContent<'_> {}

impl Hash for ByContent<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.pixels.shape().hash(state);
        self.0.arrangement.hash(state);
        let step = self.0.pixels.data().len().div_ceil(HASHED);
        self.bits().step_by(step).for_each(|bits| bits.hash(state));
    }
}
