//! Serving models over HTTP, in the manner of OpenAI, at a budget that is chosen per request.
//!
//! [`engine`] is continuous batching without HTTP. [`api`] is the language of clients, parsed once
//! and under limits. [`remote`] fetches pictures where the operator allows it. [`http`] puts them
//! behind a socket: [`http::serve`].

pub mod api;
pub mod engine;
mod error;
pub mod http;
pub mod remote;

pub use error::ApiError;
