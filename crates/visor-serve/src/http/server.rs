//! Sockets, from the first connection to the last.

use super::door::{self, Peer};
use super::options::{LimitError, Limits, ServeOptions};
use super::socket::Socket;
use super::state::{Names, Served, Shared};
use super::{chat, info, models};
use crate::engine::Engine;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use visor::Model;

/// Bytes of a request's head, and how many headers it may have.
const HEAD: usize = 32 << 10;
const HEADERS: usize = 64;
/// For clients to take the last word.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a server ended other than in good order.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError<E> {
    /// The system does not let it serve.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
    /// It is to do more at once than can be done.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// The models could not be loaded.
    #[error(transparent)]
    Load(E),
    /// It was told a second time to end.
    #[error("stopped at once; requests that were being answered are lost")]
    Forced,
}

/// Told to a server that it shall end: once in good order, twice at once.
#[derive(Clone, Debug)]
pub struct Stop(mpsc::UnboundedSender<()>);

impl Stop {
    /// Says so. A server that has ended hears nothing.
    pub fn now(&self) {
        let _ = self.0.send(());
    }
}

/// Serves models until it is told to end, by a signal (SIGTERM, SIGINT) or by the [`Stop`] that
/// `ready` gets once the models are loaded. Until then clients are told that they are being loaded.
///
/// # Errors
/// If its limits cannot be kept, the system does not let it, the models cannot be loaded, or it was
/// told twice.
pub fn serve<E: Send + 'static>(
    listener: std::net::TcpListener,
    options: ServeOptions,
    load: impl FnOnce() -> Result<Vec<(String, Model)>, E> + Send + 'static,
    ready: impl FnOnce(Stop),
) -> Result<(), ServeError<E>> {
    options.limits.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16 + options.limits.decoders)
        .thread_name("visor-http")
        .enable_all()
        .build()?;
    let local = listener.local_addr()?;
    let names = if local.ip().is_loopback() { Names::Local } else { Names::Any };
    let shared = Arc::new(Shared::new(options, names));
    let ended = runtime.block_on(run(listener, shared.clone(), load, ready));
    runtime.shutdown_background();
    if matches!(ended, Err(ServeError::Forced)) {
        // What is going on is not waited for: the process ends.
        std::mem::forget(shared);
    }
    ended
}

async fn run<E: Send + 'static>(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    load: impl FnOnce() -> Result<Vec<(String, Model)>, E> + Send + 'static,
    ready: impl FnOnce(Stop),
) -> Result<(), ServeError<E>> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (stop, mut stops) = mpsc::unbounded_channel();
    watch_signals(Stop(stop.clone()))?;
    let connections = Arc::new(Semaphore::new(shared.options.limits.connections));
    let accepting = tokio::spawn(accept(listener, shared.clone(), connections.clone()));
    let engine = shared.options.engine;
    let loading = tokio::task::spawn_blocking(move || -> Result<Vec<Served>, ServeError<E>> {
        let start = |(name, model): (String, Model)| -> io::Result<Served> {
            let model = Arc::new(model);
            let engine = Engine::start(model.clone(), engine)?;
            Ok(Served { name, model, engine })
        };
        let models = load().map_err(ServeError::Load)?;
        Ok(models.into_iter().map(start).collect::<Result<Vec<_>, io::Error>>()?)
    });
    let loaded = tokio::select! {
        loaded = loading => loaded.unwrap_or_else(|error| Err(io::Error::other(error).into())),
        // Loading cannot be called off: the process ends.
        _ = stops.recv() => return Err(ServeError::Forced),
    };
    shared.open(loaded?);
    tracing::info!("ready");
    ready(Stop(stop));
    stops.recv().await;
    tracing::info!("draining: no more requests are taken");
    shared.close();
    tokio::select! {
        () = drained(&shared, &connections) => {}
        _ = stops.recv() => return Err(ServeError::Forced),
    }
    accepting.abort();
    tracing::info!("ended");
    Ok(())
}

/// Waits for what is being answered; what is not done in time is called off.
async fn drained(shared: &Shared, connections: &Semaphore) {
    let Limits { connections: all, drain_time, .. } = shared.options.limits;
    let all = u32::try_from(all).unwrap_or(u32::MAX);
    if timeout(drain_time, connections.acquire_many(all)).await.is_ok() {
        return;
    }
    tracing::warn!("the time to drain is over: what is left is called off");
    for served in shared.served().unwrap_or_default() {
        served.engine.call_off();
    }
    // Whoever has not taken his answer by then has it cut off.
    let _ = timeout(LAST_WORD, connections.acquire_many(all)).await;
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, connections: Arc<Semaphore>) {
    let routes = routes(&shared);
    let mut closed = shared.closed.subscribe();
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            _ = closed.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a client that is gone already.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = connection(stream, peer, shared.clone(), routes.clone());
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, routes: Router) {
    // Pieces of an answer are sent as they come.
    let _ = stream.set_nodelay(true);
    let socket = Socket::new(stream, shared.options.limits.write_time);
    let used = Arc::new(AtomicBool::new(false));
    let at = Peer { address: peer, used: used.clone() };
    let service = TowerToHyperService::new(routes.layer(Extension(at)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.options.limits.head_time)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(socket), service);
    let mut served = pin!(served);
    let mut closed = shared.closed.subscribe();
    let closed = async move {
        // A sender that is gone is the end as well.
        let _ = closed.wait_for(|closed| *closed).await;
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = closed => {
            if !used.load(Ordering::Relaxed) {
                // Nothing has been asked here yet.
                return;
            }
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // A client that broke the rules or off; hyper's messages hold nothing of what he sent.
        tracing::debug!(peer = %peer.ip(), %error, "a connection ended");
    }
}

fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*model}", get(models::one))
        .route("/health", get(info::health))
        .route("/metrics", get(info::metrics))
        .route("/openapi.json", get(info::document))
        .fallback(info::not_found)
        .method_not_allowed_fallback(info::wrong_method)
        .layer(middleware::from_fn_with_state(shared.clone(), door::pass))
        .with_state(shared.clone())
}

#[cfg(unix)]
fn watch_signals(stop: Stop) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => stop.now(),
                _ = interrupt.recv() => stop.now(),
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn watch_signals(stop: Stop) -> io::Result<()> {
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            stop.now();
        }
    });
    Ok(())
}
