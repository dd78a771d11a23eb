//! The lines of a file or of standard input, one at a time and none without bound.

use anyhow::{Context, Result, anyhow};
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
    /// Or why there is no text.
    pub(super) text: Result<String>,
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

    /// The next line that is not empty. One that has more bytes than a request may, or is no text,
    /// is a line as well: what stands behind it is read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>> {
        loop {
            let number = self.number + 1;
            let cannot = || format!("cannot read line {number} of `{}`", self.name);
            let mut bytes = Vec::new();
            let mut bounded = (&mut self.reader).take(MAX_LINE + 1);
            let read = bounded.read_until(b'\n', &mut bytes).with_context(cannot)?;
            let too_long = bytes.len() as u64 > MAX_LINE;
            if too_long && !bytes.ends_with(b"\n") {
                self.reader.skip_until(b'\n').with_context(cannot)?;
            }
            self.number = number;
            let text = match String::from_utf8(bytes) {
                _ if too_long => Err(anyhow!("line {number} has more than {MAX_LINE} bytes")),
                Err(_) => Err(anyhow!("line {number} is no UTF-8 text")),
                Ok(text) => Ok(text),
            };
            match &text {
                _ if read == 0 => return Ok(None),
                Ok(text) if text.trim().is_empty() => {}
                _ => return Ok(Some(Line { number, text })),
            }
        }
    }
}
