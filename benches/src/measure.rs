//! The measuring half of a comparison: a model is asked the same questions at every budget, and
//! what is seen goes into a store, from where a killed run goes on.

mod baselines;
pub(crate) mod memory;
mod rows;
mod timing;

pub use baselines::{Baselines, BaselinesError};
pub use timing::{ORDER, WARM_UP};

use crate::compare::observation::{self, Kind, Suite};
use crate::compare::references::{FamilyScores, ReferenceError};
use crate::compare::store::{Entry, Settings, Store, StoreError};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;
use visor_core::{Patches, Thrift};
use visor_model::VisorModel;
use visor_runtime::{Dtype, GenerationSettings, RunError, Runner};
use visor_train::TrainError;
use visor_train::data::{Dataset, Item, ItemPicture, Need, PicturePlace};

/// What is compared, and how.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The model, with its policy where it has one.
    pub runner: &'a Runner<VisorModel>,
    /// SHA-256 of the policy, hexadecimal, where it is asked.
    pub policy_sha256: Option<String>,
    /// The questions.
    pub data: &'a Dataset,
    /// The rungs that are asked, cheapest first.
    pub rungs: Vec<String>,
    /// Thrifts at which the policy is asked, the main one first; `None` is the policy's own.
    pub thrifts: Vec<Option<Thrift>>,
    /// Numbers of patches that every rung is also asked with; none where nothing chooses patches.
    pub patches: Vec<Patches>,
    /// Longest answer, in tokens.
    pub max_new_tokens: NonZeroUsize,
    /// Requests of each row that are timed; 0 times none.
    pub timed: usize,
    /// Answers of networks that were trained for comparison.
    pub baselines: &'a Baselines,
}

/// What a comparison is stopped by.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A question that the model cannot be asked.
    #[error("question {id}: {because}")]
    Question {
        /// The question.
        id: String,
        /// Why.
        #[source]
        because: RunError,
    },
    /// A stock model.
    #[error("budgets are compared on a model that has several; this one has no ladder")]
    NoLadder,
    /// Of a picture that is no longer what it was.
    #[error(transparent)]
    Data(#[from] TrainError),
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of what could be had at equal cost.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Called off between questions.
    #[error("stopped; what was measured is kept where --out says so, the same command goes on")]
    Stopped,
}

/// Questions asked together.
const BATCH: usize = 16;

impl Plan<'_> {
    /// How the data are named in stores and records.
    pub fn suite(&self) -> Suite {
        let (name, split) = match self.data.name.split_once(", ") {
            Some((name, split)) => (name.to_owned(), split.to_owned()),
            None => (self.data.name.clone(), "all".to_owned()),
        };
        Suite { name, split, sha256: self.data.digest() }
    }

    /// What answers depend on besides the questions, for a store.
    pub fn settings(&self) -> Settings {
        let card = self.runner.card();
        let thrift = |thrift: &Option<Thrift>| rows::auto_name(*thrift);
        let list = |all: Vec<String>| all.join(",");
        // Records of single precision, which older ones are, say nothing of it.
        let weights = (card.dtype != Dtype::F32).then(|| ("weights", card.dtype.to_string()));
        let policy = self.policy_sha256.clone().map(|sha256| ("policy sha256", sha256));
        let selector = card.selector_sha256.clone().map(|sha256| ("selector sha256", sha256));
        [
            ("model", card.name.clone()),
            ("model sha256", card.sha256.clone().unwrap_or_default()),
            ("rungs", list(self.rungs.clone())),
            ("routed", list(self.thrifts.iter().map(thrift).collect())),
            ("patches", list(self.patches.iter().map(ToString::to_string).collect())),
            ("scorer", self.data.scoring()),
            ("longest answer", self.max_new_tokens.to_string()),
            ("timed requests", self.timed.to_string()),
            ("baselines", list(self.baselines.names())),
        ]
        .into_iter()
        .chain(weights)
        .chain(policy)
        .chain(selector)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Asks whatever the store lacks. `tell` hears what is being done, how much of it is done and
    /// how much there is.
    ///
    /// # Errors
    /// See [`MeasureError`]; what was measured before is kept.
    pub fn run(
        &self,
        store: &mut Store,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<(), MeasureError> {
        if !store.has_items() {
            let pictures = pictures(&self.data.items);
            let items = self.data.items.iter().zip(pictures).map(item).collect();
            store.append(Entry::Items(items))?;
        }
        self.rung_rows(store, stop, tell)?;
        self.patch_rows(store, stop, tell)?;
        self.auto_rows(store, stop, tell)?;
        self.control_rows(store, stop, tell)?;
        self.baselines.rows(store, self.data)?;
        self.times(store, stop, tell)
    }

    /// How each rung does on other questions: what a look-up by family is fitted on.
    ///
    /// # Errors
    /// See [`MeasureError`].
    pub fn fit_families(
        &self,
        data: &Dataset,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<FamilyScores, MeasureError> {
        let mut scores: Vec<Vec<f64>> = Vec::with_capacity(data.items.len());
        for items in data.items.chunks(BATCH) {
            check(stop)?;
            let of_rungs = self
                .rungs
                .iter()
                .map(|rung| self.ask(items, items, rung))
                .collect::<Result<Vec<_>, _>>()?;
            for index in 0..items.len() {
                let of_item =
                    of_rungs.iter().map(|answers| f64::from(answers[index].score.unwrap_or(0.0)));
                scores.push(of_item.collect());
            }
            tell("fitting a look-up by family", scores.len(), data.items.len());
        }
        let families = data.items.iter().map(|item| item.family.as_str());
        Ok(FamilyScores::new(families.zip(scores.iter().map(Vec::as_slice)))?)
    }

    fn generation(&self) -> GenerationSettings {
        GenerationSettings { max_new_tokens: Some(self.max_new_tokens), ..Default::default() }
    }
}

fn check(stop: &AtomicBool) -> Result<(), MeasureError> {
    if stop.load(Ordering::Relaxed) { Err(MeasureError::Stopped) } else { Ok(()) }
}

/// A number for the pictures of each item: the same where they lie in the same places.
fn pictures(items: &[Item]) -> Vec<u64> {
    let mut known: BTreeMap<Vec<&PicturePlace>, u64> = BTreeMap::new();
    let mut numbers = Vec::with_capacity(items.len());
    for (index, item) in (0..).zip(items) {
        let files = item.pictures.iter().map(|picture| match picture {
            ItemPicture::File(file) => Some(file.place()),
            ItemPicture::Held(_) | ItemPicture::Grey { .. } => None,
        });
        numbers.push(match files.collect::<Option<Vec<_>>>() {
            Some(files) if !files.is_empty() => *known.entry(files).or_insert(index),
            _ => index,
        });
    }
    numbers
}

fn item((item, picture): (&Item, u64)) -> observation::Item {
    let mut difficulty = BTreeMap::new();
    if item.hops > 0 {
        difficulty.insert("hops".to_owned(), f32::from(item.hops));
    }
    observation::Item {
        id: item.id.clone(),
        family: item.family.clone(),
        kind: match item.need {
            Some(Need::OneLook) => Kind::Easy,
            Some(Need::Refinement) => Kind::Hard,
            None => Kind::Other,
        },
        picture,
        difficulty,
    }
}
