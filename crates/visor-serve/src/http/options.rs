//! How a server works: what is allowed, and how much.

use super::keys::ApiKeys;
use crate::api::RequestLimits;
use crate::engine::EngineOptions;
use crate::remote::RemoteImages;
use std::time::Duration;
use thiserror::Error;

/// Bounds of what one client can make a server hold or wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of what a request says.
    pub request: RequestLimits,
    /// Bytes of a request's body, pictures in it included.
    pub body: u64,
    /// Bytes of all bodies that are held at once.
    pub bodies: u64,
    /// Bytes of the pixels of all requests that are prepared, wait or run, until they are encoded.
    pub pixels: u64,
    /// Connections that are open at once.
    pub connections: usize,
    /// Requests whose pictures are decoded at once.
    pub decoders: usize,
    /// From the beginning of a connection, or the last answer, to the end of a request's head.
    pub head_time: Duration,
    /// From the head to the end of the body.
    pub body_time: Duration,
    /// For a client to take anything of what is sent to him.
    pub write_time: Duration,
    /// From the head to the end of the answer.
    pub request_time: Duration,
    /// From the signal to the end, for what is being answered.
    pub drain_time: Duration,
    /// Between two signs of life in a stream.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: RequestLimits::default(),
            body: 20 << 20,
            bodies: 256 << 20,
            pixels: 1 << 30,
            connections: 512,
            decoders: 2,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            request_time: Duration::from_secs(120),
            drain_time: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
        }
    }
}

/// Most connections and decoders: a system has files and threads for no more.
const MOST: usize = 1 << 16;

/// A limit that no system can keep.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitError {
    /// Of [`Limits::connections`].
    #[error("{got} connections at once: expected 1 to {MOST}")]
    Connections {
        /// What was asked for.
        got: usize,
    },
    /// Of [`Limits::decoders`].
    #[error("{got} decoders at once: expected 1 to {MOST}")]
    Decoders {
        /// What was asked for.
        got: usize,
    },
}

impl Limits {
    /// # Errors
    /// If there are more connections or decoders than a system has room for, or none.
    pub fn check(&self) -> Result<(), LimitError> {
        let Self { connections, decoders, .. } = *self;
        if !(1..=MOST).contains(&connections) {
            return Err(LimitError::Connections { got: connections });
        }
        if !(1..=MOST).contains(&decoders) {
            return Err(LimitError::Decoders { got: decoders });
        }
        Ok(())
    }
}

/// How a server works.
#[derive(Debug, Default)]
pub struct ServeOptions {
    /// Who may ask; nobody is asked for a key where there is none.
    pub keys: ApiKeys,
    /// Where pictures may be fetched from; `None` is nowhere.
    pub remote: Option<RemoteImages>,
    /// Bounds.
    pub limits: Limits,
    /// How each model works.
    pub engine: EngineOptions,
}
