//! The bench harness of visor: what is measured is written as a record with where it was measured.

pub mod analyze;
pub mod compare;
pub mod environment;
pub mod format;
pub mod measure;
mod quantile;
pub mod serve;
pub mod speed;

pub use environment::Environment;
pub use quantile::quantile;
