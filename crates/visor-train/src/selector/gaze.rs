//! Which patch of a teacher's grid each visual token of a picture looks at.
//!
//! A teacher sees the whole picture, stretched to its square, in `side` x `side` patches. A model may
//! cut the picture, show it more than once, or put it on a ground: a visual token looks at the patch
//! in which its middle lies, wherever its tile lies in the picture.

use visor_processor::{Arrangement, ImageTokens, PixelSize};

/// Of each visual token of a picture of this size, in the order of the prompt, the patch that it
/// looks at; none where it ends a line, or its middle lies on the ground around the picture. `tile`
/// is how many tokens a tile gives.
pub(super) fn gaze(
    arrangement: Arrangement,
    tile: ImageTokens,
    size: PixelSize,
    side: usize,
) -> Vec<Option<usize>> {
    let n: usize = arrangement.places(tile).iter().map(|place| place.rows * place.cols).sum();
    let mut seen = vec![None; n];
    for panel in arrangement.panels(tile) {
        let frame = panel.cover.frame(size.width, size.height);
        for (cell, &token) in panel.tokens.iter().enumerate() {
            let (row, col) = (cell / panel.cols, cell % panel.cols);
            let row = part(row, panel.rows, [frame.height, frame.top, size.height], side);
            let col = part(col, panel.cols, [frame.width, frame.left, size.width], side);
            seen[token] = row.zip(col).map(|(row, col)| row * side + col);
        }
    }
    seen
}

/// Of `side` equal parts of a picture's edge, the one in which the middle of place `at` of `n` lies.
/// The places divide an edge of `whole` pixels, of which the first `before` are ground and the next
/// `own` the picture's.
fn part(at: usize, n: usize, [whole, before, own]: [u32; 3], side: usize) -> Option<usize> {
    let [whole, before, own] = [whole, before, own].map(|pixels| pixels as usize);
    // In pixels, `2 n` times over.
    let middle = ((2 * at + 1) * whole).checked_sub(2 * n * before)?;
    let part = middle * side / (2 * n * own);
    (part < side).then_some(part)
}

/// Cosines of a text with what tokens look at, as a distribution over the tokens: those that look at
/// nothing have no share of it.
pub(super) fn distribution(cosines: &[Option<f32>], sharpness: f32) -> Vec<f32> {
    let fit = |cosine: &Option<f32>| cosine.map_or(0.0, |cosine| (sharpness * cosine).exp());
    let fits: Vec<f32> = cosines.iter().map(fit).collect();
    // Some token of every picture looks at it: the sum is above nothing.
    let sum: f32 = fits.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    fits.into_iter().map(|fit| fit / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_processor::TileGrid;

    const SQUARE: PixelSize = PixelSize { width: 48, height: 48 };

    #[test]
    fn a_token_looks_at_the_patch_in_which_its_middle_lies() {
        let places = |n, side| {
            let place = |at| part(at, n, [48, 0, 48], side);
            (0..n).map(place).collect::<Option<Vec<_>>>().expect("within the picture")
        };
        assert_eq!(places(6, 3), [0, 0, 1, 1, 2, 2]);
        assert_eq!(places(3, 6), [1, 3, 5]);
        assert_eq!(places(6, 7), [0, 1, 2, 4, 5, 6]);
        assert_eq!(places(4, 4), [0, 1, 2, 3]);
    }

    #[test]
    fn tokens_of_tiles_look_where_their_tile_lies() {
        let tile = ImageTokens { rows: 2, cols: 2 };
        let whole = gaze(Arrangement::Whole, tile, SQUARE, 4);
        assert_eq!(whole, [5, 7, 13, 15].map(Some));
        // Two tiles side by side, each with its tokens together, and the whole picture behind.
        let grid = Some(TileGrid { rows: 1, cols: 2 });
        let cut = gaze(Arrangement::Marked { grid }, tile, PixelSize { width: 96, height: 48 }, 4);
        let expected = [4, 5, 12, 13, 6, 7, 14, 15].map(Some);
        assert_eq!(cut, [&expected[..], &whole].concat());
    }

    #[test]
    fn ground_and_the_ends_of_lines_look_at_nothing() {
        let tile = ImageTokens { rows: 4, cols: 2 };
        let wide = PixelSize { width: 40, height: 20 };
        // The picture is the middle half of its square; a new line is behind it.
        let seen = gaze(Arrangement::Lined, tile, wide, 2);
        let none = [None, None];
        let expected = [&none[..], &[Some(0), Some(1)], &[Some(2), Some(3)], &none, &[None]];
        assert_eq!(seen, expected.concat());
        let share = distribution(&[Some(0.5), None, Some(0.5)], 10.0);
        assert_eq!(share, [0.5, 0.0, 0.5]);
    }
}
