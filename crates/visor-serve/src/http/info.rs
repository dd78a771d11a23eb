//! `/health`, `/metrics`, `/openapi.json`, and what is not there.

use super::door::Caller;
use super::state::Shared;
use super::{openapi, respond};
use crate::error::ApiError;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use serde_json::json;
use std::sync::Arc;

/// Whether requests are answered: 503 while models are loaded, and when the server ends.
pub(super) async fn health(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match (shared.is_closing(), shared.served()) {
        (true, _) => respond::json(503, &json!({"status": "shutting down"})),
        (false, None) => respond::json(503, &json!({"status": "loading"})),
        (false, Some(_)) => respond::json(200, &json!({"status": "ok"})),
    }
}

pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Response<Body> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match shared.metrics.text(shared.served().unwrap_or_default()) {
        Ok(text) => respond::body(200, kind, text),
        Err(error) => {
            tracing::error!(request = %caller.id, %error, "the metrics could not be written");
            respond::error(&ApiError::internal(), &caller.id)
        }
    }
}

pub(super) async fn document() -> Response<Body> {
    respond::json(200, &openapi::document())
}

pub(super) async fn not_found(Extension(caller): Extension<Caller>) -> Response<Body> {
    let message = "there is nothing here; /openapi.json says what there is";
    respond::error(&ApiError::new(404, "not_found", message), &caller.id)
}

pub(super) async fn wrong_method(Extension(caller): Extension<Caller>) -> Response<Body> {
    let message = "this path does not take this method; /openapi.json says which";
    respond::error(&ApiError::new(405, "method_not_allowed", message), &caller.id)
}
