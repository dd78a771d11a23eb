//! How a server works: what is allowed, and how much.

use super::keys::ApiKeys;
use crate::api::RequestLimits;
use crate::engine::EngineOptions;
use crate::remote::RemoteImages;
use std::time::Duration;

/// Bounds of what one client can make a server hold or wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of what a request says.
    pub request: RequestLimits,
    /// Bytes of a request's body, pictures in it included.
    pub body: u64,
    /// Bytes of all bodies that are held at once.
    pub bodies: u64,
    /// Connections that are open at once.
    pub connections: usize,
    /// Pictures that are decoded at once, and remote ones that are fetched.
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
