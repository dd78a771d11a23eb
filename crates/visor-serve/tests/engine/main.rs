//! The engine without HTTP: many requests at once, against the same requests alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod faulty;
mod memory;
mod together;
