//! What somebody holds who has asked an engine.

use std::time::Duration;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use visor_runtime::{Cancel, Event, RunError};

/// Something that happened to a request.
#[derive(Debug)]
pub enum Update {
    /// It left the queue.
    Started {
        /// How long it waited.
        waited: Duration,
    },
    /// The runner's own events.
    Event(Event),
}

/// Why a request was not answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The runner's own error.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The model panicked over it.
    #[error("the model panicked over this request")]
    Panicked,
    /// Another request made the model panic, and run again alone this one went another way than
    /// what has been sent of it.
    #[error("a panic interrupted this request, and it could not be taken up where it was")]
    Interrupted,
    /// The engine ended before it did.
    #[error("the engine has ended")]
    Ended,
}

/// Why a request was not queued.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The queue is full.
    #[error("{waiting} requests are waiting already: try again in {retry_after:?}")]
    Full {
        /// Requests that wait.
        waiting: usize,
        /// When there should be room, by how fast requests end.
        retry_after: Duration,
    },
    /// The request alone can come to hold more keys and values than all may.
    #[error(
        "the request can come to hold {kv_bytes} bytes of keys and values, and there is room for \
         {room}: ask for fewer tokens, smaller pictures or a cheaper budget"
    )]
    TooLarge {
        /// What it can come to hold.
        kv_bytes: u64,
        /// What there is room for.
        room: u64,
    },
    /// The engine takes no more.
    #[error("no more requests are taken")]
    Closing,
}

/// A request in an engine. Dropping it calls the request off.
#[derive(Debug)]
pub struct Ticket {
    updates: UnboundedReceiver<Result<Update, EngineError>>,
    cancel: Cancel,
}

impl Ticket {
    pub(super) fn new(
        updates: UnboundedReceiver<Result<Update, EngineError>>,
        cancel: Cancel,
    ) -> Self {
        Self { updates, cancel }
    }

    /// What happens next; `None` behind the last event or an error. There are at most as many
    /// updates as the answer may have tokens, and a few more.
    pub async fn next(&mut self) -> Option<Result<Update, EngineError>> {
        self.updates.recv().await
    }

    /// The same for a thread that may wait.
    ///
    /// # Panics
    /// Within an asynchronous task.
    pub fn wait(&mut self) -> Option<Result<Update, EngineError>> {
        self.updates.blocking_recv()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
