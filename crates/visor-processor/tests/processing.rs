//! From pictures to normalised tiles.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use visor_processor::{
    Filter, ImageProcessor, ImageProcessorError, ImageTokens, MAX_TILE_SIDE, Normalization,
    Picture, Pixels, PixelsError, resize,
};

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| i as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

#[test]
fn channels_come_before_rows_and_columns() {
    let identity = Normalization { mean: [0.0; 3], std: [1.0; 3], rescale: 1.0 };
    let pixels = Pixels::from_picture(&picture(2, 2), &identity);
    assert_eq!(pixels.shape(), [1, 3, 2, 2]);
    assert_eq!(pixels.data(), [0., 3., 6., 9., 1., 4., 7., 10., 2., 5., 8., 11.]);
}

#[test]
fn joining_keeps_the_order_of_tiles() {
    let normalization = Normalization::default();
    let one = Pixels::from_picture(&picture(2, 3), &normalization);
    let two = Pixels::concat([&one, &one]).unwrap();
    assert_eq!(two.shape(), [2, 3, 3, 2]);
    assert_eq!(two.data()[18..], two.data()[..18]);
}

#[test]
fn tiles_of_two_sizes_do_not_join() {
    let normalization = Normalization::default();
    let one = Pixels::from_picture(&picture(2, 3), &normalization);
    let other = Pixels::from_picture(&picture(3, 2), &normalization);
    let error = Pixels::concat([&one, &other]).unwrap_err();
    assert_eq!(error.to_string(), "tiles of 2x3 cannot join tiles of 3x2");
    assert_eq!(Pixels::concat([]), Err(PixelsError::None));
}

#[test]
fn values_must_fill_the_tiles() {
    assert!(Pixels::new(1, 1, 2, vec![0.0; 6]).is_ok());
    assert!(Pixels::new(1, 1, 2, vec![0.0; 5]).is_err());
    assert!(Pixels::new(0, 1, 2, vec![]).is_err());
    assert!(Pixels::new(usize::MAX, 2, 2, vec![0.0; 6]).is_err());
}

fn whole(size: u32) -> ImageProcessor {
    let normalization = Normalization::default();
    ImageProcessor::Whole { size, filter: Filter::Bicubic, normalization }
}

#[test]
fn a_whole_picture_is_one_square_tile_whatever_its_shape() {
    for (width, height) in [(1, 1), (1, 5000), (300, 7), (16, 16)] {
        let rgb = vec![9; width as usize * height as usize * 3];
        let picture = Picture::from_rgb(width, height, rgb).unwrap();
        let processed = whole(16).process(&picture).unwrap();
        assert_eq!(processed.pixels.shape(), [1, 3, 16, 16]);
        let tile = ImageTokens { rows: 4, cols: 4 };
        assert_eq!(processed.arrangement.places(tile), [tile]);
        let bytes = size_of_val(processed.pixels.data());
        assert_eq!(whole(16).pixel_bytes(processed.arrangement), bytes as u64);
    }
}

#[test]
fn a_configuration_out_of_range_is_refused() {
    assert_eq!(whole(0).check(), Err(ImageProcessorError::TileSize { size: 0 }));
    assert!(whole(MAX_TILE_SIDE + 1).check().is_err());
    let normalization = Normalization { rescale: f64::NAN, ..Normalization::default() };
    let broken = ImageProcessor::Whole { size: 8, filter: Filter::Lanczos, normalization };
    assert!(matches!(broken.check(), Err(ImageProcessorError::Normalization(_))));
    let error = broken.check().unwrap_err().to_string();
    assert!(error.contains("over the deviation [") && !error.contains('{'), "{error}");
}

#[test]
fn a_tile_holds_the_resized_picture_normalised() {
    let picture = picture(20, 30);
    let normalization = Normalization {
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        rescale: 1.0 / 255.0,
    };
    let processor = ImageProcessor::Whole { size: 8, filter: Filter::Lanczos, normalization };
    let tile = processor.process(&picture).unwrap().pixels;
    let square = resize(&picture, 8, 8, Filter::Lanczos);
    for channel in 0..3 {
        for place in 0..64 {
            let level = f64::from(square.rgb()[place * 3 + channel]);
            let fraction = (level * (1.0 / 255.0)) as f32;
            let expected = (fraction - normalization.mean[channel]) / normalization.std[channel];
            assert_eq!(tile.data()[channel * 64 + place].to_bits(), expected.to_bits());
        }
    }
}
