//! Where a checkpoint's files come from.

use crate::blob::Blob;
use crate::{CheckpointError, files};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// Megabytes in a limit.
pub(crate) const MIB: u64 = 1 << 20;

/// What an adapter of `peft` has.
pub(crate) const ADAPTER: &str = "adapter_config.json";

/// A folder, or files that were compiled into the binary.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder on disk.
    Folder(PathBuf),
    /// Name and content of each file.
    Embedded(&'static [(&'static str, &'static [u8])]),
}

impl Source {
    /// Reads a small file whole.
    ///
    /// # Errors
    /// If there is no such file, it cannot be read, it has more than `limit` bytes, or `name` is
    /// not a plain file name.
    pub fn read(&self, name: &str, limit: u64) -> Result<Cow<'static, [u8]>, CheckpointError> {
        let blob = self.blob(name)?;
        let bytes = blob.len();
        let too_large = || CheckpointError::TooLarge { file: name.to_owned(), bytes, limit };
        if bytes > limit {
            return Err(too_large());
        }
        if let Self::Embedded(_) = self {
            return Ok(Cow::Borrowed(self.embedded(name).unwrap_or_default()));
        }
        blob.expect_no_pointer()?;
        let len = usize::try_from(bytes).map_err(|_| too_large())?;
        Ok(Cow::Owned(blob.bytes(0, len)?))
    }

    /// Whether something of this name is there. It may still be unreadable: a damaged file must not
    /// pass for one that was never meant to be there.
    pub fn exists(&self, name: &str) -> bool {
        is_plain_name(name)
            && match self {
                Self::Folder(folder) => match std::fs::symlink_metadata(folder.join(name)) {
                    Ok(_) => true,
                    Err(error) => error.kind() != io::ErrorKind::NotFound,
                },
                Self::Embedded(_) => self.embedded(name).is_some(),
            }
    }

    /// What to call the source in a message.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Embedded(_) => "the embedded checkpoint".to_owned(),
        }
    }

    /// The folder, if it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Embedded(_) => None,
        }
    }

    /// Opens a file for reading in parts.
    pub(crate) fn blob(&self, name: &str) -> Result<Blob, CheckpointError> {
        if !is_plain_name(name) {
            return Err(CheckpointError::BadFileName {
                name: name.to_owned(),
                listed_in: self.name(),
            });
        }
        let missing = || CheckpointError::NoFile { place: self.name(), file: name.to_owned() };
        match self {
            Self::Folder(folder) => Blob::open(&folder.join(name)).map_err(|error| match error {
                CheckpointError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    missing()
                }
                other => other,
            }),
            Self::Embedded(_) => {
                self.embedded(name).map(|bytes| Blob::embedded(name, bytes)).ok_or_else(missing)
            }
        }
    }

    /// Says early, and by name, that this is no checkpoint.
    pub(crate) fn expect_checkpoint(&self) -> Result<(), CheckpointError> {
        match self {
            Self::Folder(folder) if !folder.is_dir() => {
                Err(CheckpointError::NoFolder { folder: self.name() })
            }
            _ if !self.exists(files::CONFIG) && self.exists(ADAPTER) => {
                Err(CheckpointError::Adapter { place: self.name() })
            }
            _ if !self.exists(files::CONFIG) => {
                Err(CheckpointError::NoFile { place: self.name(), file: files::CONFIG.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn embedded(&self, name: &str) -> Option<&'static [u8]> {
        match self {
            Self::Folder(_) => None,
            Self::Embedded(all) => {
                all.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
            }
        }
    }
}

/// Whether `name` can only mean a file directly inside a folder, on every system. A positive list:
/// separators, drives, streams, `..` and hidden files need no rules of their own.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+ ".contains(c);
    !name.is_empty()
        && name.len() <= 200
        && name.chars().all(allowed)
        && !name.starts_with(['.', ' '])
        && !name.ends_with(['.', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_plain() {
        for name in ["model.safetensors", "model-00001-of-00002.safetensors", "merges.txt", "a b"] {
            assert!(is_plain_name(name), "{name}");
        }
        let bad = ["", ".", "..", "../x", "/etc/passwd", "a/b", "C:\\x", "a\\b", "x:y", "a\0b"];
        for name in bad.into_iter().chain([".hidden", "x.", "x ", "\u{ff0f}etc", "a\nb"]) {
            assert!(!is_plain_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let source = Source::Embedded(&[("a.json", b"12345")]);
        assert_eq!(source.read("a.json", 5).expect("read").as_ref(), b"12345");
        let error = source.read("a.json", 4).expect_err("too large");
        assert!(matches!(error, CheckpointError::TooLarge { bytes: 5, limit: 4, .. }), "{error}");
        assert!(matches!(source.read("b.json", 4), Err(CheckpointError::NoFile { .. })));
        assert!(matches!(source.read("../b", 4), Err(CheckpointError::BadFileName { .. })));
    }
}
