//! Bytes at any place of one file, without mapping it into memory.

use crate::CheckpointError;
use crate::stamp::FileState;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// How a pointer of Git LFS begins.
const POINTER: &[u8] = b"version https://git-lfs";

#[derive(Debug)]
enum Bytes {
    File(File),
    Static(&'static [u8]),
}

/// One open file, or one embedded in the binary.
#[derive(Debug)]
pub(crate) struct Blob {
    /// As messages call it.
    shown: String,
    len: u64,
    bytes: Bytes,
}

impl Blob {
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let shown = path.display().to_string();
        // Asked before opening: opening a named pipe would wait for a writer.
        let kind = std::fs::metadata(path).map_err(CheckpointError::io("open", &shown))?;
        if !kind.is_file() {
            return Err(CheckpointError::NotAFile { file: shown });
        }
        let file = File::open(path).map_err(CheckpointError::io("open", &shown))?;
        let len = file.metadata().map_err(CheckpointError::io("open", &shown))?.len();
        Ok(Self { shown, len, bytes: Bytes::File(file) })
    }

    pub(crate) fn embedded(name: &str, bytes: &'static [u8]) -> Self {
        Self { shown: name.to_owned(), len: bytes.len() as u64, bytes: Bytes::Static(bytes) }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Size and time of the file that is open, whatever stands at its path by now.
    pub(crate) fn state(&self) -> Option<FileState> {
        match &self.bytes {
            Bytes::File(file) => FileState::of(&file.metadata().ok()?),
            Bytes::Static(_) => None,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Passes `start..start + len` to `each` in pieces whose length is a multiple of eight, but for
    /// the last.
    pub(crate) fn read<E: From<CheckpointError>>(
        &self,
        start: u64,
        len: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let eof = || CheckpointError::io("read", &self.shown)(io::ErrorKind::UnexpectedEof.into());
        match &self.bytes {
            Bytes::Static(all) => {
                let range = usize::try_from(start).ok().zip(usize::try_from(len).ok());
                let bytes = range.and_then(|(start, len)| all.get(start..start.checked_add(len)?));
                bytes.ok_or_else(eof)?.chunks(CHUNK).try_for_each(each)
            }
            Bytes::File(file) => {
                let mut file: &File = file;
                let io = CheckpointError::io("read", &self.shown);
                file.seek(SeekFrom::Start(start)).map_err(io)?;
                let mut left = len;
                let mut buffer = vec![0; CHUNK.min(usize::try_from(len).unwrap_or(CHUNK))];
                while left > 0 {
                    let n = buffer.len().min(usize::try_from(left).unwrap_or(CHUNK));
                    let io = CheckpointError::io("read", &self.shown);
                    file.read_exact(&mut buffer[..n]).map_err(io)?;
                    each(&buffer[..n])?;
                    left -= n as u64;
                }
                Ok(())
            }
        }
    }

    /// Says so where the file is what Git has of a large one that lies elsewhere.
    pub(crate) fn expect_no_pointer(&self) -> Result<(), CheckpointError> {
        let beginning = POINTER.len().min(usize::try_from(self.len).unwrap_or(usize::MAX));
        match self.bytes(0, beginning)? == POINTER {
            true => Err(CheckpointError::Pointer { file: self.shown.clone() }),
            false => Ok(()),
        }
    }

    /// The first `len` bytes after `start`. The caller has bounded `len`.
    pub(crate) fn bytes(&self, start: u64, len: usize) -> Result<Vec<u8>, CheckpointError> {
        let mut all = Vec::with_capacity(len);
        self.read(start, len as u64, |piece| {
            all.extend_from_slice(piece);
            Ok::<_, CheckpointError>(())
        })?;
        Ok(all)
    }
}
