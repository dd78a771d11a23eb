//! What every request passes: it gets an id, shows its key, is answered, and leaves a line in the
//! log. The log knows where a request went, how it ended and how long it took, and neither words nor
//! pictures.

use super::respond::{self, REQUEST_ID};
use super::state::{Names, Shared};
use crate::error::ApiError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, header};
use axum::middleware::Next;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Whether anything has been asked on this connection.
    pub(super) used: Arc<AtomicBool>,
}

/// Who asks, and under which id.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) id: String,
    /// Whose turn in the queue it is.
    pub(super) client: u64,
}

pub(super) async fn pass(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let begun = Instant::now();
    let id = shared.request_id();
    let route = route(request.uri().path());
    let method = method(request.method());
    let peer = request.extensions().get::<Peer>().map(|Peer { address, used }| {
        used.store(true, Ordering::Relaxed);
        address.ip()
    });
    let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let mut response = match admitted(&shared, route, request.headers(), peer) {
        Ok(client) => {
            request.extensions_mut().insert(Caller { id: id.clone(), client });
            next.run(request).await
        }
        Err(error) => respond::error(&error, &id),
    };
    let status = response.status().as_u16();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    shared.metrics.answered(route, status);
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    tracing::info!(request = %id, %peer, method, route, status, ms, "answered");
    response
}

/// The route of a path, or one word for all that are none: a log and a metric have few of them.
fn route(path: &str) -> &'static str {
    match path {
        "/v1/chat/completions" => "/v1/chat/completions",
        "/v1/models" => "/v1/models",
        "/health" => "/health",
        "/metrics" => "/metrics",
        "/openapi.json" => "/openapi.json",
        path if path.starts_with("/v1/models/") => "/v1/models/{model}",
        _ => "other",
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        _ => "other",
    }
}

/// Whose turn it is, if the request may pass.
fn admitted(
    shared: &Shared,
    route: &'static str,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<u64, ApiError> {
    if route == "/health" {
        return Ok(shared.client(None, peer));
    }
    let keys = &shared.options.keys;
    if keys.is_open() {
        if shared.names == Names::Local && !is_local(headers.get(header::HOST)) {
            let message = "this server answers to localhost alone; it needs an API key for more";
            return Err(ApiError::new(421, "wrong_host", message));
        }
        return Ok(shared.client(None, peer));
    }
    let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let key = shown.and_then(|value| match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(key),
        _ => None,
    });
    match key.and_then(|key| keys.find(key)) {
        Some(index) => Ok(shared.client(Some(index), peer)),
        None => {
            let message = "expected a valid API key: `Authorization: Bearer KEY`";
            Err(ApiError::new(401, "invalid_api_key", message))
        }
    }
}

/// Whether a request was meant for this machine by name.
fn is_local(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        let local = |host: &'static str| is_local(Some(&HeaderValue::from_static(host)));
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(local(host), "{host}");
        }
        for host in [
            "evil.org",
            "localhost.evil.org:80",
            "10.0.0.1",
            "127.0.0.1.evil.org",
            "",
            "evil.org:localhost",
            "0.0.0.0:8080",
        ] {
            assert!(!local(host), "{host}");
        }
        assert!(!is_local(None));
    }
}
