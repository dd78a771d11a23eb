//! The one place through which files are written, so that tests can fill the disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes the writer for a file that was just created.
pub(crate) type Disk<'d> = &'d dyn for<'f> Fn(&'f File) -> Box<dyn Write + 'f>;

/// The file system as it is.
pub(crate) const REAL: Disk<'static> = &|file| Box::new(file);

/// Makes the entries of a folder durable. Windows has no such call and needs none.
///
/// # Errors
/// What the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
