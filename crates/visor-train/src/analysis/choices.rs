//! How every rung answers, and which one a policy picks (VISOR, Figs. 6 and 7).

use super::{BATCH, Study, Tell, asked};
use crate::data::Item;
use crate::error::TrainError;
use visor_core::{BudgetRequest, Thrift};
use visor_runtime::{Decided, Event, Level, Request, RunError};

/// What a policy picked for a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The rung's place in the ladder, the cheapest 0.
    pub rung: usize,
    /// Self-attention layers that it runs.
    pub self_attention_layers: usize,
}

impl Study<'_> {
    /// Asks every question at every rung: one list of scores a rung, cheapest first, in the order
    /// of the questions.
    ///
    /// # Errors
    /// Of a stock model, if a question cannot be asked, or [`TrainError::AnalysisStopped`].
    pub fn rung_scores(&self, tell: Tell<'_>) -> Result<Vec<Vec<f32>>, TrainError> {
        let rungs = self.ladder()?.rungs();
        let mut scores = vec![Vec::with_capacity(self.data.items.len()); rungs.len()];
        for items in self.data.items.chunks(BATCH) {
            for (rung, scores) in rungs.iter().zip(&mut scores) {
                self.check()?;
                scores.extend(self.answered(items, rung.name())?);
            }
            tell("answers at every rung", scores[0].len(), self.data.items.len());
        }
        Ok(scores)
    }

    fn answered(&self, items: &[Item], rung: &str) -> Result<Vec<f32>, TrainError> {
        let prepare = |item: &Item| {
            let request = self.request(item, BudgetRequest::Rung(rung.to_owned()))?;
            self.runner.prepare(request).map_err(|error| asked(item, error))
        };
        let batch = items.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let outcomes = self.runner.answer_batch(batch);
        let score = |(item, outcome): (&Item, Result<visor_runtime::Outcome, RunError>)| {
            let outcome = outcome.map_err(|error| asked(item, error))?;
            Ok(item.score(&outcome.text))
        };
        items.iter().zip(outcomes).map(score).collect()
    }

    /// Asks the policy what it picks for every question; at its own thrift where none is given.
    ///
    /// # Errors
    /// Without a policy, if a question cannot be asked, or [`TrainError::AnalysisStopped`].
    pub fn choices(
        &self,
        thrift: Option<Thrift>,
        tell: Tell<'_>,
    ) -> Result<Vec<Choice>, TrainError> {
        let mut choices = Vec::with_capacity(self.data.items.len());
        for item in &self.data.items {
            self.check()?;
            let request = Request { thrift, ..self.request(item, BudgetRequest::Auto)? };
            let prepared = self.runner.prepare(request).map_err(|error| asked(item, error))?;
            let decided =
                decided(self.runner.generate(prepared)).map_err(|error| asked(item, error))?;
            let Level::Rung(rung) = decided.level else { return Err(TrainError::NoLadder) };
            choices.push(Choice {
                rung: rung.index(),
                self_attention_layers: decided.self_attention_layers.len(),
            });
            tell("what the policy picks", choices.len(), self.data.items.len());
        }
        Ok(choices)
    }
}

/// The first event of a generation; the rest is not run.
fn decided(
    mut generation: impl Iterator<Item = Result<Event, RunError>>,
) -> Result<Decided, RunError> {
    match generation.next() {
        Some(Ok(Event::Decided(decided))) => Ok(decided),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => unreachable!("a generation begins with its decision"),
    }
}
