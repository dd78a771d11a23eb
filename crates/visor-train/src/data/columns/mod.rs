//! Tables in parquet files, as the Hugging Face hub distributes datasets: the shards of a split,
//! read one row at a time. What the columns mean is not known here.
//!
//! Of a row the columns that were asked for are read, with the pages that they lie in; nothing is
//! kept. A picture has an address, by which its bytes are read again.

mod cell;
mod leaf;
mod record;
mod shards;
#[cfg(test)]
pub(super) mod written;

pub use cell::Cell;
pub(super) use cell::Embedded;
pub(super) use record::Record;
pub(super) use shards::Shards;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Opens a table: its footer is read, and no column lies outside of the file.
fn open(path: &Path) -> Result<SerializedFileReader<File>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let reader = guarded(|| SerializedFileReader::new(file))
        .map_err(|because| format!("expected a whole parquet file: {because}"))?;
    for (number, group) in reader.metadata().row_groups().iter().enumerate() {
        let inside = group.columns().iter().all(|column| {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let end = end.and_then(|end| u64::try_from(end).ok());
            start >= 0 && column.compressed_size() >= 0 && end.is_some_and(|end| end <= length)
        });
        if !inside || group.num_rows() < 0 {
            return Err(format!("row group {} does not fit in its {length} bytes", number + 1));
        }
    }
    Ok(reader)
}

/// Asks the library, which asserts where some damaged headers and pages contradict each other: what
/// it was reading is given up then, and the file is called damaged.
fn guarded<T>(ask: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

#[cfg(test)]
mod tests;
