//! Answers as HTTP has them.

use crate::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

/// The id of a request, in requests and answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A JSON answer.
pub(super) fn json(status: u16, value: &Value) -> Response<Body> {
    body(status, "application/json", value.to_string())
}

/// An answer of some type.
pub(super) fn body(status: u16, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An error, with when to come back.
pub(super) fn error(error: &ApiError, request_id: &str) -> Response<Body> {
    let mut response = json(error.status, &error.body(request_id));
    let headers = response.headers_mut();
    if let Some(after) = error.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if error.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
