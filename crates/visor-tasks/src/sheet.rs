//! A contact sheet: enlarged pictures with question and answer printed under each.

use crate::picture::encode_png;
use crate::{Sample, TaskError, font};

/// Pixels that a picture fills at least, enlarged by a whole factor.
const SHOWN: usize = 192;
const MARGIN: usize = 8;
const LINE: usize = font::GLYPH_HEIGHT + 4;
const ADVANCE: usize = font::GLYPH_WIDTH + 1;
const PAPER: u8 = 24;
const INK: u8 = 230;

/// A sheet of pixels that text and pictures are put on.
struct Sheet {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Sheet {
    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }

    fn text(&mut self, left: usize, top: usize, text: &str) {
        for (index, character) in text.chars().enumerate() {
            for (y, x) in
                (0..font::GLYPH_HEIGHT).flat_map(|y| (0..font::GLYPH_WIDTH).map(move |x| (y, x)))
            {
                if font::ink(character, x, y) {
                    self.set(left + index * ADVANCE + x, top + y, [INK; 3]);
                }
            }
        }
    }
}

/// Breaks a line of words so that no part is longer than `limit` characters, words as they are.
fn wrap(text: &str, limit: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > limit {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

/// The samples side by side, `columns` in a row, as the bytes of a PNG.
///
/// # Errors
/// [`TaskError::Encode`] without samples or without columns.
pub fn contact_sheet(samples: &[Sample], columns: usize) -> Result<Vec<u8>, TaskError> {
    let size = samples.iter().map(|sample| sample.picture.size).max().unwrap_or(0);
    if size == 0 || columns == 0 {
        return Err(TaskError::Encode { reason: "a sheet needs samples and columns".into() });
    }
    let columns = columns.min(samples.len());
    let factor = SHOWN.div_ceil(size);
    let width = size * factor;
    let captions: Vec<Vec<String>> = samples
        .iter()
        .map(|sample| {
            sample
                .questions
                .iter()
                .flat_map(|q| wrap(&format!("{} > {}", q.text, q.answer), width / ADVANCE))
                .collect()
        })
        .collect();
    let lines = captions.iter().map(Vec::len).max().unwrap_or(0);
    let (across, down) = (width + MARGIN, width + MARGIN + lines * LINE + MARGIN);
    let rows = samples.len().div_ceil(columns);
    let (sheet_width, sheet_height) = (columns * across + MARGIN, rows * down + MARGIN);
    let rgb = vec![PAPER; sheet_width * sheet_height * 3];
    let mut sheet = Sheet { width: sheet_width, height: sheet_height, rgb };
    for (index, (sample, caption)) in samples.iter().zip(&captions).enumerate() {
        let left = MARGIN + index % columns * across;
        let top = MARGIN + index / columns * down;
        let picture = &sample.picture;
        for (y, x) in
            (0..picture.size * factor).flat_map(|y| (0..picture.size * factor).map(move |x| (y, x)))
        {
            let at = (y / factor * picture.size + x / factor) * 3;
            let pixel = [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]];
            sheet.set(left + x, top + y, pixel);
        }
        for (line, text) in caption.iter().enumerate() {
            sheet.text(left, top + width + MARGIN / 2 + line * LINE, text);
        }
    }
    encode_png(&sheet.rgb, sheet.width, sheet.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Split, Suite, SuiteName};

    #[test]
    fn a_sheet_is_a_png_that_holds_all_pictures() {
        let suite = Suite::new(SuiteName::Nano);
        let samples: Vec<_> =
            (0..3).map(|seed| suite.sample(Split::Train, Family::Read, seed)).collect();
        let png = contact_sheet(&samples, 2).expect("three samples make a sheet");
        let sheet = image::load_from_memory(&png).expect("our own PNG decodes");
        assert_eq!(sheet.width() as usize, 2 * (192 + MARGIN) + MARGIN);
        assert!(sheet.height() as usize > 2 * 192);
        assert!(contact_sheet(&[], 2).is_err() && contact_sheet(&samples, 0).is_err());
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
