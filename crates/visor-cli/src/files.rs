//! Files and folders that are written whole or not at all.

use anyhow::{Context, Result};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How everything begins that is being written and not yet there.
pub(crate) const UNFINISHED: &str = ".visor-";

/// Writes a file: at any moment the path holds the old one, or the new one whole.
///
/// # Errors
/// If it cannot be written; the old one is then unharmed.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write `{}`", path.display());
    let mut file = builder(0o666).tempfile_in(parent(path)).with_context(cannot)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).with_context(cannot)?;
    file.persist(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(())
}

/// A folder that is being filled. It stands at its path once it is finished, and not before.
#[derive(Debug)]
pub(crate) struct NewFolder {
    staged: TempDir,
    path: PathBuf,
}

impl NewFolder {
    /// Begins a folder. What is at the path already must be empty, or `replaceable`, and stays until
    /// the new one is finished.
    ///
    /// # Errors
    /// If something else is there, or nothing can be written beside it.
    pub(crate) fn begin(
        path: &Path,
        replaceable: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let cannot = || format!("cannot write `{}`", path.display());
        let path = match path.canonicalize() {
            Ok(there) => {
                if fs::read_dir(&there).with_context(cannot)?.next().is_some() {
                    replaceable(&there)?;
                }
                there
            }
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error).with_context(cannot),
        };
        fs::create_dir_all(parent(&path)).with_context(cannot)?;
        let staged = builder(0o777).tempdir_in(parent(&path)).with_context(cannot)?;
        Ok(Self { staged, path })
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        fs::write(self.staged.path().join(name), content)
            .with_context(|| format!("cannot write `{}`", self.path.join(name).display()))
    }

    /// Puts it at its path.
    ///
    /// # Errors
    /// If that is not possible; what was there before is then there still.
    pub(crate) fn finish(self) -> Result<()> {
        let cannot = || format!("cannot replace `{}`", self.path.display());
        let old = builder(0o777).tempdir_in(parent(&self.path)).with_context(cannot)?;
        let aside = old.path().join("old");
        let was_there = self.path.exists();
        if was_there {
            fs::rename(&self.path, &aside).with_context(cannot)?;
        }
        match fs::rename(self.staged.path(), &self.path) {
            Ok(()) => {
                // It is no temporary folder any more.
                let _ = self.staged.keep();
                Ok(())
            }
            Err(error) => {
                if was_there {
                    fs::rename(&aside, &self.path).with_context(cannot)?;
                }
                Err(error).with_context(cannot)
            }
        }
    }
}

fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED).suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    fn entries(folder: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = fs::read_dir(folder).expect("a folder").map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_is_not_finished_leaves_nothing() {
        let root = TempDir::new().expect("a folder");
        let path = root.path().join("deep/new");
        let folder = NewFolder::begin(&path, |_| Ok(())).expect("begun");
        folder.write("a", b"1").expect("written");
        drop(folder);
        assert_eq!(entries(&root.path().join("deep")), [""; 0]);
    }

    #[test]
    fn a_finished_folder_replaces_only_what_it_may() {
        let root = TempDir::new().expect("a folder");
        let path = root.path().join("new");
        for (name, allowed) in [("a", true), ("b", true), ("c", false)] {
            let check = |_: &Path| if allowed { Ok(()) } else { bail!("it is mine") };
            let made = NewFolder::begin(&path, check).and_then(|folder| {
                folder.write(name, b"1")?;
                folder.finish()
            });
            assert_eq!(made.is_ok(), allowed);
        }
        assert_eq!(entries(&path), ["b"]);
        assert_eq!(entries(root.path()), ["new"]);
    }

    #[test]
    fn a_file_is_replaced_and_a_folder_is_not() {
        let root = TempDir::new().expect("a folder");
        let path = root.path().join("record.json");
        for content in ["one", "two"] {
            write(&path, content.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("a file"), content);
        }
        let error = write(root.path(), b"three").expect_err("a folder is there");
        assert!(error.to_string().starts_with("cannot write `"), "{error}");
        assert_eq!(entries(root.path()), ["record.json"]);
    }
}
