//! Where on its picture each visual token looks: for those who show what was chosen.

use super::{Arrangement, TileGrid};
use crate::prompt::ImageTokens;

/// What a grid of visual tokens covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// The picture, whatever its shape.
    Picture,
    /// The square around the picture, which stands in its middle on a ground of one colour.
    Square,
}

/// A rectangle, and where a picture begins in it. All in the picture's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Columns at the left of the picture.
    pub left: u32,
    /// Rows above the picture.
    pub top: u32,
    /// Columns of the rectangle.
    pub width: u32,
    /// Rows of the rectangle.
    pub height: u32,
}

impl Cover {
    /// What is covered of a picture of this size; an odd pixel of ground is right and below.
    pub fn frame(self, width: u32, height: u32) -> Frame {
        match self {
            Self::Picture => Frame { left: 0, top: 0, width, height },
            Self::Square => {
                let side = width.max(height);
                let (left, top) = ((side - width) / 2, (side - height) / 2);
                Frame { left, top, width: side, height: side }
            }
        }
    }
}

/// A grid of visual tokens that covers a whole picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// What its rows and columns divide into equal parts.
    pub cover: Cover,
    /// Rows of tokens, at least 1.
    pub rows: usize,
    /// Tokens in a row, at least 1.
    pub cols: usize,
    /// Row by row, which of the picture's visual tokens it is.
    pub tokens: Vec<usize>,
}

impl Panel {
    /// The token in row `i` and column `j` is `token(i, j)`.
    fn new(rows: usize, cols: usize, token: impl Fn(usize, usize) -> usize) -> Self {
        let token = &token;
        let tokens = (0..rows).flat_map(|i| (0..cols).map(move |j| token(i, j))).collect();
        Self { cover: Cover::Picture, rows, cols, tokens }
    }

    /// One tile that shows the whole picture, whose tokens begin with `first`.
    fn whole(tile: ImageTokens, first: usize) -> Self {
        Self::new(tile.rows, tile.cols, |i, j| first + i * tile.cols + j)
    }

    /// The tiles of a grid side by side, each with its tokens together.
    fn cut(grid: TileGrid, tile: ImageTokens) -> Self {
        let ImageTokens { rows, cols } = tile;
        Self::new(grid.rows * rows, grid.cols * cols, |i, j| {
            let number = i / rows * grid.cols + j / cols;
            number * rows * cols + i % rows * cols + j % cols
        })
    }
}

impl Arrangement {
    /// The grids of visual tokens that cover a picture, in the order of its tokens, where a tile
    /// gives `tile` of them. Tokens that end a line look at nothing and are in none.
    pub fn panels(self, tile: ImageTokens) -> Vec<Panel> {
        let base = tile.rows * tile.cols;
        match self {
            Self::Whole | Self::Marked { grid: None } => vec![Panel::whole(tile, 0)],
            Self::Lined => vec![Panel { cover: Cover::Square, ..Panel::whole(tile, 0) }],
            Self::Marked { grid: Some(grid) } => {
                vec![Panel::cut(grid, tile), Panel::whole(tile, grid.tiles() * base)]
            }
            Self::AnyRes { .. } => {
                let (rows, cols) = self.feature_map(tile).map_or((0, 0), |map| map.size());
                // Every row ends with a token of its own.
                let map = Panel::new(rows, cols, |i, j| base + i * (cols + 1) + j);
                let seen = (rows * cols > 0).then_some(map);
                [Panel::whole(tile, 0)].into_iter().chain(seen).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::PixelSize;

    const TILE: ImageTokens = ImageTokens { rows: 2, cols: 2 };
    const GRID: TileGrid = TileGrid { rows: 2, cols: 3 };

    fn arrangements() -> [Arrangement; 5] {
        let original = PixelSize { width: 300, height: 170 };
        [
            Arrangement::Whole,
            Arrangement::Lined,
            Arrangement::Marked { grid: None },
            Arrangement::Marked { grid: Some(GRID) },
            Arrangement::AnyRes { grid: GRID, original, max_tiles: 9 },
        ]
    }

    #[test]
    fn every_visual_token_is_in_one_place_but_those_that_end_lines() {
        for arrangement in arrangements() {
            let panels = arrangement.panels(TILE);
            let mut tokens: Vec<usize> =
                panels.iter().flat_map(|panel| panel.tokens.clone()).collect();
            assert!(panels.iter().all(|panel| panel.tokens.len() == panel.rows * panel.cols));
            tokens.sort_unstable();
            tokens.dedup();
            let places = arrangement.places(TILE);
            let all: usize = places.iter().map(|place| place.rows * place.cols).sum();
            let line_ends = match arrangement {
                Arrangement::Lined => 1,
                Arrangement::AnyRes { .. } => panels[1].rows,
                _ => 0,
            };
            assert_eq!(tokens.len() + line_ends, all, "{arrangement:?}");
            assert!(tokens.iter().all(|&token| token < all), "{arrangement:?}");
        }
    }

    #[test]
    fn a_picture_that_is_padded_to_a_square_stands_in_the_middle_of_what_its_tokens_cover() {
        for arrangement in arrangements() {
            let is_square = arrangement == Arrangement::Lined;
            for Panel { cover, .. } in arrangement.panels(TILE) {
                let Frame { left, top, width, height } = cover.frame(5, 2);
                let expected = if is_square { [0, 1, 5, 5] } else { [0, 0, 5, 2] };
                assert_eq!([left, top, width, height], expected, "{arrangement:?}");
            }
        }
        let tall = Cover::Square.frame(2, 6);
        assert_eq!(tall, Frame { left: 2, top: 0, width: 6, height: 6 });
    }

    #[test]
    fn the_tokens_of_a_tile_stand_where_the_tile_lies() {
        let cut = &Arrangement::Marked { grid: Some(GRID) }.panels(TILE)[0];
        assert_eq!((cut.rows, cut.cols), (4, 6));
        // The first row runs through the first row of three tiles.
        assert_eq!(cut.tokens[..6], [0, 1, 4, 5, 8, 9]);
        assert_eq!(cut.tokens[6..12], [2, 3, 6, 7, 10, 11]);
        assert_eq!(cut.tokens[12..18], [12, 13, 16, 17, 20, 21]);
    }
}
