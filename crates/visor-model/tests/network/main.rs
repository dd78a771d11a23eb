//! The network against slower and plainer versions of itself, on random weights.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod batch;
mod clip;
mod cost;
mod decoding;
mod isolation;
mod kept;
mod observed;
mod padding;
mod pairs;
mod parts;
mod plain;
mod precision;
mod published;
mod reused;
mod routing;
mod selection;
mod stock;
mod support;
