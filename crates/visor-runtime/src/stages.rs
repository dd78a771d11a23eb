//! The stages of a batch of samples. A single request is a batch of one.
//!
//! In every stage the model works once for all samples, then each sample goes on by itself. One
//! that fails is over; the others do not notice.

use crate::budget::Decided;
use crate::error::RunError;
use crate::generate::Event;
use crate::model::{Backbone, BackboneError, Prefill, Remaining, Step, together};
use crate::pictures::Encoded;
use crate::request::Prepared;
use crate::runner::Runner;
use crate::sample::{Sample, Stage};
use crate::timing::timed;
use std::sync::Arc;
use std::time::Duration;
use visor_core::Schedule;

/// A sample at the decision layer.
type AtDecision<'s, 'r, M> = (&'s mut Sample<'r, M>, <M as Backbone>::AtDecision, Decided);

/// A sample between two decode steps.
struct Decoding<'s, 'r, M: Backbone> {
    sample: &'s mut Sample<'r, M>,
    state: M::Decoding,
    decided: Decided,
    last: u32,
}

/// Takes every sample one event further, those of a stage together. One entry a sample: `None` for
/// one that is over.
pub(crate) fn advance<M: Backbone>(
    runner: &Runner<M>,
    samples: &mut [Sample<'_, M>],
) -> Vec<Option<Result<Event, RunError>>> {
    let (mut ready, mut decided, mut decoding) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples.iter_mut() {
        match sample.take_stage() {
            Stage::Ready => ready.push(sample),
            Stage::Decided { state, decided: what } => decided.push((sample, state, what)),
            Stage::Decoding { state, decided, last } => {
                decoding.push(Decoding { sample, state, decided, last });
            }
            Stage::Complete { decided, finish_reason } => {
                let outcome = sample.outcome(decided, finish_reason);
                sample.event = Some(Ok(Event::Finished(Box::new(outcome))));
            }
            Stage::Over => {}
        }
    }
    if !ready.is_empty() {
        decide(runner, ready);
    }
    if !decided.is_empty() {
        choose_first(runner, decided);
    }
    if !decoding.is_empty() {
        choose_next(runner, decoding);
    }
    samples.iter_mut().map(|sample| sample.event.take()).collect()
}

/// Encodes the pictures, runs the layers before the decision, and decides.
fn decide<M: Backbone>(runner: &Runner<M>, mut samples: Vec<&mut Sample<'_, M>>) {
    let (mut encode, mut prefill) = (Duration::ZERO, Duration::ZERO);
    let prepared: Vec<&Prepared> = samples.iter().map(|sample| &sample.prepared).collect();
    let encoded = timed(&mut encode, || Encoded::new(runner, &prepared));
    let states = timed(&mut prefill, || prefill_to_decision(runner, &samples, &encoded));
    for (index, (sample, state)) in samples.iter_mut().zip(states).enumerate() {
        sample.spared = encoded.spared(index, &sample.prepared, &runner.card().shape);
        sample.cached = encoded.found(index);
        if let Some(shown) = encoded.held(&runner.model, index, &sample.prepared.shown) {
            // Nobody needs pixels any more, and they take many times what they were encoded to.
            (sample.prepared.shown, sample.prepared.pictures) = (shown, Arc::default());
        }
        sample.event = Some(timed(&mut prefill, || sample.decide(state?)));
    }
    for sample in samples {
        sample.timing.encode += encode;
        sample.timing.prefill += prefill;
        sample.timing.total += encode + prefill;
    }
}

fn prefill_to_decision<M: Backbone>(
    runner: &Runner<M>,
    samples: &[&mut Sample<'_, M>],
    encoded: &Encoded<M::Visual>,
) -> Vec<Result<M::AtDecision, BackboneError>> {
    let samples = samples.iter().enumerate().map(|(index, sample)| {
        let Prepared { prompt, cancel, .. } = &sample.prepared;
        let visual = encoded.of(index)?;
        Ok(Prefill { prompt, visual, start: sample.start(), capacity: sample.capacity(), cancel })
    });
    let samples = samples.collect();
    together(samples, |samples| runner.model.prefill_to_decision_batch(&samples))
}

/// Runs the remaining layers and chooses the first tokens.
fn choose_first<M: Backbone>(runner: &Runner<M>, samples: Vec<AtDecision<'_, '_, M>>) {
    let mut spent = Duration::ZERO;
    let schedules: Vec<Schedule> =
        samples.iter().map(|(_, _, decided)| decided.schedule(runner.card())).collect();
    let (mut samples, states): (Vec<_>, Vec<_>) =
        samples.into_iter().map(|(sample, state, decided)| ((sample, decided), state)).unzip();
    let remaining = states.into_iter().zip(&schedules).zip(&samples);
    let remaining = remaining.map(|((state, schedule), (sample, _))| {
        let cancel = &sample.prepared.cancel;
        Remaining { state, schedule, cancel }
    });
    let remaining = remaining.collect();
    let results = timed(&mut spent, || runner.model.prefill_rest_batch(remaining));
    for ((sample, decided), result) in samples.iter_mut().zip(results) {
        sample.event = Some(timed(&mut spent, || {
            let (logits, state) = result?;
            sample.spared += runner.model.spared(&state);
            runner.reweigh(&sample.prepared.shown);
            sample.choose(&logits, state, decided.clone())
        }));
    }
    for (sample, _) in samples {
        sample.timing.prefill += spent;
        sample.timing.total += spent;
        sample.timing.first_token = sample.timing.total;
    }
}

/// Takes one decode step.
fn choose_next<M: Backbone>(runner: &Runner<M>, mut samples: Vec<Decoding<'_, '_, M>>) {
    let mut spent = Duration::ZERO;
    let steps = samples.iter_mut().map(|Decoding { state, last, .. }| Step { state, token: *last });
    let mut steps: Vec<_> = steps.collect();
    let results = timed(&mut spent, || runner.model.decode_step_batch(&mut steps));
    let mut done = Vec::new();
    for (Decoding { sample, state, decided, .. }, result) in samples.into_iter().zip(results) {
        sample.event = Some(timed(&mut spent, || {
            let logits = result?;
            sample.count_step(&decided);
            sample.choose(&logits, state, decided)
        }));
        done.push(sample);
    }
    for sample in done {
        sample.timing.decode += spent;
        sample.timing.total += spent;
    }
}
