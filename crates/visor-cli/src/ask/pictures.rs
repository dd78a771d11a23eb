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
    expect_one_input(images)?;
    for image in images {
        question = match is_input(image) {
            true => question.picture_bytes(from_input()?),
            false => question.picture_file(image),
        };
    }
    Ok(question)
}

/// The bytes of all pictures, in their order.
///
/// # Errors
/// As [`add`], and if a file has more bytes than a picture may.
pub(crate) fn all(images: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    expect_one_input(images)?;
    images.iter().map(|image| bytes(image)).collect()
}

fn expect_one_input(images: &[PathBuf]) -> Result<()> {
    match images.iter().filter(|image| is_input(image)).count() {
        0 | 1 => Ok(()),
        _ => Err(Usage::because("standard input holds one picture: give `--image -` once")),
    }
}

fn is_input(image: &Path) -> bool {
    image == Path::new(STANDARD_INPUT)
}

/// The bytes of one picture, from its file or from standard input.
///
/// # Errors
/// If it cannot be read, or has more bytes than a picture may.
fn bytes(image: &Path) -> Result<Vec<u8>> {
    if is_input(image) {
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
