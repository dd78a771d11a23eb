//! The pictures of a question, from files and from standard input.

use crate::ending::Usage;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use visor::{MAX_PICTURE_BYTES, Question};

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Adds the pictures in their order.
///
/// # Errors
/// If standard input is to be read twice, or cannot be read.
pub(crate) fn add(mut question: Question, images: &[PathBuf]) -> Result<Question> {
    let is_input = |image: &&PathBuf| image.as_path() == Path::new(STANDARD_INPUT);
    if images.iter().filter(is_input).count() > 1 {
        return Err(Usage::because("standard input holds one picture: give `--image -` once"));
    }
    for image in images {
        question = match is_input(&image) {
            true => question.picture_bytes(from_input()?),
            false => question.picture_file(image),
        };
    }
    Ok(question)
}

/// The bytes of one picture, from its file or from standard input.
///
/// # Errors
/// If it cannot be read, or has more bytes than a picture may.
pub(crate) fn bytes(image: &Path) -> Result<Vec<u8>> {
    if image == Path::new(STANDARD_INPUT) {
        return from_input();
    }
    let cannot = || format!("cannot read the picture `{}`", image.display());
    let mut bytes = Vec::new();
    let file = File::open(image).with_context(cannot)?;
    file.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > MAX_PICTURE_BYTES {
        bail!("the picture `{}` has more than {MAX_PICTURE_BYTES} bytes", image.display());
    }
    Ok(bytes)
}

fn from_input() -> Result<Vec<u8>> {
    let input = stdin().lock();
    if input.is_terminal() {
        bail!("`--image -` reads a picture from standard input, which is the terminal here");
    }
    let mut bytes = Vec::new();
    input
        .take(MAX_PICTURE_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("cannot read the picture from standard input")?;
    if bytes.len() as u64 > MAX_PICTURE_BYTES {
        bail!("the picture on standard input has more than {MAX_PICTURE_BYTES} bytes");
    }
    Ok(bytes)
}
