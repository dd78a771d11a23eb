//! A note beside the files: what was hashed, and which size and time the files had.
//!
//! It saves hashing gigabytes before every question. It protects against accidents, not against
//! somebody who can write to the folder, who could rewrite `visor.json` as well.

use crate::digest::TensorSums;
use crate::write::write_atomically;
use crate::{Sha256Sum, disk, files, unique};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Longer stamps are not read.
const MAX_STAMP: u64 = 1 << 20;

/// Clocks of file systems are coarse: a file could change once more and keep its time. Only files
/// that have been still for so long are stamped.
const SETTLED: Duration = Duration::from_secs(2);

/// Size and time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileState {
    bytes: u64,
    modified_seconds: u64,
    modified_nanoseconds: u32,
}

impl FileState {
    /// `None` if the system keeps no times.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Self {
            bytes: metadata.len(),
            modified_seconds: modified.as_secs(),
            modified_nanoseconds: modified.subsec_nanos(),
        })
    }

    pub(crate) fn is_settled(&self) -> bool {
        let modified = Duration::new(self.modified_seconds, self.modified_nanoseconds);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.is_ok_and(|now| modified + SETTLED <= now)
    }
}

/// One file that was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StampedFile {
    pub(crate) state: FileState,
    pub(crate) sha256: Sha256Sum,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {
    schema_version: u32,
    #[serde(deserialize_with = "unique::map")]
    files: BTreeMap<String, StampedFile>,
    backbone_tensors: Sha256Sum,
    selector_tensors: Option<Sha256Sum>,
}

impl Stamp {
    pub(crate) fn new(files: BTreeMap<String, StampedFile>, sums: &TensorSums) -> Self {
        Self {
            schema_version: 1,
            files,
            backbone_tensors: sums.backbone,
            selector_tensors: sums.selector,
        }
    }

    /// The stamp of a folder; a stamp that is missing, damaged or of another version is none.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(files::STAMP);
        if std::fs::metadata(&path).ok()?.len() > MAX_STAMP {
            return None;
        }
        let stamp: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (stamp.schema_version == 1).then_some(stamp)
    }

    /// Writes the stamp where that is possible. A folder that cannot be written to is no error: it
    /// is hashed again next time.
    pub(crate) fn write(&self, folder: &Path) {
        if let Ok(json) = serde_json::to_vec_pretty(self) {
            let path = folder.join(files::STAMP);
            let _ = write_atomically(&path, disk::REAL, |out| out.write_all(&json));
        }
    }

    /// Whether these are exactly the files that were hashed, and each is as it was then.
    pub(crate) fn vouches_for<'f>(
        &self,
        files: impl ExactSizeIterator<Item = (&'f str, Option<Sha256Sum>, Option<FileState>)>,
    ) -> bool {
        files.len() == self.files.len() && { files }.all(|(name, recorded, state)| {
            self.files.get(name).is_some_and(|stamped| {
                state == Some(stamped.state) && recorded.is_none_or(|sum| sum == stamped.sha256)
            })
        })
    }

    pub(crate) fn sums(&self) -> TensorSums {
        TensorSums { backbone: self.backbone_tensors, selector: self.selector_tensors }
    }
}
