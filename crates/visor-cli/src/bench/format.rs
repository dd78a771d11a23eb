//! What is printed of a record, on the command line.

use clap::ValueEnum;
use visor_benches::{analyze, format};

/// Of a record whose tables are of several kinds.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Tables
    Md,
    /// The record
    Json,
}

/// Of a record whose rows are of one kind, so that each can be a line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RowFormat {
    /// Tables
    Md,
    /// The record
    Json,
    /// A line a row
    Csv,
}

impl From<Format> for analyze::render::Format {
    fn from(name: Format) -> Self {
        match name {
            Format::Md => Self::Markdown,
            Format::Json => Self::Json,
        }
    }
}

impl From<RowFormat> for format::Format {
    fn from(name: RowFormat) -> Self {
        match name {
            RowFormat::Md => Self::Markdown,
            RowFormat::Json => Self::Json,
            RowFormat::Csv => Self::Csv,
        }
    }
}
