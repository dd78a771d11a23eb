//! The tiles of LLaVA-OneVision: the resolution that wastes least, and the map of its tokens.
//!
//! After `select_best_resolution`, `unpad_image` and `pack_image_features` of transformers 5.23.

use super::{PixelSize, TileGrid};
use crate::prompt::ImageTokens;

/// A resolution that a model was trained on, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Rows.
    pub height: u32,
    /// Pixels in a row.
    pub width: u32,
}

impl Resolution {
    /// The grid of tiles of `side` pixels that fills it.
    pub(crate) fn grid(self, side: u32) -> TileGrid {
        TileGrid { rows: (self.height / side) as usize, cols: (self.width / side) as usize }
    }
}

/// The resolution that keeps most of a picture, and of those the one that wastes least; the first
/// of equals.
pub(crate) fn best(original: PixelSize, resolutions: &[Resolution]) -> Option<Resolution> {
    let (width, height) = (f64::from(original.width), f64::from(original.height));
    let pixels = u64::from(original.width) * u64::from(original.height);
    let mut best: Option<(u64, u64, Resolution)> = None;
    for &resolution in resolutions {
        let (w, h) = (f64::from(resolution.width), f64::from(resolution.height));
        let scale = (w / width).min(h / height);
        let used = ((width * scale) as u64 * (height * scale) as u64).min(pixels);
        let all = u64::from(resolution.width) * u64::from(resolution.height);
        let waste = all.saturating_sub(used);
        let better =
            best.is_none_or(|(most, least, _)| used > most || (used == most && waste < least));
        if better {
            best = Some((used, waste, resolution));
        }
    }
    best.map(|(_, _, resolution)| resolution)
}

/// The largest size of the picture's shape that fits a resolution.
pub(crate) fn fitted(original: PixelSize, to: Resolution) -> PixelSize {
    let (width, height) = (f64::from(original.width), f64::from(original.height));
    let (scale_w, scale_h) = (f64::from(to.width) / width, f64::from(to.height) / height);
    match scale_w < scale_h {
        true => PixelSize {
            width: to.width,
            height: ((height * scale_w).ceil() as u32).min(to.height).max(1),
        },
        false => PixelSize {
            width: ((width * scale_h).ceil() as u32).min(to.width).max(1),
            height: to.height,
        },
    }
}

/// The tokens of a grid of tiles, put together again: which rows and columns show the picture, and
/// to what size they are shrunk. Every row then ends with a new-line token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureMap {
    /// Rows of padding above, in tokens; as many are below.
    pub top: usize,
    /// Columns of padding at the left, in tokens; as many are at the right.
    pub left: usize,
    /// Rows that show the picture, possibly none.
    pub height: usize,
    /// Columns that show the picture, possibly none.
    pub width: usize,
    /// Rows and columns after shrinking, where there are too many.
    pub shrunk: Option<(usize, usize)>,
}

/// A map whose side is larger than allowed by less than this share is left as it is.
const SLACK: f64 = 1.1;

impl FeatureMap {
    pub(super) fn new(
        grid: TileGrid,
        original: PixelSize,
        max_tiles: usize,
        tile: ImageTokens,
    ) -> Self {
        let rows = grid.rows.saturating_mul(tile.rows);
        let cols = grid.cols.saturating_mul(tile.cols);
        let (rows_f, cols_f) = (rows as f64, cols as f64);
        let (width, height) = (f64::from(original.width), f64::from(original.height));
        let (top, left) = if width / height > cols_f / rows_f {
            (rows.saturating_sub(rounded(height * (cols_f / width))) / 2, 0)
        } else {
            (0, cols.saturating_sub(rounded(width * (rows_f / height))) / 2)
        };
        let (height, width) = (rows - 2 * top, cols - 2 * left);
        let allowed = (max_tiles * tile.rows * tile.rows) as f64;
        let ratio = (height as f64 * width as f64 / allowed).sqrt();
        let shrink = |side: usize| (side as f64 / ratio).floor() as usize;
        let shrunk = (ratio > SLACK).then(|| (shrink(height), shrink(width)));
        Self { top, left, height, width, shrunk }
    }

    /// Rows and columns that are left in the end.
    pub fn size(self) -> (usize, usize) {
        self.shrunk.unwrap_or((self.height, self.width))
    }

    /// Tokens, those that end rows included.
    pub fn tokens(self) -> usize {
        let (height, width) = self.size();
        height * (width + 1)
    }
}

/// Rounded to seven decimals, then cut: what is a hair below a whole number counts as that.
fn rounded(value: f64) -> usize {
    // Formatting rounds the exact binary value, as Python's `round` does.
    format!("{value:.7}").parse::<f64>().unwrap_or(value) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILE: ImageTokens = ImageTokens { rows: 27, cols: 27 };

    fn resolutions() -> Vec<Resolution> {
        let sides = || (1..=6).map(|n| 384 * n);
        sides().flat_map(|height| sides().map(move |width| Resolution { height, width })).collect()
    }

    #[test]
    fn the_best_resolution_keeps_the_picture_and_wastes_least() {
        let best = |width, height| {
            let best = best(PixelSize { width, height }, &resolutions()).expect("there are some");
            (best.width, best.height)
        };
        assert_eq!(best(1, 1), (384, 384));
        assert_eq!(best(384, 384), (384, 384));
        assert_eq!(best(800, 300), (1152, 384));
        // Scaled to any of them it is less than a pixel wide, so that all keep nothing.
        assert_eq!(best(1, 5000), (384, 384));
    }

    #[test]
    fn padding_is_cut_on_both_sides_and_large_maps_are_shrunk() {
        let grid = TileGrid { rows: 1, cols: 3 };
        let original = PixelSize { width: 800, height: 200 };
        let map = FeatureMap::new(grid, original, 9, TILE);
        assert_eq!((map.top, map.left, map.height, map.width, map.shrunk), (3, 0, 21, 81, None));
        assert_eq!(map.tokens(), 21 * 82);
        let grid = TileGrid { rows: 6, cols: 6 };
        let map = FeatureMap::new(grid, PixelSize { width: 900, height: 900 }, 9, TILE);
        assert_eq!((map.height, map.width, map.shrunk), (162, 162, Some((81, 81))));
    }

    #[test]
    fn a_picture_thinner_than_a_token_leaves_no_row_or_one() {
        let original = PixelSize { width: 5000, height: 1 };
        let map = FeatureMap::new(TileGrid { rows: 1, cols: 6 }, original, 9, TILE);
        assert_eq!((map.top, map.height), (13, 1));
        let even = ImageTokens { rows: 4, cols: 4 };
        let map = FeatureMap::new(TileGrid { rows: 1, cols: 6 }, original, 9, even);
        assert_eq!((map.height, map.tokens()), (0, 0));
    }
}
