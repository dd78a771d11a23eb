//! The runner on a model that answers from a script: no weights, no tensors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod batch;
mod pictures;
mod policies;
mod requests;
mod scripted;
