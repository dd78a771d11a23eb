//! The two lanes: prompts up to their first tokens, and decode steps.

use super::Pressure;
use super::contained::{Panicked, contained};
use super::gate::Share;
use super::shared::{Job, Shared, Taken, Updates};
use super::ticket::{EngineError, Update};
use std::sync::mpsc::{Receiver, Sender, channel};
use visor_runtime::{Backbone, Event, Phase, Prepared, RunError, Runner, Sample};

/// A request that is worked on, without its sample.
struct Flight<'s> {
    shared: &'s Shared,
    number: u64,
    /// To run it again, should another request make the model panic.
    prepared: Prepared,
    /// Memory of its pixels, until they are encoded.
    pixels: Option<Share>,
    updates: Updates,
    /// Tokens that have been sent.
    sent: Vec<u32>,
    decided: bool,
}

/// A request that is worked on.
type Flying<'s, 'r, M> = (Flight<'s>, Sample<'r, M>);

/// What `advance` says of a sample.
type Happened = Option<Result<Event, RunError>>;

/// Works until the engine is closed and everything is done.
pub(super) fn run<M>(runner: &Runner<M>, shared: &Shared)
where
    M: Backbone<AtDecision: Send, Decoding: Send> + Send + Sync,
{
    std::thread::scope(|scope| {
        let (joined, joining) = channel();
        scope.spawn(move || decode_lane(runner, shared, &joining));
        prefill_lane(runner, shared, &joined);
    });
}

fn prefill_lane<'s, 'r, M: Backbone>(
    runner: &'r Runner<M>,
    shared: &'s Shared,
    joined: &Sender<Flying<'s, 'r, M>>,
) {
    while let Some(Taken { jobs, waiting }) = shared.take() {
        let mut flying: Vec<Flying<'_, '_, M>> = Vec::new();
        for (number, job) in jobs {
            flying.push(begin(runner, shared, number, job, waiting));
        }
        let (mut flights, mut samples): (Vec<_>, Vec<_>) = flying.into_iter().unzip();
        match contained(shared, || prefill(runner, &mut samples)) {
            Ok(events) => {
                flights.iter_mut().zip(events).for_each(|(flight, events)| flight.tell_all(events));
            }
            Err(Panicked) if flights.len() == 1 => {
                flights.iter().for_each(|flight| flight.fail(EngineError::Panicked));
            }
            Err(Panicked) => {
                for (flight, sample) in flights.iter_mut().zip(&mut samples) {
                    *sample = runner.start(flight.prepared.clone());
                    let alone = std::slice::from_mut(sample);
                    match contained(shared, || prefill(runner, alone)) {
                        Ok(events) => events.into_iter().for_each(|all| flight.tell_all(all)),
                        Err(Panicked) => flight.fail(EngineError::Panicked),
                    }
                }
            }
        }
        for (mut flight, sample) in flights.into_iter().zip(samples) {
            // From here on it is run again from pictures that are encoded.
            flight.prepared = sample.prepared().clone();
            flight.pixels = None;
            // A decode lane that is gone has nothing to be told; the flight ends as it is dropped.
            if sample.phase() == Phase::Decode {
                let _ = joined.send((flight, sample));
            }
        }
    }
}

/// Takes a request out of the queue, at a lower budget if too many wait.
fn begin<'s, 'r, M: Backbone>(
    runner: &'r Runner<M>,
    shared: &'s Shared,
    number: u64,
    Job { prepared, pixels, updates, queued }: Job,
    waiting: usize,
) -> Flying<'s, 'r, M> {
    let options = shared.options();
    let ladder = runner.card().ladder.as_ref();
    let prepared = match (options.pressure, ladder) {
        (Pressure::Degrade, Some(ladder)) => {
            let rungs = ladder.rungs().len();
            let by = (rungs * waiting / options.queue.get()).min(rungs - 1);
            shared.count(|stats| stats.lowered_by = by);
            let highest = ladder.ids().nth(rungs - 1 - by).unwrap_or(ladder.cheapest());
            runner.lowered(prepared, highest)
        }
        (Pressure::Queue, _) | (Pressure::Degrade, None) => prepared,
    };
    // One who has left has called the request off as well.
    let _ = updates.send(Ok(Update::Started { waited: queued.elapsed() }));
    let sample = runner.start(prepared.clone());
    let (sent, decided) = (Vec::new(), false);
    (Flight { shared, number, prepared, pixels, updates, sent, decided }, sample)
}

/// Runs prompts up to their first tokens; what happened to each.
fn prefill<M: Backbone>(runner: &Runner<M>, samples: &mut [Sample<'_, M>]) -> Vec<Vec<Happened>> {
    let mut events: Vec<Vec<Happened>> = samples.iter().map(|_| Vec::new()).collect();
    // All are in the same stage: none is taken further than its first token.
    while samples.iter().any(|sample| sample.phase() == Phase::Prefill) {
        let happened = runner.advance(samples);
        events.iter_mut().zip(happened).for_each(|(all, one)| all.push(one));
    }
    events
}

fn decode_lane<'s, 'r, M: Backbone>(
    runner: &'r Runner<M>,
    shared: &'s Shared,
    joining: &Receiver<Flying<'s, 'r, M>>,
) {
    let (mut flights, mut samples): (Vec<Flight<'s>>, Vec<Sample<'r, M>>) =
        (Vec::new(), Vec::new());
    loop {
        // Without anything to do it waits for somebody to join, or for the end.
        let first = match flights.is_empty() {
            true => match joining.recv() {
                Ok(first) => Some(first),
                Err(_) => return,
            },
            false => None,
        };
        for (flight, sample) in first.into_iter().chain(joining.try_iter()) {
            flights.push(flight);
            samples.push(sample);
        }
        let tokens = match contained(shared, || runner.advance(&mut samples)) {
            Ok(happened) => {
                let tell = |(flight, happened): (&mut Flight<'s>, Happened)| {
                    usize::from(flight.tell(happened))
                };
                flights.iter_mut().zip(happened).map(tell).sum()
            }
            Err(Panicked) => {
                flights.iter_mut().for_each(|flight| flight.run_alone(runner));
                0_usize
            }
        };
        shared.count(|stats| {
            stats.steps += 1;
            stats.step_tokens += tokens as u64;
        });
        let stays = |sample: &Sample<'_, M>| sample.phase() != Phase::Over;
        (flights, samples) =
            flights.into_iter().zip(samples).filter(|(_, sample)| stays(sample)).unzip();
    }
}

impl Flight<'_> {
    /// Passes on what happened. Whether it was a token.
    fn tell(&mut self, happened: Happened) -> bool {
        match happened {
            None => false,
            Some(Err(error)) => {
                self.fail(error.into());
                false
            }
            Some(Ok(event)) => {
                let token = match &event {
                    Event::Token { id, .. } => Some(*id),
                    _ => None,
                };
                self.decided |= matches!(event, Event::Decided(_));
                self.sent.extend(token);
                // One who has left has called the request off as well.
                let _ = self.updates.send(Ok(Update::Event(event)));
                token.is_some()
            }
        }
    }

    fn tell_all(&mut self, happened: Vec<Happened>) {
        for one in happened {
            self.tell(one);
        }
    }

    fn fail(&self, error: EngineError) {
        let _ = self.updates.send(Err(error));
    }

    /// Runs the request from its beginning to its end, after a panic of the batch that it was in,
    /// and passes on what has not been sent before.
    fn run_alone<M: Backbone>(&mut self, runner: &Runner<M>) {
        let mut sample = runner.start(self.prepared.clone());
        let mut behind = std::mem::take(&mut self.sent).into_iter();
        while sample.phase() != Phase::Over {
            let alone = std::slice::from_mut(&mut sample);
            let Ok(happened) = contained(self.shared, || runner.advance(alone)) else {
                return self.fail(EngineError::Panicked);
            };
            for one in happened {
                match (&one, behind.len()) {
                    (Some(Ok(Event::Decided(_))), _) if self.decided => {}
                    (Some(Ok(Event::Token { id, .. })), 1..) => {
                        if behind.next() != Some(*id) {
                            return self.fail(EngineError::Interrupted);
                        }
                    }
                    _ => {
                        self.tell(one);
                    }
                }
            }
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.shared.end(self.number);
    }
}
