//! One file from the hub into the cache: goes on where it was cut off, and counts only when whole.

use super::cache::{Place, is_whole};
use super::client::Client;
use super::listing::{Listing, Remote};
use super::{HubError, Progress};
use crate::Sha256Sum;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How much is read at a time.
const CHUNK: usize = 1 << 17;

/// The files of one commit on their way into one place.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) place: &'a Place,
    pub(super) listing: &'a Listing,
}

/// What has come of a file, and how it was received.
struct Part<'a> {
    remote: &'a Remote,
    path: &'a Path,
    file: File,
    len: u64,
}

/// How a connection ended.
enum End {
    /// As the other side says; whether all has come is seen by the size.
    Done,
    Cut(io::Error),
    Longer,
}

impl Transfer<'_> {
    /// Sees to it that a file is in the folder of the commit.
    pub(super) fn file(
        &self,
        remote: &Remote,
        progress: &mut dyn Progress,
    ) -> Result<(), HubError> {
        let (whole, part) = self.place.blob(remote);
        if !is_whole(&whole, remote.bytes) {
            self.content(remote, &whole, &part, progress)?;
        }
        self.place.link(&self.listing.commit, remote)
    }

    fn content(
        &self,
        remote: &Remote,
        whole: &Path,
        part: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), HubError> {
        if let Some(folder) = part.parent() {
            fs::create_dir_all(folder).map_err(HubError::io("create", folder))?;
        }
        let mut open = self.open(remote, part)?;
        // Without a hash nothing would say that two halves are of the same content.
        if open.len > remote.bytes || remote.sha256.is_none() {
            open.restart()?;
        }
        progress.starts(&remote.name, remote.bytes, open.len);
        self.receive(&mut open, progress)?;
        self.check(&mut open)?;
        // On the disk before it has its name: after a crash a name must not stand for zeros.
        open.file.sync_all().map_err(HubError::io("write", part))?;
        fs::rename(part, whole).map_err(HubError::io("rename", part))?;
        progress.ends();
        Ok(())
    }

    /// Opens what is there already, for this process alone.
    fn open<'a>(&self, remote: &'a Remote, path: &'a Path) -> Result<Part<'a>, HubError> {
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(path).map_err(HubError::io("open", path))?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                let (model, file) = (self.client.model.clone(), remote.name.clone());
                return Err(HubError::Busy { model, file });
            }
            // A file system without locks: two at once are then told apart by the hash.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => (),
            Err(TryLockError::Error(error)) => return Err(HubError::io("lock", path)(error)),
        }
        let len = file.metadata().map_err(HubError::io("open", path))?.len();
        Ok(Part { remote, path, file, len })
    }

    /// Asks again for as long as every connection brings the end nearer.
    fn receive(&self, part: &mut Part<'_>, progress: &mut dyn Progress) -> Result<(), HubError> {
        let mut furthest = part.len;
        while part.len < part.remote.bytes {
            let Some(rest) = self.client.file(&self.listing.commit, part.remote, part.len)? else {
                part.restart()?;
                furthest = 0;
                continue;
            };
            if rest.start != part.len {
                part.restart()?;
                progress.starts(&part.remote.name, part.remote.bytes, 0);
            }
            let cut = match part.append(rest.body, progress)? {
                End::Longer => return Err(self.longer(part)),
                End::Cut(error) => Some(error),
                End::Done => None,
            };
            if part.len <= furthest && part.len < part.remote.bytes {
                let (model, file) = (self.client.model.clone(), part.remote.name.clone());
                let (got, expected) = (part.len, part.remote.bytes);
                return Err(HubError::Cut { model, file, got, expected, source: cut });
            }
            furthest = furthest.max(part.len);
        }
        Ok(())
    }

    fn longer(&self, part: &Part<'_>) -> HubError {
        let (model, file) = (self.client.model.clone(), part.remote.name.clone());
        HubError::Longer { model, file, expected: part.remote.bytes }
    }

    fn check(&self, part: &mut Part<'_>) -> Result<(), HubError> {
        let Some(expected) = part.remote.sha256 else { return Ok(()) };
        let got = part.sha256()?;
        if got == expected {
            return Ok(());
        }
        fs::remove_file(part.path).map_err(HubError::io("delete", part.path))?;
        let (model, file) = (self.client.model.clone(), part.remote.name.clone());
        Err(HubError::Hash { model, file, expected, got })
    }
}

impl Part<'_> {
    fn restart(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(HubError::io("empty", self.path))?;
        self.len = 0;
        Ok(())
    }

    /// Writes what comes, and no more than the size of the file.
    fn append(
        &mut self,
        body: Box<dyn Read>,
        progress: &mut dyn Progress,
    ) -> Result<End, HubError> {
        // One more shows whether there are more.
        let mut body = body.take(self.remote.bytes - self.len + 1);
        self.file.seek(SeekFrom::Start(self.len)).map_err(HubError::io("write", self.path))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => return Ok(End::Done),
                Ok(n) if self.len + n as u64 > self.remote.bytes => return Ok(End::Longer),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(End::Cut(error)),
            };
            self.file.write_all(&buffer[..n]).map_err(HubError::io("write", self.path))?;
            self.len += n as u64;
            progress.received(n as u64);
        }
    }

    fn sha256(&mut self) -> Result<Sha256Sum, HubError> {
        let mut hasher = Sha256::new();
        self.file.seek(SeekFrom::Start(0)).map_err(HubError::io("read", self.path))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.file.read(&mut buffer).map_err(HubError::io("read", self.path))? {
                0 => return Ok(Sha256Sum::finish(hasher)),
                n => hasher.update(&buffer[..n]),
            }
        }
    }
}
