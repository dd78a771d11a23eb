//! What all connections share.

use super::metrics::Metrics;
use super::options::{Limits, ServeOptions};
use crate::api::ModelName;
use crate::engine::{Engine, Gate};
use crate::error::ApiError;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use visor::{BudgetRequest, Model};

/// Remote pictures that are fetched at once; a request that has more of them is alone. Each keeps a
/// thread busy, and words must find one that is not.
pub(super) const FETCHES: u64 = 8;

/// A model that is served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) name: String,
    pub(super) model: Arc<Model>,
    pub(super) engine: Engine,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: ServeOptions,
    /// Empty while models are loaded.
    served: OnceLock<Vec<Served>>,
    pub(super) metrics: Metrics,
    /// Bytes of bodies.
    pub(super) bodies: Gate,
    /// Remote pictures that are fetched, or wait to be decoded.
    pub(super) fetches: Gate,
    /// Bytes of pixels, from a picture's decoding until it is encoded.
    pub(super) pixels: Gate,
    /// Requests whose pictures are decoded.
    pub(super) decoders: Gate,
    closing: AtomicBool,
    /// Told when the server takes no more connections.
    pub(super) closed: watch::Sender<bool>,
    /// Whether only names of this machine are answered to.
    pub(super) names: Names,
    hasher: RandomState,
    requests: AtomicU64,
}

/// Which `Host` headers are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Those of this machine: no page of a browser can reach the server under a name of its own.
    Local,
    /// Any.
    Any,
}

impl Shared {
    pub(super) fn new(options: ServeOptions, names: Names) -> Self {
        let Limits { bodies, pixels, connections, decoders, .. } = options.limits;
        // As many as wait for a model wait for what they need before.
        let waiting = options.engine.queue.get();
        Self {
            served: OnceLock::new(),
            metrics: Metrics::new(),
            bodies: Gate::new(bodies, connections),
            fetches: Gate::new(FETCHES, waiting),
            pixels: Gate::new(pixels, waiting),
            decoders: Gate::new(decoders as u64, waiting),
            closing: AtomicBool::new(false),
            closed: watch::Sender::new(false),
            names,
            hasher: RandomState::new(),
            requests: AtomicU64::new(0),
            options,
        }
    }

    /// The models are there.
    pub(super) fn open(&self, served: Vec<Served>) {
        // Models are loaded once; a second time would change nothing.
        let _ = self.served.set(served);
    }

    pub(super) fn served(&self) -> Option<&[Served]> {
        self.served.get().map(Vec::as_slice)
    }

    /// No more connections, and no more requests.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.closed.send_replace(true);
        for served in self.served().unwrap_or_default() {
            served.engine.close();
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The model of a request, with the budget that its name says.
    pub(super) fn find(
        &self,
        name: &ModelName,
    ) -> Result<(&Served, Option<BudgetRequest>), ApiError> {
        let served = self.served().ok_or_else(ApiError::loading)?;
        // A model's own name may have an `@` in it.
        let whole = served.iter().find(|served| served.name == name.whole);
        if let Some(served) = whole {
            return Ok((served, None));
        }
        let base = served.iter().find(|served| served.name == name.base());
        base.map(|served| (served, name.budget.clone())).ok_or_else(|| {
            let names: Vec<String> =
                served.iter().map(|served| format!("`{}`", served.name)).collect();
            let message = format!("there is no such model; there is {}", names.join(", "));
            let error = ApiError::new(404, "model_not_found", message);
            ApiError { param: Some("model".to_owned()), ..error }
        })
    }

    /// A name for a request that nobody can foresee.
    pub(super) fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (self.hasher.hash_one((number, 0)), self.hasher.hash_one((number, 1)));
        format!("{high:016x}{low:016x}")
    }

    /// Whose turn in the queue it is.
    pub(super) fn client(&self, key: Option<usize>, peer: IpAddr) -> u64 {
        self.hasher.hash_one((key, key.is_none().then_some(peer)))
    }
}
