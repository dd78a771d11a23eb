//! The engine: one model, any number of requests, joined and left between decode steps.
//!
//! Two lanes of one engine share the model, whose weights nobody changes. The *prefill lane* takes
//! requests from a fair, bounded queue, encodes their pictures and runs their prompts up to the
//! first token, several together as far as a bound on their tokens allows. The *decode lane* owns
//! the requests that generate and takes them all one step at a time, whatever their rungs; a
//! request joins it between two steps and leaves it with its last token, with an error, or when it
//! is called off. A long prefill therefore stalls no decoding, and no request waits for another to
//! end.
//!
//! A request is begun when there is room for the keys and values that it can come to hold beside
//! those of all that run; one that must wait for room holds back those behind it, so that it does
//! not wait for ever. Its pixels are dropped once its pictures are encoded.
//!
//! A panic of the model ends at most the request that causes it: the others of its pass are run
//! again, each by itself. Nothing here knows of HTTP.

mod contained;
mod gate;
mod lanes;
mod pace;
mod queue;
mod shared;
mod ticket;

pub use gate::{Gate, GateError, Share};
pub use shared::EngineStats;
pub use ticket::{EngineError, Refused, Ticket, Update};

use lanes::run;
use shared::{Job, Shared};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use visor::{Model, VisorModel};
use visor_runtime::{Backbone, Prepared, Runner};

/// Whose requests are served in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(pub u64);

/// What happens to budgets when too much is asked at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pressure {
    /// Requests wait.
    #[default]
    Queue,
    /// The highest rung falls as the queue fills, and rises as it empties. A rung that was asked
    /// for by name is given all the same.
    Degrade,
}

/// How an engine works.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Requests that may wait.
    pub queue: NonZeroUsize,
    /// Requests that may be worked on at once.
    pub batch: NonZeroUsize,
    /// Tokens of the prompts that go through the layers together; a longer prompt goes alone.
    pub prefill_tokens: NonZeroUsize,
    /// Bytes of keys and values that the requests that are worked on can come to hold, all
    /// together.
    pub kv_memory: u64,
    /// What happens when the queue fills.
    pub pressure: Pressure,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let number = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Self {
            queue: number(128),
            batch: number(32),
            prefill_tokens: number(2048),
            kv_memory: 4 << 30,
            pressure: Pressure::Queue,
        }
    }
}

/// What has a runner that an engine may own.
pub trait Serves: Send + Sync + 'static {
    /// The network.
    type Network: Backbone<AtDecision: Send, Decoding: Send> + Send + Sync;

    /// The runner.
    fn runner(&self) -> &Runner<Self::Network>;
}

impl Serves for Model {
    type Network = VisorModel;

    fn runner(&self) -> &Runner<VisorModel> {
        Model::runner(self)
    }
}

impl<M> Serves for Runner<M>
where
    M: Backbone<AtDecision: Send, Decoding: Send> + Send + Sync + 'static,
{
    type Network = M;

    fn runner(&self) -> &Runner<M> {
        self
    }
}

/// A model at work. Dropping it calls off what is left and waits for it.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the lanes.
    ///
    /// # Errors
    /// If the system has no room for threads.
    pub fn start<S: Serves>(served: Arc<S>, options: EngineOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(options));
        let owned = shared.clone();
        let thread = std::thread::Builder::new()
            .name("visor-engine".to_owned())
            .spawn(move || run(served.runner(), &owned))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues a request that the engine's runner has prepared.
    ///
    /// # Errors
    /// If the queue is full, the request is too large for the engine, or the engine ends.
    pub fn submit(&self, client: Client, prepared: Prepared) -> Result<Ticket, Refused> {
        self.submit_with(client, prepared, None)
    }

    /// The same with the memory that was reserved for its pixels: it is given back when they are
    /// encoded.
    ///
    /// # Errors
    /// As of [`submit`](Self::submit).
    pub fn submit_with(
        &self,
        client: Client,
        prepared: Prepared,
        pixels: Option<Share>,
    ) -> Result<Ticket, Refused> {
        let (updates, receiver) = tokio::sync::mpsc::unbounded_channel();
        let cancel = prepared.cancel().clone();
        self.shared.push(client, Job { prepared, pixels, updates, queued: Instant::now() })?;
        Ok(Ticket::new(receiver, cancel))
    }

    /// Whether a request that can come to hold so many bytes of keys and values may be submitted.
    ///
    /// # Errors
    /// If there is no room for it even when nothing else runs.
    pub fn expect_room(&self, kv_bytes: u64) -> Result<(), Refused> {
        self.shared.expect_room(kv_bytes)
    }

    /// Counts a request that was refused before it was prepared; when to come back.
    pub fn refuse(&self) -> Refused {
        self.shared.refuse()
    }

    /// Takes no more requests; what is queued is still answered.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether nothing is queued or worked on.
    pub fn is_idle(&self) -> bool {
        let stats = self.stats();
        stats.queued + stats.running == 0
    }

    /// Calls off everything that is queued or worked on.
    pub fn call_off(&self) {
        self.shared.call_off();
    }

    /// What is going on.
    pub fn stats(&self) -> EngineStats {
        self.shared.stats()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
        self.call_off();
        if let Some(thread) = self.thread.take() {
            // A lane that panicked has said so.
            let _ = thread.join();
        }
    }
}
