//! Where the answers of a batch go, and which of them are there already.

use super::request::Id;
use crate::{files, output};
use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The answers of a batch, on standard output or in a file.
pub(super) struct Record {
    file: Option<(File, PathBuf)>,
    /// Answered in the file before this run.
    before: HashSet<Id>,
    /// Seen in this run.
    seen: HashSet<Id>,
}

/// What must be known of a line that is there.
#[derive(Deserialize)]
struct Kept {
    id: Id,
    text: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

impl Record {
    /// Standard output, or a file that is begun or gone on with.
    ///
    /// # Errors
    /// If it cannot be read or written, or holds something else.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self { file: None, before: HashSet::new(), seen: HashSet::new() });
        };
        let before = match fs::read_to_string(path) {
            Ok(text) => Self::go_on(path, &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => HashSet::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { file: Some((file, path.to_owned())), before, seen: HashSet::new() })
    }

    /// The requests that a file answers. What failed, and what was cut off, is taken out: it is
    /// asked again.
    fn go_on(path: &Path, text: &str) -> Result<HashSet<Id>> {
        let (mut before, mut kept) = (HashSet::new(), String::new());
        let last = text.lines().count();
        for (number, line) in (1..).zip(text.lines()) {
            match serde_json::from_str::<Kept>(line) {
                Ok(Kept { id, text: Some(_), error: None }) => {
                    before.insert(id);
                    kept.push_str(line);
                    kept.push('\n');
                }
                Ok(Kept { error: Some(_), .. }) => {}
                Err(_) if number == last && !text.ends_with('\n') => {}
                Ok(_) | Err(_) => bail!(
                    "line {number} of `{}` is no answer of a batch: write the answers to another \
                     file",
                    path.display()
                ),
            }
        }
        if kept != text {
            files::write(path, kept.as_bytes())?;
        }
        Ok(before)
    }

    /// Whether the file answered it before this run.
    pub(super) fn has(&self, id: &Id) -> bool {
        self.before.contains(id)
    }

    /// Notes that a request of this name is asked.
    ///
    /// # Errors
    /// If there was one of the same name.
    pub(super) fn claim(&mut self, id: &Id) -> Result<()> {
        if !self.seen.insert(id.clone()) {
            bail!("there was a request of the same id before");
        }
        Ok(())
    }

    /// Writes a line, whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(line)?;
        match &mut self.file {
            None => output::answer(&line),
            Some((file, path)) => file
                .write_all(format!("{line}\n").as_bytes())
                .with_context(|| format!("cannot write `{}`", path.display())),
        }
    }
}
