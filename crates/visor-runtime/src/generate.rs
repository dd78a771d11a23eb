//! The way of one sample through the model, as an iterator of what happens.

use crate::budget::{Decided, Level, Resolved};
use crate::error::RunError;
use crate::model::{Backbone, Logits, Start};
use crate::outcome::{FinishReason, Outcome, RunCost};
use crate::policy::{BudgetPolicy, PolicyError};
use crate::request::Prepared;
use crate::runner::Runner;
use crate::sampler::Sampler;
use crate::stop::{Released, StopFilter};
use crate::timing::{Timing, timed};
use std::time::Duration;
use visor_core::BudgetError;
use visor_core::cost::{Decode, Flops};
use visor_processor::TextStream;

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
    prepared: Prepared,
    stage: Stage<M>,
    sampler: Sampler,
    text: TextStream<'r>,
    stop: StopFilter,
    answer: Answer,
    timing: Timing,
}

/// Where a sample is; each state holds what the next one needs and no more.
enum Stage<M: Backbone> {
    Ready,
    Decided { state: M::AtDecision, decided: Decided },
    Decoding { state: M::Decoding, decided: Decided, last: u32 },
    Complete { decided: Decided, finish_reason: FinishReason },
    Over,
}

#[derive(Debug, Default)]
struct Answer {
    text: String,
    ids: Vec<u32>,
    decode: Flops,
}

impl<M: Backbone> Iterator for Generation<'_, M> {
    type Item = Result<Event, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Ready => Some(self.decide()),
            Stage::Decided { state, decided } => Some(self.first_token(state, decided)),
            Stage::Decoding { state, decided, last } => {
                Some(self.later_token(state, decided, last))
            }
            Stage::Complete { decided, finish_reason } => {
                Some(Ok(Event::Finished(Box::new(self.outcome(decided, finish_reason)))))
            }
            Stage::Over => None,
        }
    }
}

impl<'r, M: Backbone> Generation<'r, M> {
    pub(crate) fn new(runner: &'r Runner<M>, prepared: Prepared) -> Self {
        Self {
            runner,
            stage: Stage::Ready,
            sampler: Sampler::new(prepared.settings.sampling),
            text: runner.tokenizer.stream(true),
            stop: StopFilter::new(&prepared.settings.stop),
            answer: Answer::default(),
            timing: Timing {
                preprocess: prepared.spent,
                total: prepared.spent,
                ..Timing::default()
            },
            prepared,
        }
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

    /// Encodes the pictures, runs the layers before the decision, and decides.
    fn decide(&mut self) -> Result<Event, RunError> {
        let Prepared { prompt, pictures, cancel, .. } = &self.prepared;
        let model = &self.runner.model;
        cancel.check()?;
        let (mut encode, mut prefill) = (Duration::ZERO, Duration::ZERO);
        let visual = timed(&mut encode, || match pictures.is_empty() {
            true => Ok(None),
            false => model.encode(pictures, cancel).map(Some),
        })?;
        // The last token of an answer is never fed back.
        let capacity = prompt.n_text() + self.prepared.max_new_tokens - 1;
        let (visual, start) = (visual.as_ref(), self.start());
        let state = timed(&mut prefill, || {
            model.prefill_to_decision(prompt, visual, start, capacity, cancel)
        })?;
        let decided = timed(&mut prefill, || self.decided(&state))?;
        self.timing.encode += encode;
        self.timing.prefill += prefill;
        self.timing.total += encode + prefill;
        self.stage = Stage::Decided { state, decided: decided.clone() };
        Ok(Event::Decided(decided))
    }

    /// The policy, where the request leaves the budget to it.
    fn policy(&self) -> Option<&'r dyn BudgetPolicy> {
        if self.prepared.resolved.is_by_policy() { self.runner.policy() } else { None }
    }

    fn start(&self) -> Start<'r> {
        let routing = self.policy().and_then(BudgetPolicy::routing_token);
        match (self.prepared.resolved, &self.runner.card().ladder) {
            (Resolved::Decided { level: Level::Dense, .. }, _) | (_, None) => Start::Dense,
            (_, Some(ladder)) => Start::Budgeted { ladder, routing },
        }
    }

    fn decided(&self, state: &M::AtDecision) -> Result<Decided, RunError> {
        let costs = &self.prepared.costs;
        let highest = match self.prepared.resolved {
            Resolved::Decided { level, basis } => return Ok(Decided::new(costs, level, basis)),
            Resolved::ByPolicy { highest } => highest,
        };
        let Some((policy, ladder)) = self.policy().zip(self.runner.card().ladder.as_ref()) else {
            // Prepared by another runner, which had a policy.
            return Err(BudgetError::NoPolicy { legal: costs.names() }.into());
        };
        let seen = self.runner.model.routing_state(state);
        let choice = policy.choose(&seen, ladder, &costs.lm_prefill(), self.prepared.thrift)?;
        expect_width(choice.probabilities.len(), ladder.rungs().len())?;
        Ok(Decided::by_policy(costs, &choice, highest))
    }

    /// Runs the remaining layers and chooses the first token.
    fn first_token(&mut self, state: M::AtDecision, decided: Decided) -> Result<Event, RunError> {
        let (runner, cancel) = (self.runner, &self.prepared.cancel);
        cancel.check()?;
        let schedule = decided.schedule(runner.card());
        let mut spent = Duration::ZERO;
        let (logits, state) =
            timed(&mut spent, || runner.model.prefill_rest(state, &schedule, cancel))?;
        let event = timed(&mut spent, || self.choose(&logits, state, decided))?;
        self.timing.prefill += spent;
        self.timing.total += spent;
        self.timing.first_token = self.timing.total;
        Ok(event)
    }

    /// One decode step.
    fn later_token(
        &mut self,
        mut state: M::Decoding,
        decided: Decided,
        last: u32,
    ) -> Result<Event, RunError> {
        self.prepared.cancel.check()?;
        let runner = self.runner;
        let mut spent = Duration::ZERO;
        let logits = timed(&mut spent, || runner.model.decode_step(&mut state, last))?;
        self.answer.decode += self.step_cost(&decided);
        let event = timed(&mut spent, || self.choose(&logits, state, decided))?;
        self.timing.decode += spent;
        self.timing.total += spent;
        Ok(event)
    }

    /// Chooses a token, and where to go from here.
    fn choose(
        &mut self,
        logits: &Logits,
        state: M::Decoding,
        decided: Decided,
    ) -> Result<Event, RunError> {
        let step = self.answer.ids.len() + 1;
        let id = self.sampler.pick(logits).ok_or(RunError::NonFinite { step })?;
        self.answer.ids.push(id);
        let ends = self.runner.card().eos.contains(&id);
        let piece = if ends { None } else { self.text.push(id)? };
        let released = self.stop.push(&piece.unwrap_or_default());
        let full = self.answer.ids.len() == self.prepared.max_new_tokens;
        let (mut text, finish_reason) = match released {
            Released::Stopped(text) => (text, Some(FinishReason::Stop)),
            Released::Text(text) if ends => (text, Some(FinishReason::Eos)),
            Released::Text(text) if full => (text, Some(FinishReason::Length)),
            Released::Text(text) => (text, None),
        };
        self.stage = match finish_reason {
            Some(finish_reason) => {
                text.push_str(&self.stop.finish());
                Stage::Complete { decided, finish_reason }
            }
            None => Stage::Decoding { state, decided, last: id },
        };
        self.answer.text.push_str(&text);
        Ok(Event::Token { id, text })
    }

    /// What the decode step that was just done costs by the formula.
    fn step_cost(&self, decided: &Decided) -> Flops {
        let card = self.runner.card();
        let prompt = &self.prepared.prompt;
        let n_visual = prompt.n_visual();
        let context = prompt.n_text() + self.answer.ids.len();
        let at = Decode { context, n_visual, n_keys: n_visual };
        card.shape.decoder.decode_step(&decided.schedule(card), at)
    }

    fn outcome(&mut self, decided: Decided, finish_reason: FinishReason) -> Outcome {
        let Prepared { prompt, costs, requested, .. } = &self.prepared;
        let Answer { text, ids, decode } = std::mem::take(&mut self.answer);
        let chosen = costs.of(decided.level);
        let cost = RunCost {
            cold: chosen.scopes,
            dense: costs.dense.scopes,
            spent: chosen.scopes.end_to_end,
            decode,
            kv_bytes: chosen.kv_bytes,
        };
        Outcome {
            text,
            token_ids: ids,
            finish_reason,
            prompt_tokens: prompt.len(),
            visual_tokens: prompt.n_visual(),
            requested: requested.clone(),
            decided,
            cost,
            timing: self.timing,
        }
    }
}

/// A policy of another ladder would choose by another meaning of its numbers.
fn expect_width(got: usize, rungs: usize) -> Result<(), PolicyError> {
    if got == rungs {
        return Ok(());
    }
    Err(PolicyError::Width { what: "rungs", expected: got, got: rungs })
}

impl<M: Backbone> std::fmt::Debug for Generation<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("answer", &self.answer)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
