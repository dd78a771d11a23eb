//! The tiles of Idefics3 and SmolVLM: a grid of squares, then the whole picture.
//!
//! After `Idefics3ImageProcessor` and `Idefics3Processor` of transformers 5.23.

use super::{PixelSize, TileGrid};
use crate::image_processor::MAX_TILE_SIDE;

/// Stands before every tile and behind the last.
const FAKE: &str = "<fake_token_around_image>";
/// Names the tile that shows the whole picture.
const GLOBAL: &str = "<global-img>";

/// The picture's size once its longer side has `longest` pixels: the other side even, and neither
/// beyond the largest that the processor makes.
pub(crate) fn to_longest_edge(size: PixelSize, longest: u32) -> PixelSize {
    let aspect = size.aspect();
    let even = |side: u32| if side.is_multiple_of(2) { side } else { side + 1 };
    let (width, height) = match size.width >= size.height {
        true => (longest, even((f64::from(longest) / aspect) as u32)),
        false => (even((f64::from(longest) * aspect) as u32), longest),
    };
    below(PixelSize { width: width.max(1), height: height.max(1) }, MAX_TILE_SIDE)
}

fn below(size: PixelSize, limit: u32) -> PixelSize {
    let aspect = size.aspect();
    let PixelSize { width, height } = size;
    let (width, height) = if width >= height && width > limit {
        (limit, (f64::from(limit) / aspect) as u32)
    } else if height > width && height > limit {
        ((f64::from(limit) * aspect) as u32, limit)
    } else {
        (width, height)
    };
    PixelSize { width: width.max(1), height: height.max(1) }
}

/// The grid of tiles of `side` pixels that covers a resized picture; none where one tile does.
pub(crate) fn grid(resized: PixelSize, side: u32) -> Option<TileGrid> {
    let aspect = resized.aspect();
    let tiles = |pixels: u32| pixels.div_ceil(side).max(1);
    let (cols, rows) = match resized.width >= resized.height {
        true => {
            let cols = tiles(resized.width);
            (cols, tiles((f64::from(cols * side) / aspect) as u32))
        }
        false => {
            let rows = tiles(resized.height);
            (tiles((f64::from(rows * side) * aspect) as u32), rows)
        }
    };
    let grid = TileGrid { rows: rows as usize, cols: cols as usize };
    (grid.tiles() > 1).then_some(grid)
}

/// What stands in place of a picture's marker; `tokens` markers a tile.
pub(crate) fn written(grid: Option<TileGrid>, marker: &str, tokens: usize) -> String {
    let run = marker.repeat(tokens);
    let mut text = String::new();
    if let Some(TileGrid { rows, cols }) = grid {
        for row in 1..=rows {
            for col in 1..=cols {
                text.push_str(&format!("{FAKE}<row_{row}_col_{col}>{run}"));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text.push_str(&format!("{FAKE}{GLOBAL}{run}{FAKE}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> PixelSize {
        PixelSize { width, height }
    }

    #[test]
    fn the_longer_side_is_exact_and_the_other_even() {
        assert_eq!(to_longest_edge(size(200, 140), 128), size(128, 90));
        assert_eq!(to_longest_edge(size(1, 5000), 2048), size(1, 2048));
        assert_eq!(to_longest_edge(size(1, 1), 2048), size(2048, 2048));
        assert_eq!(to_longest_edge(size(3, 2), 8192), size(4096, 2731));
    }

    #[test]
    fn a_grid_covers_the_picture_and_one_tile_is_none() {
        let tiles = |rows, cols| Some(TileGrid { rows, cols });
        assert_eq!(grid(size(2048, 2048), 512), tiles(4, 4));
        assert_eq!(grid(size(2048, 158), 512), tiles(1, 4));
        assert_eq!(grid(size(1, 2048), 512), tiles(4, 1));
        assert_eq!(grid(size(512, 300), 512), None);
    }
}
