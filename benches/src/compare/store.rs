//! A folder that keeps what was observed, so that a killed run goes on where it was.
//!
//! `observations.jsonl` has a line with the settings and then one a thing observed, appended and
//! never changed. A kill can tear the last line alone; it is dropped when the run goes on. Settings
//! are those of the first run: other ones are an error, since rows would not be comparable.

mod assemble;
mod error;

pub use error::{Change, OrderError, StoreError};

use super::observation::{Answer, Item, ObservationError, Part, RowHead, Suite, TimingSample};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Version of the file's lines.
pub const SCHEMA_VERSION: u32 = 1;

/// Name of the file in the folder.
pub const FILE: &str = "observations.jsonl";

/// Everything that answers depend on, by name: model, policy, selector, number format. What it does
/// not name may change while a run is interrupted.
pub type Settings = BTreeMap<String, String>;

/// A thing observed: a line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// The questions, once and before any answer.
    Items(Vec<Item>),
    /// A row that follows, once and before its answers.
    Row(RowHead),
    /// Answers of a row to the items after those that it has already answered.
    Answers(Part),
    /// Times of a row, in the order in which they were taken.
    Timing {
        /// The row.
        row: String,
        /// Its times.
        samples: Vec<TimingSample>,
    },
    /// The most memory that was resident while a row ran. The last one counts.
    PeakMemory {
        /// The row.
        row: String,
        /// In bytes.
        bytes: u64,
    },
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema_version: u32,
    settings_sha256: String,
    suite: Suite,
    settings: Settings,
}

/// An open store. Only one process has it.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    suite: Suite,
    parts: assemble::Parts,
}

impl Store {
    /// Opens the store of a folder; begins one where there is none. Of a run that was killed, a
    /// torn last line is dropped.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    pub fn open(folder: &Path, suite: &Suite, settings: &Settings) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let io = |action, source| StoreError::Io { action, path: path.clone(), source };
        fs::create_dir_all(folder).map_err(|error| io("create the folder of", error))?;
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = opened.map_err(|error| io("open", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(io("lock", error)),
        }
        let bytes = fs::read(&path).map_err(|error| io("read", error))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let header = Header {
            schema_version: SCHEMA_VERSION,
            settings_sha256: digest(suite, settings),
            suite: suite.clone(),
            settings: settings.clone(),
        };
        let mut parts = assemble::Parts::default();
        let mut lines = bytes[..whole].split(|byte| *byte == b'\n').enumerate();
        if whole > 0
            && let Some((_, line)) = lines.next()
        {
            agree(&path, line, &header)?;
        }
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            parts.add(parsed(&path, number, line)?)?;
        }
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(|error| io("drop the torn line of", error))?;
        }
        if whole == 0 {
            write_line(&mut file, &header).map_err(|error| io("write", error))?;
        }
        Ok(Self { path, file, suite: suite.clone(), parts })
    }

    /// Whether the questions are there.
    pub fn has_items(&self) -> bool {
        self.parts.has_items()
    }

    /// Whether a row of this name was declared.
    pub fn has_row(&self, row: &str) -> bool {
        self.parts.row(row).is_some()
    }

    /// How many items a row has answered; it goes on with the next.
    pub fn answered(&self, row: &str) -> usize {
        self.parts.row(row).map_or(0, |row| row.answers.len())
    }

    /// What a row has answered so far, from the first item on.
    pub fn answers(&self, row: &str) -> &[Answer] {
        self.parts.row(row).map_or(&[], |row| &row.answers)
    }

    /// How often a row was timed.
    pub fn timed(&self, row: &str) -> usize {
        self.parts.row(row).map_or(0, |row| row.timing.len())
    }

    /// Whether a row's memory was measured.
    pub fn has_peak_memory(&self, row: &str) -> bool {
        self.parts.row(row).is_some_and(|row| row.peak_rss_bytes.is_some())
    }

    /// Appends an entry. It survives a kill once this returns.
    ///
    /// # Errors
    /// [`StoreError::Order`] where it does not follow from what is there, [`StoreError::Io`].
    pub fn append(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.parts.check(&entry)?;
        write_line(&mut self.file, &entry).map_err(|source| StoreError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })?;
        Ok(self.parts.add(entry)?)
    }

    /// All that was observed.
    ///
    /// # Errors
    /// [`ObservationError`], as where some row has not answered everything.
    pub fn observations(&self) -> Result<super::observation::Observations, ObservationError> {
        self.parts.observations(&self.suite)
    }
}

/// SHA-256 of the settings, in hexadecimal digits.
pub fn digest(suite: &Suite, settings: &Settings) -> String {
    let mut hash = Sha256::new();
    let suite = [("suite", &suite.name), ("split", &suite.split), ("data", &suite.sha256)];
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in suite.into_iter().chain(settings) {
        // Lengths first, so that no two settings run into one another.
        hash.update(format!("{} {} {name}{value}", name.len(), value.len()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parsed(path: &Path, number: usize, line: &[u8]) -> Result<Entry, StoreError> {
    let refused = |source| StoreError::Line { path: path.to_owned(), line: number + 1, source };
    serde_json::from_slice(line).map_err(refused)
}

/// Whether a header is that of a run with these settings.
fn agree(path: &Path, line: &[u8], wanted: &Header) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }

    let refused = |source| StoreError::Line { path: path.to_owned(), line: 1, source };
    let Version { schema_version: found } = serde_json::from_slice(line).map_err(refused)?;
    if found != SCHEMA_VERSION {
        return Err(StoreError::Version { path: path.to_owned(), found });
    }
    let header: Header = serde_json::from_slice(line).map_err(refused)?;
    let changes = changes(&header, wanted);
    match changes.is_empty() {
        true => Ok(()),
        false => Err(StoreError::OtherSettings { path: path.to_owned(), changes }),
    }
}

fn changes(old: &Header, new: &Header) -> Vec<Change> {
    let all = |header: &Header| {
        let Suite { name, split, sha256 } = header.suite.clone();
        let suite = [("suite", name), ("suite split", split), ("suite data", sha256)];
        let suite = suite.map(|(name, value)| (name.to_owned(), value));
        suite.into_iter().chain(header.settings.clone()).collect::<Settings>()
    };
    let (old, new) = (all(old), all(new));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| Change {
        name: name.clone(),
        was: old.get(name).cloned(),
        is: new.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.was != change.is).collect()
}

/// A line in one write, so that a kill tears the last one at most.
fn write_line(file: &mut File, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    file.write_all(&line)
}

#[cfg(test)]
mod tests;
