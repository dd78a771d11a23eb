//! The lines of a file or of standard input, one at a time and none without bound.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

/// Longer lines are no requests.
const MAX_LINE: u64 = 1 << 20;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    folder: PathBuf,
    name: String,
    number: u64,
}

/// A line that is not empty.
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) text: String,
}

impl Lines {
    /// # Errors
    /// If there is no such file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (reader, folder): (Box<dyn BufRead>, _) = match path == Path::new(STANDARD_INPUT) {
            true => (Box::new(BufReader::new(stdin())), PathBuf::new()),
            false => {
                let file = File::open(path);
                let file = file.with_context(|| format!("cannot read `{}`", path.display()))?;
                let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                (Box::new(BufReader::new(file)), folder)
            }
        };
        Ok(Self { reader, folder, name: path.display().to_string(), number: 0 })
    }

    /// Where pictures are looked for from.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The next line that is not empty.
    ///
    /// # Errors
    /// If it cannot be read, is no text or has more bytes than a request may.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>> {
        loop {
            let number = self.number + 1;
            let cannot = || format!("cannot read line {number} of `{}`", self.name);
            let mut text = String::new();
            let mut bounded = (&mut self.reader).take(MAX_LINE + 1);
            let read = bounded.read_line(&mut text).with_context(cannot)?;
            if text.len() as u64 > MAX_LINE {
                bail!("line {number} of `{}` has more than {MAX_LINE} bytes", self.name);
            }
            self.number = number;
            match read {
                0 => return Ok(None),
                _ if text.trim().is_empty() => {}
                _ => return Ok(Some(Line { number, text })),
            }
        }
    }
}
