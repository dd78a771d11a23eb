//! A request on its way: what belongs to one sample, alone or in a batch.

use crate::budget::{Decided, Level, Resolved};
use crate::costs::{CostTable, shape_of};
use crate::error::RunError;
use crate::generate::Event;
use crate::model::{Backbone, Logits, Selection, Start};
use crate::outcome::{FinishReason, Outcome, PictureUse, RunCost};
use crate::patches;
use crate::policy::{BudgetPolicy, PolicyError};
use crate::request::Prepared;
use crate::runner::Runner;
use crate::sampler::Sampler;
use crate::stop::{Released, StopFilter};
use crate::timing::Timing;
use std::num::NonZeroUsize;
use visor_core::cost::{Decode, Flops, Keys, Prompt};
use visor_core::{BudgetError, Patches};
use visor_processor::TextStream;

/// A request on its way, for those who decide themselves which requests go together:
/// [`Runner::start`] makes it, [`Runner::advance`] takes it further. It may go from thread to
/// thread and from batch to batch between any two events.
pub struct Sample<'r, M: Backbone> {
    runner: &'r Runner<M>,
    pub(crate) prepared: Prepared,
    pub(crate) stage: Stage<M>,
    pub(crate) timing: Timing,
    /// What cross-attention reads, where something was chosen.
    selection: Option<Selection>,
    /// FLOPs of what was made of its pictures before.
    pub(crate) spared: Flops,
    /// How many those are.
    pub(crate) cached: usize,
    /// What the stage that ran last brought.
    pub(crate) event: Option<Result<Event, RunError>>,
    sampler: Sampler,
    text: TextStream<'r>,
    stop: StopFilter,
    answer: Answer,
}

/// Where a sample is; each state holds what the next one needs and no more.
pub(crate) enum Stage<M: Backbone> {
    Ready,
    Decided { state: M::AtDecision, decided: Decided },
    Decoding { state: M::Decoding, decided: Decided, last: u32 },
    Complete { decided: Decided, finish_reason: FinishReason },
    Over,
}

/// What is to be done next for a request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its prompt, up to the first token of the answer.
    Prefill,
    /// The next token, or the end of the answer.
    Decode,
    /// Nothing.
    Over,
}

#[derive(Debug, Default)]
struct Answer {
    text: String,
    ids: Vec<u32>,
    decode: Flops,
}

impl<'r, M: Backbone> Sample<'r, M> {
    pub(crate) fn new(runner: &'r Runner<M>, prepared: Prepared) -> Self {
        Self {
            runner,
            stage: Stage::Ready,
            timing: Timing {
                preprocess: prepared.spent,
                total: prepared.spent,
                ..Timing::default()
            },
            selection: None,
            spared: Flops(0),
            cached: 0,
            event: None,
            sampler: Sampler::new(prepared.settings.sampling),
            text: runner.tokenizer.stream(true),
            stop: StopFilter::new(&prepared.settings.stop),
            answer: Answer::default(),
            prepared,
        }
    }

    /// What is to be done next.
    pub fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Ready | Stage::Decided { .. } => Phase::Prefill,
            Stage::Decoding { .. } | Stage::Complete { .. } => Phase::Decode,
            Stage::Over => Phase::Over,
        }
    }

    /// What it was started with, to start it again. Once its pictures are encoded it holds them so,
    /// and no pixels.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Takes the stage out; a sample that was called off with work left is over.
    pub(crate) fn take_stage(&mut self) -> Stage<M> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        match (&stage, self.prepared.cancel.check()) {
            (Stage::Complete { .. } | Stage::Over, _) | (_, Ok(())) => stage,
            (_, Err(cancelled)) => {
                self.event = Some(Err(cancelled.into()));
                Stage::Over
            }
        }
    }

    /// Text tokens that the caches must hold: the last token of an answer is never fed back.
    pub(crate) fn capacity(&self) -> usize {
        self.prepared.prompt.n_text() + self.prepared.max_new_tokens - 1
    }

    pub(crate) fn start(&self) -> Start<'r> {
        let routing = self.policy().and_then(BudgetPolicy::routing_token);
        match (self.prepared.resolved, &self.runner.card().ladder) {
            (Resolved::Decided { level: Level::Dense, .. }, _) | (_, None) => Start::Dense,
            (_, Some(ladder)) => {
                Start::Budgeted { ladder, routing, patches: self.prepared.patches }
            }
        }
    }

    /// The policy, where the request leaves the budget to it.
    fn policy(&self) -> Option<&'r dyn BudgetPolicy> {
        if self.prepared.resolved.is_by_policy() { self.runner.policy() } else { None }
    }

    /// Decides at the decision layer.
    pub(crate) fn decide(&mut self, state: M::AtDecision) -> Result<Event, RunError> {
        self.selection = self.runner.model.selection(&state).cloned();
        self.recount();
        let decided = self.decided(&state)?;
        let state = self.narrow(state, &decided)?;
        self.stage = Stage::Decided { state, decided: decided.clone() };
        Ok(Event::Decided(decided))
    }

    /// Counts costs anew, now that it is known how many patches are read.
    fn recount(&mut self) {
        let Some(selection) = &self.selection else { return };
        let Prompt { keys, .. } = &mut self.prepared.sizes;
        if let Keys::Selected { n_keys, .. } = keys {
            *n_keys = selection.patches.len();
        }
        let policy = self.policy().map(|policy| policy as &dyn BudgetPolicy);
        let card = self.runner.card();
        self.prepared.costs = CostTable::new(card, self.prepared.sizes, shape_of(policy));
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
        let choice = policy.choose(&seen, ladder, &costs.weighed(), self.prepared.thrift)?;
        expect_width(choice.probabilities.len(), ladder.rungs().len())?;
        Ok(Decided::by_policy(costs, &choice, highest))
    }

    /// At a pair, lets the question choose patches before the remaining layers read them.
    fn narrow(
        &mut self,
        mut state: M::AtDecision,
        decided: &Decided,
    ) -> Result<M::AtDecision, RunError> {
        let most = decided.patches.map(NonZeroUsize::get);
        if let Some(most) = most.filter(|most| *most < self.prepared.prompt.n_visual()) {
            self.runner.model.select(&mut state, most)?;
            self.selection = self.runner.model.selection(&state).cloned();
        }
        Ok(state)
    }

    /// The sizes of the prompt at what was decided.
    fn sizes(&self, level: Level) -> Prompt {
        let (card, sizes) = (self.runner.card(), self.prepared.sizes);
        match (level, &card.ladder) {
            (Level::Rung(rung), Some(ladder)) => {
                Prompt { keys: patches::at(card, ladder, rung, sizes), ..sizes }
            }
            (Level::Dense, _) | (Level::Rung(_), None) => sizes,
        }
    }

    /// Chooses a token, and where to go from here.
    pub(crate) fn choose(
        &mut self,
        logits: &Logits,
        state: M::Decoding,
        decided: Decided,
    ) -> Result<Event, RunError> {
        let step = self.answer.ids.len() + 1;
        let ruled = self.runner.card().ruled(logits, &self.prepared.prompt, &self.answer.ids);
        let none = || match logits.0.iter().all(|score| score.is_finite()) {
            true => RunError::NothingAllowed { step },
            false => RunError::NonFinite { step },
        };
        let id = self.sampler.pick(&ruled).ok_or_else(none)?;
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

    /// Counts the decode step that was just done, by the formula.
    pub(crate) fn count_step(&mut self, decided: &Decided) {
        let card = self.runner.card();
        let prompt = &self.prepared.prompt;
        let n_visual = prompt.n_visual();
        let context = prompt.n_text() + self.answer.ids.len();
        let at = Decode { context, n_visual, looks: self.sizes(decided.level).looks() };
        self.answer.decode += card.shape.decoder.decode_step(&decided.schedule(card), at);
    }

    /// The outcome of a complete answer.
    pub(crate) fn outcome(&mut self, decided: Decided, finish_reason: FinishReason) -> Outcome {
        let Prepared { prompt, costs, requested, patches, .. } = &self.prepared;
        let Answer { text, ids, decode } = std::mem::take(&mut self.answer);
        let chosen = costs.of(decided.level);
        let cost = RunCost {
            cold: chosen.scopes,
            dense: costs.dense.scopes,
            spent: chosen.scopes.end_to_end - self.spared,
            decode,
            kv_bytes: chosen.kv_bytes,
        };
        Outcome {
            text,
            token_ids: ids,
            finish_reason,
            prompt_tokens: prompt.len(),
            visual_tokens: prompt.n_visual(),
            pictures: PictureUse { shown: self.prepared.shown.len(), cached: self.cached },
            requested: requested.clone(),
            patches: decided.patches.map_or(*patches, Patches::Count),
            decided,
            selection: self.selection.take(),
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

impl<M: Backbone> std::fmt::Debug for Sample<'_, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sample")
            .field("answer", &self.answer)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
