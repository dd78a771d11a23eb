//! What a model does with its pictures, as a record, tables and pictures: VISOR's figures 2, 3, 4,
//! 6 and 7.
//!
//! `visor_train::analysis` observes; [`record`] puts intervals to what was seen, and all else reads
//! it alone: tables in [`render`], pictures in [`plot`].

mod cluster;
pub mod plot;
pub mod record;
pub mod render;

pub use plot::Figure;
pub use record::AnalyzeRecord;
