//! The library as its users meet it: checkpoints in folders, pictures in files, questions in words.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod examples;
mod inspecting;
mod kept;
mod loading;
mod policies;
mod support;
