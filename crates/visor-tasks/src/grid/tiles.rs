//! The bitmaps of tiles: every mark that a cell can hold, at every jitter, for 8- and 16-pixel patches.
//!
//! Marks are drawn from integer predicates in units of 1/32 of a tile, so that both patch sizes share
//! one geometry. A jitter moves a mark by a fraction of the tile, which keeps a model from learning
//! single pixels; the tests prove that no two marks look alike at any pair of jitters.

use std::sync::LazyLock;

use super::scene::{Cell, Direction, Part};
use crate::shapes::{self, INKS};
use crate::{font, words};

/// Offsets of a mark in its tile, in 1/32 of the tile: (right, down).
const JITTER: [(i32, i32); JITTERS] =
    [(0, 0), (-2, 0), (2, 0), (0, -2), (0, 2), (2, 2), (-2, -2), (2, -2)];

/// How many jitters a tile has.
pub(crate) const JITTERS: usize = 8;

const ARROW_INK: [u8; 3] = [153, 153, 153];
const DIGIT_INK: [u8; 3] = [217, 217, 217];

const SHAPES: usize = words::SHAPES.len();
const FIRST_ARROW: usize = 1 + SHAPES;
const FIRST_WHOLE: usize = FIRST_ARROW + 4;
const FIRST_QUARTER: usize = FIRST_WHOLE + 10;
const STENCILS: usize = FIRST_QUARTER + 40;

/// The bitmaps for one patch size: one byte a pixel, 0 or 255.
pub(crate) struct Tiles {
    patch: usize,
    masks: Vec<u8>,
}

static SMALL_PATCH: LazyLock<Tiles> = LazyLock::new(|| Tiles::draw(8));
static LARGE_PATCH: LazyLock<Tiles> = LazyLock::new(|| Tiles::draw(16));

impl Tiles {
    /// The tiles for a patch of 8 or 16 pixels.
    pub(crate) fn of(patch: usize) -> &'static Self {
        if patch == 8 { &SMALL_PATCH } else { &LARGE_PATCH }
    }

    /// The bitmap of a cell at a jitter, row by row, and its ink. `None` for an empty cell.
    pub(crate) fn mask(&self, cell: Cell, jitter: usize) -> Option<(&[u8], [u8; 3])> {
        let (stencil, ink) = match cell {
            Cell::Empty => return None,
            Cell::Object { colour, shape } => (1 + usize::from(shape), INKS[usize::from(colour)]),
            Cell::Arrow(direction) => (FIRST_ARROW + direction as usize, ARROW_INK),
            Cell::Digit { digit, part: Part::Whole } => {
                (FIRST_WHOLE + usize::from(digit), DIGIT_INK)
            }
            Cell::Digit { digit, part: Part::Quarter(quarter) } => {
                (FIRST_QUARTER + usize::from(digit) * 4 + usize::from(quarter), DIGIT_INK)
            }
        };
        let area = self.patch * self.patch;
        let start = (stencil * JITTERS + jitter) * area;
        Some((&self.masks[start..start + area], ink))
    }

    fn draw(patch: usize) -> Self {
        let area = patch * patch;
        let mut masks = vec![0; STENCILS * JITTERS * area];
        for (index, mask) in masks.chunks_exact_mut(area).enumerate() {
            let (stencil, jitter) = (index / JITTERS, JITTER[index % JITTERS]);
            for (at, pixel) in mask.iter_mut().enumerate() {
                if has_ink(stencil, at % patch, at / patch, patch, jitter) {
                    *pixel = 255;
                }
            }
        }
        Self { patch, masks }
    }
}

/// Whether a stencil covers the pixel (x, y) of a tile.
fn has_ink(stencil: usize, x: usize, y: usize, patch: usize, jitter: (i32, i32)) -> bool {
    let unit = 32 / patch as i32;
    let u = x as i32 * unit + unit / 2 - 16 - jitter.0;
    let v = y as i32 * unit + unit / 2 - 16 - jitter.1;
    match stencil {
        0 => false,
        1..FIRST_ARROW => shapes::covers(stencil - 1, u, v, 1),
        FIRST_ARROW..FIRST_WHOLE => arrow_covers(stencil - FIRST_ARROW, u, v),
        FIRST_WHOLE..FIRST_QUARTER => {
            let scale = patch / 8;
            let (left, top) = glyph_corner(1 + jitter.0.signum(), jitter.1.signum(), scale);
            digit_covers(stencil - FIRST_WHOLE, x as i32 - left, y as i32 - top, scale)
        }
        _ => {
            let quarter = (stencil - FIRST_QUARTER) % 4;
            let scale = patch / 4;
            let (left, top) = glyph_corner(3 + jitter.0.signum(), 1 + jitter.1.signum(), scale / 2);
            let px = (x + quarter % 2 * patch) as i32 - left;
            let py = (y + quarter / 2 * patch) as i32 - top;
            digit_covers((stencil - FIRST_QUARTER) / 4, px, py, scale)
        }
    }
}

/// An arrow: a shaft and a head, turned so that it points to `direction`.
fn arrow_covers(direction: usize, u: i32, v: i32) -> bool {
    let (along, across) = match Direction::ALL[direction] {
        Direction::Right => (u, v),
        Direction::Down => (v, u),
        Direction::Left => (-u, v),
        Direction::Up => (-v, u),
    };
    let shaft = (-11..2).contains(&along) && across.abs() <= 3;
    let head = (1..13).contains(&along) && across.abs() <= 13 - along;
    shaft || head
}

/// The upper left corner of a glyph from its cell offsets, which must not leave the tile.
fn glyph_corner(across: i32, down: i32, scale: usize) -> (i32, i32) {
    let scale = scale as i32;
    (across.max(0) * scale, down.max(0) * scale)
}

fn digit_covers(digit: usize, px: i32, py: i32, scale: usize) -> bool {
    let character = char::from(b'0' + digit as u8);
    match (usize::try_from(px), usize::try_from(py)) {
        (Ok(px), Ok(py)) => font::ink(character, px / scale, py / scale),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Vec<Cell> {
        let mut marks = vec![Cell::Empty];
        marks.extend((0..5).map(|shape| Cell::Object { colour: 5, shape }));
        marks.extend(Direction::ALL.map(Cell::Arrow));
        marks.extend((0..10).map(|digit| Cell::Digit { digit, part: Part::Whole }));
        marks
    }

    fn bitmap(tiles: &Tiles, cell: Cell, jitter: usize) -> Vec<u8> {
        let blank = vec![0; tiles.patch * tiles.patch];
        tiles.mask(cell, jitter).map_or(blank, |(mask, _)| mask.to_vec())
    }

    fn differing(a: &[u8], b: &[u8]) -> usize {
        a.iter().zip(b).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn no_two_marks_look_alike_at_any_pair_of_jitters() {
        for patch in [8, 16] {
            let tiles = Tiles::of(patch);
            let marks = marks();
            for (i, &a) in marks.iter().enumerate() {
                for &b in &marks[i + 1..] {
                    for (ja, jb) in (0..JITTERS * JITTERS).map(|j| (j / JITTERS, j % JITTERS)) {
                        let apart = differing(&bitmap(tiles, a, ja), &bitmap(tiles, b, jb));
                        assert!(apart >= 3, "{a:?} and {b:?} differ in {apart} at {patch}px");
                    }
                }
            }
        }
    }

    #[test]
    fn no_two_large_digits_look_alike_at_any_pair_of_jitters() {
        for patch in [8, 16] {
            let tiles = Tiles::of(patch);
            let whole = |digit: u8, jitter: usize| -> Vec<u8> {
                (0..4)
                    .flat_map(|quarter| {
                        let part = Part::Quarter(quarter);
                        bitmap(tiles, Cell::Digit { digit, part }, jitter)
                    })
                    .collect()
            };
            for (a, b) in (0..100).map(|i| (i / 10, i % 10)).filter(|(a, b)| a < b) {
                for (ja, jb) in (0..JITTERS * JITTERS).map(|j| (j / JITTERS, j % JITTERS)) {
                    assert!(differing(&whole(a, ja), &whole(b, jb)) >= 3, "{a} and {b}");
                }
            }
        }
    }

    #[test]
    fn a_digit_keeps_all_its_ink_at_every_jitter() {
        for patch in [8, 16] {
            let tiles = Tiles::of(patch);
            for digit in 0..10 {
                let ink = |part, jitter| -> usize {
                    let mask = bitmap(tiles, Cell::Digit { digit, part }, jitter);
                    mask.iter().filter(|&&pixel| pixel > 0).count()
                };
                for jitter in 0..JITTERS {
                    assert_eq!(ink(Part::Whole, jitter), ink(Part::Whole, 0));
                    let quarters: usize = (0..4).map(|q| ink(Part::Quarter(q), jitter)).sum();
                    assert_eq!(quarters, 4 * ink(Part::Whole, 0));
                }
            }
        }
    }
}
