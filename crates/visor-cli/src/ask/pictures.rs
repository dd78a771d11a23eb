//! The pictures of a question, from files and from standard input.

use crate::ending::Usage;
use anyhow::{Context, Result, bail};
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
