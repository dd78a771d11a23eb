//! The digits of a number: one look an answer word, at small glyphs (a patch each) or large ones.

use super::knobs::Knobs;
use super::scene::{Cell, KIND_COUNT, Part, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words::DIGITS;

/// Uniform digits at a uniform place, one patch or two by two patches each, among clutter.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let mut scene = Scene::empty(knobs.side);
    let digits: Vec<u8> = (0..rng.between(knobs.digits.0, knobs.digits.1))
        .map(|_| rng.below(DIGITS.len()) as u8)
        .collect();
    let large = rng.coin();
    let width = if large { 2 } else { 1 };
    let row = rng.below(knobs.side - width + 1);
    let column = rng.below(knobs.side - width * digits.len() + 1);
    let mut evidence = Vec::new();
    for (index, &digit) in digits.iter().enumerate() {
        let corner = row * knobs.side + column + index * width;
        for quarter in 0..width * width {
            let at = corner + quarter / 2 * knobs.side + quarter % 2;
            let part = if large { Part::Quarter(quarter as u8) } else { Part::Whole };
            scene.cells[at] = Cell::Digit { digit, part };
            evidence.push(at);
        }
    }
    let mut free = scene.free();
    rng.shuffle(&mut free);
    for &at in free.iter().take(rng.between(knobs.clutter.0, knobs.clutter.1)) {
        scene.cells[at] = Cell::object(rng.below(KIND_COUNT));
    }
    let words: Vec<&str> = digits.iter().map(|&digit| DIGITS[usize::from(digit)]).collect();
    let mut first = Ask::new(Family::Read, "read number ?".into(), &words.join(" "), evidence);
    first.glyph_height = (width * knobs.patch / 8 * 7) as u8;
    Drawn { scene, first }
}
