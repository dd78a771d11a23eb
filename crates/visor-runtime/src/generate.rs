//! Running requests: one as an iterator of what happens, several as a batch of outcomes.

use crate::budget::Decided;
use crate::error::RunError;
use crate::model::Backbone;
use crate::outcome::Outcome;
use crate::request::Prepared;
use crate::runner::Runner;
use crate::sample::Sample;
use crate::stages::advance;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The budget of the sample is decided. Comes first, once.
    Decided(Decided),
    /// A token was generated.
    Token {
        /// The token.
        id: u32,
        /// The text that became certain with it, possibly none. All of them together are the
        /// answer.
        text: String,
    },
    /// The answer is complete. Comes last, once.
    Finished(Box<Outcome>),
}

/// A running request. Each call of `next` does the work up to the next event; after an error there
/// are no more events.
pub struct Generation<'r, M: Backbone> {
    runner: &'r Runner<M>,
    sample: Sample<'r, M>,
}

impl<M: Backbone> Iterator for Generation<'_, M> {
    type Item = Result<Event, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        advance(self.runner, std::slice::from_mut(&mut self.sample)).into_iter().flatten().next()
    }
}

impl<'r, M: Backbone> Generation<'r, M> {
    pub(crate) fn new(runner: &'r Runner<M>, prepared: Prepared) -> Self {
        Self { runner, sample: Sample::new(runner, prepared) }
    }

    /// Runs the request to its end.
    ///
    /// # Errors
    /// The first one that an event brings.
    ///
    /// # Panics
    /// If the last event has been taken already.
    pub fn finish(self) -> Result<Outcome, RunError> {
        let mut outcome = None;
        for event in self {
            if let Event::Finished(finished) = event? {
                outcome = Some(*finished);
            }
        }
        Ok(outcome.expect("the last event, an error or the outcome, has not been taken yet"))
    }
}

impl<M: Backbone> std::fmt::Debug for Generation<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("sample", &self.sample).finish_non_exhaustive()
    }
}

impl<M: Backbone> Runner<M> {
    /// Begins a request, without working on it.
    pub fn start(&self, prepared: Prepared) -> Sample<'_, M> {
        Sample::new(self, prepared)
    }

    /// Takes every sample one event further, those in the same stage together: of a prefill up to
    /// the decision, then up to the first token, then a decode step each. Samples may join and leave
    /// between two calls. One entry a sample: what happened to it, `None` for one that is over.
    ///
    /// The samples must have been started by this runner. If a panic of the model leaves this call,
    /// all samples of it are over.
    pub fn advance(&self, samples: &mut [Sample<'_, M>]) -> Vec<Option<Result<Event, RunError>>> {
        advance(self, samples)
    }
}

/// Runs requests together to their ends: one result a request, in their order.
pub(crate) fn answer_batch<M: Backbone>(
    runner: &Runner<M>,
    batch: Vec<Prepared>,
) -> Vec<Result<Outcome, RunError>> {
    let samples = batch.into_iter().map(|prepared| Sample::new(runner, prepared));
    let mut samples: Vec<Sample<'_, M>> = samples.collect();
    let mut answers: Vec<_> = samples.iter().map(|_| None).collect();
    loop {
        let events = advance(runner, &mut samples);
        if events.iter().all(Option::is_none) {
            break;
        }
        for (answer, event) in answers.iter_mut().zip(events) {
            match event {
                Some(Ok(Event::Finished(outcome))) => *answer = Some(Ok(*outcome)),
                Some(Err(error)) => *answer = Some(Err(error)),
                Some(Ok(Event::Decided(_) | Event::Token { .. })) | None => {}
            }
        }
    }
    let end = |answer: Option<_>| answer.expect("a sample ends with its outcome or an error");
    answers.into_iter().map(end).collect()
}
