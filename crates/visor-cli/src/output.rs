//! The two streams: answers on standard output, everything else on standard error.

use anyhow::{Error, Result};
use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Nobody reads standard output any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

/// Writes a part of an answer, at once.
///
/// # Errors
/// [`Closed`], or why the answer cannot be written.
pub(crate) fn part(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Error::new(Closed),
        _ => Error::new(error).context("cannot write the answer"),
    })
}

/// Writes an answer and ends its line.
///
/// # Errors
/// As [`part`].
pub(crate) fn answer(text: &str) -> Result<()> {
    part(&format!("{text}\n"))
}

/// Says something beside the answer. That nobody can hear it is no reason to fail.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
