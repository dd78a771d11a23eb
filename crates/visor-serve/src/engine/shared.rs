//! What the lanes of an engine and those who ask it share: the queue, and counts.

use super::gate::Share;
use super::pace::Pace;
use super::queue::FairQueue;
use super::ticket::{EngineError, Refused, Update};
use super::{Client, EngineOptions};
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;
use visor_runtime::{Cancel, Prepared};

/// Where the updates of a request go.
pub(super) type Updates = UnboundedSender<Result<Update, EngineError>>;

/// A request in the queue.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) prepared: Prepared,
    /// Memory of its pixels.
    pub(super) pixels: Option<Share>,
    pub(super) updates: Updates,
    pub(super) queued: Instant,
}

impl Job {
    fn is_gone(&self) -> bool {
        self.prepared.cancel().is_cancelled() || self.updates.is_closed()
    }
}

/// What is going on in an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Requests that wait.
    pub queued: usize,
    /// Requests that are worked on.
    pub running: usize,
    /// Bytes of keys and values that these can come to hold.
    pub kv_bytes: u64,
    /// Requests that were refused, because too many waited.
    pub refused: u64,
    /// Panics of the model that were contained.
    pub panics: u64,
    /// Decode steps, however many requests each took.
    pub steps: u64,
    /// Tokens of all requests that decode steps gave.
    pub step_tokens: u64,
    /// Rungs by which the highest budget was lowered for the request that began last.
    pub lowered_by: usize,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told of everything that the prefill lane waits for.
    changed: Condvar,
    options: EngineOptions,
}

#[derive(Debug)]
struct State {
    queue: FairQueue<Job>,
    running: HashMap<u64, Running>,
    next: u64,
    closing: bool,
    stats: EngineStats,
    pace: Pace,
}

/// A request that is worked on.
#[derive(Debug)]
struct Running {
    cancel: Cancel,
    /// Bytes of keys and values that it can come to hold.
    kv_bytes: u64,
}

/// What the prefill lane is to do next.
pub(super) struct Taken {
    pub(super) jobs: Vec<(u64, Job)>,
    /// How full the queue was, of [`EngineOptions::queue`].
    pub(super) waiting: usize,
}

impl Shared {
    pub(super) fn new(options: EngineOptions) -> Self {
        let state = State {
            queue: FairQueue::new(options.queue.get()),
            running: HashMap::new(),
            next: 0,
            closing: false,
            stats: EngineStats::default(),
            pace: Pace::default(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), options }
    }

    pub(super) fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Nothing that is done under the lock stops halfway, so that a panic elsewhere leaves it
    /// whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, client: Client, job: Job) -> Result<(), Refused> {
        self.expect_room(job.prepared.kv_bytes())?;
        let mut state = self.state();
        if state.closing {
            return Err(Refused::Closing);
        }
        if state.queue.len() + state.running.len() == 0 {
            state.pace.begin(Instant::now());
        }
        if let Err(job) = state.queue.push(client, job) {
            // Those whose clients have left make room.
            state.queue.take_if(Job::is_gone);
            if state.queue.push(client, job).is_err() {
                return Err(state.refuse());
            }
        }
        self.changed.notify_all();
        Ok(())
    }

    pub(super) fn expect_room(&self, kv_bytes: u64) -> Result<(), Refused> {
        let room = self.options.kv_memory;
        if kv_bytes <= room { Ok(()) } else { Err(Refused::TooLarge { kv_bytes, room }) }
    }

    pub(super) fn refuse(&self) -> Refused {
        self.state().refuse()
    }

    /// Waits for requests and takes as many as go through a prefill together. `None` at the end.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.state();
        loop {
            state.queue.take_if(Job::is_gone);
            let waiting = state.queue.len();
            let jobs = state.together(&self.options);
            if !jobs.is_empty() {
                return Some(Taken { jobs, waiting });
            }
            if state.closing && waiting == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A request that was taken is over.
    pub(super) fn end(&self, number: u64) {
        let mut state = self.state();
        state.running.remove(&number);
        state.pace.end(Instant::now());
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }

    pub(super) fn call_off(&self) {
        let mut state = self.state();
        state.running.values().for_each(|running| running.cancel.cancel());
        drop(state.queue.take_if(|_| true));
        self.changed.notify_all();
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut EngineStats)) {
        count(&mut self.state().stats);
    }

    pub(super) fn stats(&self) -> EngineStats {
        let state = self.state();
        let (queued, running) = (state.queue.len(), state.running.len());
        EngineStats { queued, running, kv_bytes: state.kv_bytes(), ..state.stats }
    }
}

impl State {
    /// Too many wait.
    fn refuse(&mut self) -> Refused {
        self.stats.refused += 1;
        let waiting = self.queue.len();
        Refused::Full { waiting, retry_after: self.pace.room_behind(waiting) }
    }

    /// Bytes of keys and values that those who are worked on can come to hold.
    fn kv_bytes(&self) -> u64 {
        self.running.values().map(|running| running.kv_bytes).sum()
    }

    /// The jobs whose turn it is, as far as there is room for them: to be worked on, for their keys
    /// and values, and for their prompts to go through a prefill together. A longer prompt goes
    /// alone.
    fn together(&mut self, options: &EngineOptions) -> Vec<(u64, Job)> {
        let mut jobs: Vec<(u64, Job)> = Vec::new();
        let mut tokens = options.prefill_tokens.get();
        let mut room = options.kv_memory.saturating_sub(self.kv_bytes());
        while self.running.len() < options.batch.get() {
            let fits = |Job { prepared, .. }: &Job| {
                (jobs.is_empty() || prepared.prompt().len() <= tokens)
                    && prepared.kv_bytes() <= room
            };
            let Some(job) = self.queue.pop_if(fits) else { break };
            let (cancel, kv_bytes) = (job.prepared.cancel().clone(), job.prepared.kv_bytes());
            tokens = tokens.saturating_sub(job.prepared.prompt().len());
            room -= kv_bytes;
            self.running.insert(self.next, Running { cancel, kv_bytes });
            jobs.push((self.next, job));
            self.next += 1;
        }
        jobs
    }
}
