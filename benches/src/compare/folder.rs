//! Everything that is made of a record, as files in a folder.

use super::html::report;
use super::plot::{Figure, PlotError};
use super::record::{CompareRecord, RecordError};
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Name of the record in the folder.
pub const RECORD: &str = "record.json";

/// Name of the report in the folder.
pub const REPORT: &str = "report.html";

/// Why a folder was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file that cannot be written.
    #[error("cannot write {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A picture that cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A record that cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Writes `record.json`, all pictures as SVG and PNG, and `report.html`; makes the folder where it
/// is not there. Each file is the old one or the new one, never a part. Pictures of an earlier
/// record that this one has nothing for are removed, other files left alone.
///
/// Gives the files that were written.
///
/// # Errors
/// [`FolderError`].
pub fn write(record: &CompareRecord, folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let mut files = vec![(RECORD.to_owned(), Some(record.to_json()?.into_bytes()))];
    for figure in Figure::ALL {
        let svg = figure.svg(record)?.map(String::into_bytes);
        files.push((format!("{}.svg", figure.stem()), svg));
        files.push((format!("{}.png", figure.stem()), figure.png(record)?));
    }
    files.push((REPORT.to_owned(), Some(report(record)?.into_bytes())));
    let failed = |path: &Path, source| FolderError::Io { path: path.to_owned(), source };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut written = Vec::new();
    for (name, bytes) in files {
        let path = folder.join(&name);
        match bytes {
            Some(bytes) => {
                replace(&path, &bytes).map_err(|error| failed(&path, error))?;
                written.push(path);
            }
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, error));
                }
                _ => {}
            },
        }
    }
    Ok(written)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}
