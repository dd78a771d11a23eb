//! An embedded bitmap font: digits, letters and a little punctuation in 5 x 7 pixels.
//!
//! One set of letter forms serves both cases. Every glyph differs from every other in at least three
//! pixels, also when one of them is a pixel off; the tests hold the font to that.

/// Every pixel that a line of text covers, `(right, down)` from its upper left corner. Lines are
/// seven pixels high; a character that the font lacks leaves its place empty.
pub fn lettering(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.chars().enumerate().flat_map(|(index, character)| {
        let pixels = (0..GLYPH_HEIGHT).flat_map(|y| (0..GLYPH_WIDTH).map(move |x| (x, y)));
        let covered = pixels.filter(move |&(x, y)| ink(character, x, y));
        covered.map(move |(x, y)| (index * (GLYPH_WIDTH + 1) + x, y))
    })
}

/// Width of a glyph in pixels.
pub(crate) const GLYPH_WIDTH: usize = 5;
/// Height of a glyph in pixels.
pub(crate) const GLYPH_HEIGHT: usize = 7;

/// The seven rows of a glyph, five low bits each, the leftmost pixel in bit 4.
type Rows = [u8; GLYPH_HEIGHT];

const DIGITS: [Rows; 10] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
    [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

const LETTERS: [Rows; 26] = [
    [0b00100, 0b01010, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001],
    [0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110],
    [0b01111, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b01111],
    [0b11100, 0b10010, 0b10001, 0b10001, 0b10001, 0b10010, 0b11100],
    [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
    [0b11111, 0b10000, 0b10000, 0b11100, 0b10000, 0b10000, 0b10000],
    [0b01111, 0b10000, 0b10000, 0b10111, 0b10001, 0b10001, 0b01111],
    [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
    [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b11111],
    [0b00111, 0b00010, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100],
    [0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001],
    [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
    [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001],
    [0b10001, 0b11001, 0b11001, 0b10101, 0b10011, 0b10011, 0b10001],
    [0b11111, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11111],
    [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10101, 0b10010, 0b01101],
    [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
    [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110],
    [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
    [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
    [0b10001, 0b10001, 0b10001, 0b01010, 0b01010, 0b00100, 0b00100],
    [0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b11011, 0b10001],
    [0b10001, 0b01010, 0b01010, 0b00100, 0b01010, 0b01010, 0b10001],
    [0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b11111],
];

const QUESTION: Rows = [0b01110, 0b10001, 0b00001, 0b00110, 0b00100, 0b00000, 0b00100];
const COLON: Rows = [0b00000, 0b00100, 0b00100, 0b00000, 0b00100, 0b00100, 0b00000];
const DASH: Rows = [0b00000, 0b00000, 0b00000, 0b01110, 0b00000, 0b00000, 0b00000];
const DOT: Rows = [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100];
const GREATER: Rows = [0b01000, 0b00100, 0b00010, 0b00001, 0b00010, 0b00100, 0b01000];
const BLANK: Rows = [0; GLYPH_HEIGHT];

/// The rows of a character; a character that the font lacks is blank.
pub(crate) fn rows(character: char) -> Rows {
    match character {
        '0'..='9' => DIGITS[character as usize - '0' as usize],
        'a'..='z' => LETTERS[character as usize - 'a' as usize],
        'A'..='Z' => LETTERS[character as usize - 'A' as usize],
        '?' => QUESTION,
        ':' => COLON,
        '-' => DASH,
        '.' => DOT,
        '>' => GREATER,
        _ => BLANK,
    }
}

/// Whether the glyph has ink at column `x`, row `y`; false outside.
pub(crate) fn ink(character: char, x: usize, y: usize) -> bool {
    x < GLYPH_WIDTH && y < GLYPH_HEIGHT && rows(character)[y] >> (GLYPH_WIDTH - 1 - x) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels in which two glyphs differ, the second one moved by up to a pixel each way.
    fn apart(a: char, b: char, right: usize, down: usize) -> usize {
        let frame = (0..(GLYPH_HEIGHT + 2) * (GLYPH_WIDTH + 2))
            .map(|i| (i % (GLYPH_WIDTH + 2), i / (GLYPH_WIDTH + 2)));
        let shown = |c: char, x: usize, y: usize| x < 10 && y < 10 && ink(c, x, y);
        frame
            .filter(|&(x, y)| {
                shown(a, x.wrapping_sub(1), y.wrapping_sub(1))
                    != shown(b, x.wrapping_sub(right), y.wrapping_sub(down))
            })
            .count()
    }

    #[test]
    fn no_two_glyphs_look_alike_even_a_pixel_off() {
        let glyphs: Vec<char> = ('0'..='9').chain('a'..='z').chain("?:-.>".chars()).collect();
        for (index, &a) in glyphs.iter().enumerate() {
            for &b in &glyphs[index + 1..] {
                for (right, down) in (0..9).map(|i| (i % 3, i / 3)) {
                    let apart = apart(a, b, right, down);
                    assert!(apart >= 3, "{a} and {b} differ in {apart} pixels");
                }
            }
        }
    }

    #[test]
    fn what_the_font_lacks_is_blank() {
        assert!((0..35).all(|i| !ink('\u{e9}', i % 5, i / 5)) && !ink('a', 5, 0));
    }
}
