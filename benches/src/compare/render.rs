//! A record for people and programs: Markdown, CSV, JSON.

mod csv;
pub(crate) mod format;
mod markdown;
pub(crate) mod tables;

pub use self::csv::csv;
pub use self::markdown::markdown;
pub(crate) use self::markdown::{aligned, settings};
pub(super) use self::markdown::{facts, title};

use super::record::{CompareRecord, RecordError};
use crate::format::Format;
use thiserror::Error;

/// Why a record cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// As JSON.
    #[error(transparent)]
    Json(#[from] RecordError),
    /// As CSV.
    #[error("cannot write the table as CSV")]
    Csv(#[from] ::csv::Error),
}

/// The record in a format, with a line end.
///
/// # Errors
/// None in practice: all of a record can be written in all formats.
pub fn render(record: &CompareRecord, format: Format) -> Result<String, RenderError> {
    match format {
        Format::Markdown => Ok(markdown(record)),
        Format::Json => Ok(record.to_json()?),
        Format::Csv => Ok(csv(record)?),
    }
}
