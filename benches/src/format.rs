//! How records of rows are written.

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tables for people.
    #[default]
    Markdown,
    /// The record itself.
    Json,
    /// A line a row.
    Csv,
}
