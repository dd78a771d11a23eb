//! The formats of a benchmark's record on the command line.

use clap::ValueEnum;
use visor_benches::format::Format;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormatName {
    /// Tables
    Md,
    /// The record
    Json,
    /// A line a row
    Csv,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Md => Self::Markdown,
            FormatName::Json => Self::Json,
            FormatName::Csv => Self::Csv,
        }
    }
}
