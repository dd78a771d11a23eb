//! The binary from end to end, as a user meets it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod analyze;
mod ask;
mod batch;
mod bench;
mod benchmarks;
mod checkpoints;
mod common;
mod conversations;
mod convert;
mod families;
mod full_disk;
mod help;
mod hub;
#[path = "../../../visor-checkpoint/tests/checkpoint/hub_server.rs"]
#[allow(dead_code, reason = "the tests of downloading itself need more of it")]
mod hub_server;
mod inspect;
mod pairs;
mod pictures;
mod policies;
mod precision;
mod requests;
mod resume;
mod selector;
mod serve;
mod shipped;
mod speed;
mod streams;
mod tasks;
mod train;
mod untrained;
