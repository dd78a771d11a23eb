//! The server: sockets, routes, limits, and an orderly end.

mod chat;
mod door;
mod info;
mod keys;
mod metrics;
mod models;
mod openapi;
mod options;
mod preparing;
mod respond;
mod server;
mod socket;
mod state;
mod stream;

pub use keys::{ApiKeys, KeysError};
pub use openapi::document as openapi;
pub use options::{LimitError, Limits, ServeOptions};
pub use server::{ServeError, Stop, serve};
