//! Pictures cut as the stock families cut them: how many tiles, where, and from which pixels.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::num::NonZeroUsize;
use visor_processor::{
    Arrangement, Filter, ImageProcessor, ImageProcessorError, ImageTokens, Normalization, Picture,
    PixelSize, Resolution, Setting, Splitting, TileGrid, resize,
};

const TILE: ImageTokens = ImageTokens { rows: 4, cols: 4 };

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| (i * 31 + i / 97 * 7) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

fn split(longest_edge: u32) -> ImageProcessor {
    ImageProcessor::Split {
        size: 16,
        longest_edge,
        splitting: Splitting::On,
        filter: Filter::Lanczos,
        normalization: Normalization::default(),
    }
}

fn any_res(sides: std::ops::RangeInclusive<u32>) -> ImageProcessor {
    let resolutions = sides
        .clone()
        .flat_map(|rows| sides.clone().map(move |cols| (16 * rows, 16 * cols)))
        .map(|(height, width)| Resolution { height, width })
        .collect();
    ImageProcessor::AnyRes {
        size: 16,
        resolutions,
        max_tiles: 9,
        filter: Filter::Bicubic,
        normalization: Normalization::default(),
    }
}

fn among(pictures: usize, max_tiles: usize) -> Setting {
    Setting { pictures, max_tiles: NonZeroUsize::new(max_tiles) }
}

#[test]
fn a_split_picture_is_its_grid_row_by_row_and_then_the_whole() {
    let (picture, processor) = (picture(40, 25), split(48));
    let (tiles, arrangement) = processor.tiles(&picture, Setting::default());
    let grid = TileGrid { rows: 2, cols: 3 };
    assert_eq!(arrangement, Arrangement::Marked { grid: Some(grid) });
    let stretched = resize(&resize(&picture, 48, 30, Filter::Lanczos), 48, 32, Filter::Lanczos);
    let pixel = |picture: &Picture, x: usize, y: usize| {
        let at = (y * picture.width() as usize + x) * 3;
        picture.rgb()[at..at + 3].to_vec()
    };
    for (index, tile) in tiles[..6].iter().enumerate() {
        let (row, col) = (index / 3 * 16, index % 3 * 16);
        assert_eq!(pixel(tile, 5, 9), pixel(&stretched, col + 5, row + 9));
    }
    assert_eq!(tiles[6], resize(&stretched, 16, 16, Filter::Lanczos));
    assert_eq!(arrangement.places(TILE), [TILE; 7]);
}

#[test]
fn a_split_picture_is_written_with_words_around_its_tiles() {
    let run = "#".repeat(16);
    let whole = Arrangement::Marked { grid: None }.written("#", TILE);
    let global = format!("<fake_token_around_image><global-img>{run}<fake_token_around_image>");
    assert_eq!(whole, global);
    let grid = Some(TileGrid { rows: 2, cols: 1 });
    let written = Arrangement::Marked { grid }.written("#", TILE);
    let fake = "<fake_token_around_image>";
    let rows = format!("{fake}<row_1_col_1>{run}\n{fake}<row_2_col_1>{run}\n\n");
    assert_eq!(written, rows + &global);
    assert_eq!(Arrangement::Lined.written("#", TILE), "#".repeat(17));
}

#[test]
fn several_pictures_are_padded_to_squares_of_the_mean_colour() {
    let (tiles, arrangement) = any_res(1..=3).tiles(&picture(16, 2), among(2, 0));
    assert_eq!((tiles.len(), arrangement), (1, Arrangement::Lined));
    assert_eq!(tiles[0].rgb()[..3], [127; 3]);
    assert_eq!(arrangement.places(TILE), [ImageTokens { rows: 1, cols: 17 }]);
}

#[test]
fn a_picture_alone_is_the_whole_and_a_resolution_padded_with_black() {
    let picture = picture(40, 10);
    let (tiles, arrangement) = any_res(1..=3).tiles(&picture, Setting::default());
    let Arrangement::AnyRes { grid, .. } = arrangement else { panic!("{arrangement:?}") };
    assert_eq!(grid, TileGrid { rows: 1, cols: 3 });
    assert_eq!(tiles[0], resize(&picture, 16, 16, Filter::Bicubic));
    assert_eq!(tiles[1].rgb()[..3], [0; 3]);
    assert_eq!(tiles.len(), 4);
}

#[test]
fn a_bound_of_one_tile_is_a_picture_that_is_not_split() {
    let off = ImageProcessor::Split {
        size: 16,
        longest_edge: 48,
        splitting: Splitting::Off,
        filter: Filter::Lanczos,
        normalization: Normalization::default(),
    };
    let picture = picture(40, 25);
    assert_eq!(split(48).tiles(&picture, among(1, 1)), off.tiles(&picture, Setting::default()));
    let counts: Vec<usize> =
        (1..=8).map(|most| split(48).tiles(&picture, among(1, most)).0.len()).collect();
    // Two rows of two tiles and the whole are five; three columns make seven.
    assert_eq!(counts, [1, 1, 1, 1, 5, 5, 7, 7]);
}

#[test]
fn configurations_that_ask_for_too_much_are_refused() {
    assert_eq!(split(0).check(), Err(ImageProcessorError::LongestEdge { longest: 0 }));
    let longest = u32::MAX;
    assert_eq!(split(longest).check(), Err(ImageProcessorError::LongestEdge { longest }));
    let mut none = any_res(1..=1);
    if let ImageProcessor::AnyRes { resolutions, .. } = &mut none {
        resolutions.clear();
    }
    assert_eq!(none.check(), Err(ImageProcessorError::NoResolution));
    assert!(matches!(any_res(40..=40).check(), Err(ImageProcessorError::TooManyTiles { .. })));
    assert!(matches!(any_res(600..=600).check(), Err(ImageProcessorError::Resolution { .. })));
}

proptest! {
    #[test]
    fn tiles_tokens_and_words_are_those_of_the_arrangement(
        (width, height) in (1_u32..300, 1_u32..300), pictures in 1_usize..3, most in 0_usize..9,
    ) {
        let original = PixelSize { width, height };
        for processor in [split(48), any_res(1..=3)] {
            processor.check().unwrap();
            let setting = among(pictures, most);
            let (tiles, arrangement) = processor.tiles(&picture(width, height), setting);
            prop_assert_eq!(arrangement, processor.arrange(original, setting));
            prop_assert_eq!(tiles.len(), arrangement.tiles());
            prop_assert!(tiles.iter().all(|tile| (tile.width(), tile.height()) == (16, 16)));
            prop_assert!(most == 0 || tiles.len() <= most);
            let tokens: usize = arrangement.places(TILE).iter().map(|p| p.rows * p.cols).sum();
            prop_assert_eq!(arrangement.written("#", TILE).matches('#').count(), tokens);
        }
    }
}
