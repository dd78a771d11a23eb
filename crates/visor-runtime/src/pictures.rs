//! The pictures of a batch, each distinct one encoded once, and not at all where it was before.

use crate::cancel::Cancelled;
use crate::model::{Backbone, BackboneError, Encode, together};
use crate::picture_cache::{Kept, PictureKey};
use crate::prepared_image::{Shown, State};
use crate::request::Prepared;
use crate::runner::Runner;
use std::collections::HashMap;
use std::sync::Arc;
use visor_core::cost::{Flops, ModelShape};
use visor_processor::{Arrangement, ProcessedPicture};

/// The encoded pictures of a batch of requests.
pub(crate) struct Encoded<V> {
    /// What became of each distinct picture.
    distinct: Vec<Result<Arc<V>, BackboneError>>,
    /// Which of them the pictures of each sample are.
    samples: Vec<Vec<Place>>,
}

/// Where a sample's picture is.
#[derive(Clone, Copy, Debug)]
struct Place {
    distinct: usize,
    /// Whether it was encoded before: kept, or an earlier picture of the batch.
    found: bool,
}

impl<V: Send + Sync + 'static> Encoded<V> {
    /// Encodes the pictures of all samples that nobody has encoded before.
    pub(crate) fn new<'p, M: Backbone<Visual = V>>(
        runner: &Runner<M>,
        samples: &[&'p Prepared],
    ) -> Self {
        let mut known: HashMap<(PictureKey, Arrangement), usize> = HashMap::new();
        let mut distinct: Vec<Distinct<'_>> = Vec::new();
        let mut place = |sample: &'p Prepared, shown: &'p Shown| {
            let new = distinct.len();
            let at = *known.entry((shown.key, shown.arrangement)).or_insert(new);
            match distinct.get_mut(at) {
                Some(known) => known.owners.push((sample, shown)),
                None => distinct.push(Distinct { owners: vec![(sample, shown)] }),
            }
            let before = matches!(shown.state, State::Encoded(_));
            Place { distinct: at, found: before || at < new }
        };
        let places =
            samples.iter().map(|sample| sample.shown.iter().map(|s| place(sample, s)).collect());
        let mut samples: Vec<Vec<Place>> = places.collect();
        let kept: Vec<Option<Arc<V>>> =
            distinct.iter().map(|picture| picture.kept(runner)).collect();
        for place in samples.iter_mut().flatten() {
            place.found |= kept[place.distinct].is_some();
        }
        let new = kept.iter().zip(&distinct).filter(|(kept, _)| kept.is_none());
        let new: Vec<&Distinct<'_>> = new.map(|(_, picture)| picture).collect();
        let mut made = encode(runner, &new).into_iter();
        let result = |kept: Option<Arc<V>>| match kept {
            Some(kept) => Ok(kept),
            None => made.next().expect("a batch gives one result a sample"),
        };
        Self { distinct: kept.into_iter().map(result).collect(), samples }
    }

    /// The encoded pictures of a sample in their order, or why one of them could not be encoded.
    pub(crate) fn of(&self, sample: usize) -> Result<Vec<&V>, BackboneError> {
        let piece = |place: &Place| match &self.distinct[place.distinct] {
            Ok(encoded) => Ok(&**encoded),
            Err(error) => Err(error.clone()),
        };
        self.samples[sample].iter().map(piece).collect()
    }

    /// What a sample shows, with its pictures encoded, to be run again without their pixels; `None`
    /// where one of them could not be encoded. Of a picture that is kept for others it holds no
    /// more than the picture: what layers make of it must not outlive its place in the cache.
    pub(crate) fn held<M: Backbone<Visual = V>>(
        &self,
        model: &M,
        sample: usize,
        shown: &[Shown],
    ) -> Option<Arc<[Shown]>> {
        let encoded = |(shown, place): (&Shown, &Place)| {
            let visual = self.distinct[place.distinct].as_ref().ok()?;
            let state = State::Encoded(Arc::new(model.bare(visual)));
            Some(Shown { state, ..shown.clone() })
        };
        shown.iter().zip(&self.samples[sample]).map(encoded).collect()
    }

    /// What a sample need not spend, because its pictures were encoded before.
    pub(crate) fn spared(&self, sample: usize, prepared: &Prepared, shape: &ModelShape) -> Flops {
        let pictures = prepared.shown.iter().zip(&self.samples[sample]);
        pictures.filter(|(_, place)| place.found).map(|(shown, _)| shown.flops(shape)).sum()
    }

    /// How many pictures of a sample were encoded before.
    pub(crate) fn found(&self, sample: usize) -> usize {
        self.samples[sample].iter().filter(|place| place.found).count()
    }
}

/// A distinct picture and the samples that show it.
struct Distinct<'a> {
    owners: Vec<(&'a Prepared, &'a Shown)>,
}

impl Distinct<'_> {
    /// Where one of its owners, or meanwhile the cache, has it.
    fn kept<M: Backbone>(&self, runner: &Runner<M>) -> Option<Arc<M::Visual>> {
        let of_owner = |(_, shown): &(&Prepared, &Shown)| match &shown.state {
            State::Encoded(encoded) => encoded.clone().downcast().ok(),
            State::Processed(_) => None,
        };
        let (_, shown) = self.owners.first()?;
        let of_cache = || {
            // It was looked for when the request was prepared: no second miss is counted.
            let cache = runner.cache.as_ref()?;
            cache.peek(&shown.key, shown.arrangement)?.encoded.downcast().ok()
        };
        self.owners.iter().find_map(of_owner).or_else(of_cache)
    }

    /// Its tiles, and those who wait for what they are encoded to.
    fn wanted(&self) -> Option<Encode<'_>> {
        let processed = self.owners.iter().find_map(|(owner, shown)| shown.processed(owner))?;
        let owners = self.owners.iter().map(|(owner, _)| &owner.cancel).collect();
        Some(Encode { pictures: std::slice::from_ref(processed), owners })
    }

    /// Keeps what it was encoded to for other prompts, where there is a cache.
    fn keep<M: Backbone>(&self, runner: &Runner<M>, visual: M::Visual) -> Arc<M::Visual> {
        let (Some(cache), Some((_, shown))) = (&runner.cache, self.owners.first()) else {
            return Arc::new(visual);
        };
        let visual = Arc::new(runner.model.keep(visual, cache.room()));
        let &&Shown { key, size, arrangement, n_tiles, .. } = shown;
        let bytes = runner.model.visual_bytes(&visual);
        cache.insert(key, size, Kept { arrangement, n_tiles, encoded: visual.clone(), bytes });
        visual
    }
}

/// Encodes pictures together that nobody has encoded before.
fn encode<M: Backbone>(
    runner: &Runner<M>,
    pictures: &[&Distinct<'_>],
) -> Vec<Result<Arc<M::Visual>, BackboneError>> {
    let nobody = || BackboneError::Cancelled(Cancelled);
    let wanted = pictures.iter().map(|picture| picture.wanted().ok_or_else(nobody));
    let made = together(wanted.collect(), |wanted| runner.model.encode_batch(&wanted));
    let made = made.into_iter().zip(pictures);
    made.map(|(visual, picture)| Ok(picture.keep(runner, visual?))).collect()
}

impl<M: Backbone> Runner<M> {
    /// Counts kept pictures anew, now that layers have run on them.
    pub(crate) fn reweigh(&self, shown: &[Shown]) {
        let Some(cache) = &self.cache else { return };
        for Shown { key, arrangement, .. } in shown {
            let kept = cache.peek(key, *arrangement);
            let encoded = kept.and_then(|kept| kept.encoded.downcast::<M::Visual>().ok());
            if let Some(encoded) = encoded {
                cache.reweigh(key, *arrangement, self.model.visual_bytes(&encoded));
            }
        }
    }
}

impl Shown {
    /// Its tiles, where it is still to be encoded.
    fn processed<'p>(&self, owner: &'p Prepared) -> Option<&'p ProcessedPicture> {
        match self.state {
            State::Processed(index) => owner.pictures.get(index),
            State::Encoded(_) => None,
        }
    }
}
