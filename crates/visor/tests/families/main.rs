//! Stock checkpoints of the supported families: parity with recordings of `transformers`, the
//! equivalences that hold without any, and what damaged ones are told.
//!
//! The goldens are made by `tools/export_family_goldens.py`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod budgeted;
mod damaged;
mod equivalence;
mod generation;
mod parity;
mod places;
mod prompts;
mod support;
mod variants;
