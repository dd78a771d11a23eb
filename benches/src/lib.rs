//! The bench harness of visor: what is measured is written as a record with where it was measured.

pub mod environment;

pub use environment::Environment;
