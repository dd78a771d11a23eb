//! What a model does with its pictures: the measurements behind VISOR's figures 2, 3, 4, 6 and 7,
//! on any model and any questions.
//!
//! [`attention`] looks where the text looks, [`similarity`] how much the picture changes from layer
//! to layer, [`dropping`] what answers lose when layers do not see it, [`choices`] how the rungs
//! answer and which of them a policy picks. Each gives what was seen question by question or
//! family by family; nothing here is a statistic with an interval.

pub mod attention;
pub mod choices;
pub mod cka;
pub mod dropping;
pub mod pointing;
pub mod similarity;

use crate::data::{Dataset, Item};
use crate::error::TrainError;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use visor_core::{BudgetRequest, Ladder, Schedule};
use visor_model::{EncodedPictures, Observed, VisorModel, Way};
use visor_runtime::{
    Backbone, Cancel, GenerationSettings, Level, Prepared, Request, RunError, Runner,
};

/// Questions that run together.
const BATCH: usize = 16;

/// Hears what is being done, how much of it is done and how much there is.
pub type Tell<'a> = &'a mut dyn FnMut(&str, usize, usize);

/// A model that is looked into, and the questions that it is asked meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Study<'a> {
    /// The model, with its policy where it has one.
    pub runner: &'a Runner<VisorModel>,
    /// The questions.
    pub data: &'a Dataset,
    /// At what attention, similarity and dropping are observed: a level of the model.
    pub level: Level,
    /// Longest answer, in tokens.
    pub max_new_tokens: NonZeroUsize,
    /// Raised, it ends the work between batches.
    pub stop: &'a AtomicBool,
}

/// A question that is ready for the layers.
struct Ready {
    prepared: Prepared,
    visual: Option<EncodedPictures>,
}

impl Ready {
    /// The question in front of an observed pass, `answer` behind it.
    fn observed<'a>(
        &'a self,
        answer: &'a [u32],
        way: Way<'a>,
        dropped: &'a visor_model::Dropped,
    ) -> Observed<'a> {
        let visual = self.visual.iter().collect();
        Observed { prompt: self.prepared.prompt(), visual, answer, way, dropped }
    }
}

impl<'a> Study<'a> {
    fn ladder(&self) -> Result<&'a Ladder, TrainError> {
        self.runner.card().ladder.as_ref().ok_or(TrainError::NoLadder)
    }

    fn way(&self) -> Result<Way<'a>, TrainError> {
        Ok(match self.level {
            Level::Rung(rung) => Way::Rung(self.ladder()?, rung),
            Level::Dense => Way::Dense,
        })
    }

    /// What the layers do at the observed level.
    ///
    /// # Errors
    /// At a rung of a model without a ladder.
    pub fn schedule(&self) -> Result<Schedule, TrainError> {
        Ok(self.way()?.schedule(self.runner.card().shape.decoder.n_layers))
    }

    fn request(&self, item: &Item, budget: BudgetRequest) -> Result<Request, TrainError> {
        let settings = GenerationSettings {
            max_new_tokens: Some(self.max_new_tokens),
            ..GenerationSettings::default()
        };
        Ok(Request { budget: Some(budget), settings, ..item.request()? })
    }

    /// The budget by which a request names the observed level.
    fn budget(&self) -> Result<BudgetRequest, TrainError> {
        Ok(match self.level {
            Level::Rung(rung) => BudgetRequest::Rung(self.ladder()?.rung(rung).name().to_owned()),
            Level::Dense => BudgetRequest::Dense,
        })
    }

    /// Prepares questions at the observed level and encodes their pictures.
    fn ready(&self, items: &[Item]) -> Result<Vec<Ready>, TrainError> {
        let ready = |item: &Item| {
            let request = self.request(item, self.budget()?)?;
            let prepared = self.runner.prepare(request).map_err(|error| asked(item, error))?;
            let encode = || self.runner.model().encode(prepared.pictures(), &Cancel::new());
            let visual = match prepared.pictures().is_empty() {
                true => None,
                false => Some(encode().map_err(|error| asked(item, error.into()))?),
            };
            Ok(Ready { prepared, visual })
        };
        items.iter().map(ready).collect()
    }

    fn check(&self) -> Result<(), TrainError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(TrainError::AnalysisStopped),
            false => Ok(()),
        }
    }

    /// Families in the order of their names.
    fn families(&self) -> std::collections::BTreeSet<&'a str> {
        self.data.items.iter().map(|item| item.family.as_str()).collect()
    }
}

fn asked(item: &Item, because: RunError) -> TrainError {
    TrainError::Question { id: item.id.clone(), because }
}
