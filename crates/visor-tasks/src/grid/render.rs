//! From cells to pixels: tiles over a dark ground, then noise, straight into bytes.

use super::scene::{Cell, Part, Scene};
use super::tiles::{JITTERS, Tiles};
use crate::Picture;
use crate::noise;
use crate::rng::Rng;

/// Paints the scene with one jitter for each cell and the noise that `rng` gives.
pub(crate) fn render(scene: &Scene, patch: usize, rng: &mut Rng) -> Picture {
    let size = scene.side * patch;
    let level = noise::ground(rng);
    let mut picture = Picture::blank(size, level);
    let tiles = Tiles::of(patch);
    // The quarters of a large digit must move together.
    let shared = rng.below(JITTERS);
    for (at, &cell) in scene.cells.iter().enumerate() {
        let own = rng.below(JITTERS);
        let jitter =
            if matches!(cell, Cell::Digit { part: Part::Quarter(_), .. }) { shared } else { own };
        let Some((mask, ink)) = tiles.mask(cell, jitter) else { continue };
        let corner = (at / scene.side * patch * size + at % scene.side * patch) * 3;
        for (y, row) in mask.chunks_exact(patch).enumerate() {
            let line = &mut picture.rgb[corner + y * size * 3..][..patch * 3];
            for (pixel, &covered) in line.chunks_exact_mut(3).zip(row) {
                for (value, &ink) in pixel.iter_mut().zip(&ink) {
                    *value = (*value).max(ink & covered);
                }
            }
        }
    }
    noise::add(&mut picture.rgb, rng);
    picture
}
