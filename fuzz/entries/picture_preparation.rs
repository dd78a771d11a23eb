//! Bytes as a picture on its way to tiles: as many as its size says, or an error.

use visor_processor::{
    Filter, ImageProcessor, ImageTokens, Normalization, Picture, PictureLimits, PixelSize,
    Resolution, Setting, Splitting,
};

/// Side of a tile: small, so that many pictures are prepared in a second.
const SIDE: u32 = 16;
const NORMALIZATION: Normalization =
    Normalization { mean: [0.5; 3], std: [0.5; 3], rescale: 1.0 / 255.0 };

/// Two bytes that choose, then a picture file; or width and height as two bytes each.
pub(crate) fn run(bytes: &[u8]) {
    let (choice, rest) = bytes.split_at(bytes.len().min(2));
    let choice: [u8; 2] = choice.try_into().unwrap_or_default();
    let limits = PictureLimits {
        max_side: 8192,
        max_pixels: 1 << 18,
        max_alloc_bytes: 8 << 20,
        ..PictureLimits::default()
    };
    let picture = match (choice[0] & 1, rest) {
        (1, [w0, w1, h0, h1, colours @ ..]) => bare([*w0, *w1], [*h0, *h1], colours),
        _ => Picture::decode(rest, &limits).ok(),
    };
    let Some(picture) = picture else { return };
    let size = PixelSize { width: picture.width(), height: picture.height() };
    assert_eq!(picture.rgb().len(), 3 * size.width as usize * size.height as usize);

    let setting = Setting {
        pictures: 1 + usize::from(choice[1] & 1),
        max_tiles: std::num::NonZeroUsize::new(usize::from(choice[1] >> 1)),
    };
    let processor = processor(choice[0] >> 1);
    let arrangement = processor.arrange(size, setting);
    let processed = processor.process_in(&picture, setting).expect("any picture is prepared");
    assert_eq!(processed.arrangement, arrangement, "sizes alone say how it is cut");
    let [tiles, channels, height, width] = processed.pixels.shape();
    assert_eq!((tiles, channels), (arrangement.tiles(), 3));
    assert_eq!(processed.pixels.data().len(), tiles * channels * height * width);
    assert!(processed.pixels.data().iter().all(|value| value.is_finite()));
    let places = arrangement.places(ImageTokens { rows: 2, cols: 2 });
    assert!(!places.is_empty() && places.iter().all(|place| place.rows * place.cols > 0));
}

/// A picture of any shape with few pixels, 1x1 and 1x5000 among them.
fn bare(width: [u8; 2], height: [u8; 2], colours: &[u8]) -> Option<Picture> {
    let [width, height] = [width, height].map(|side| u32::from(u16::from_le_bytes(side)));
    let n = width as usize * height as usize;
    if n > 1 << 16 {
        return None;
    }
    let rgb = (0..3 * n).map(|i| colours.get(i % colours.len().max(1)).copied().unwrap_or(7));
    Picture::from_rgb(width, height, rgb.collect()).ok()
}

fn processor(choice: u8) -> ImageProcessor {
    let (size, normalization) = (SIDE, NORMALIZATION);
    let filter = match choice / 3 % 3 {
        0 => Filter::Bilinear,
        1 => Filter::Bicubic,
        _ => Filter::Lanczos,
    };
    match choice % 3 {
        0 => ImageProcessor::Whole { size, filter, normalization },
        1 => ImageProcessor::Split {
            size,
            longest_edge: 4 * SIDE,
            splitting: if choice & 64 == 0 { Splitting::On } else { Splitting::Off },
            filter,
            normalization,
        },
        _ => {
            let sides = [1, 2, 3].map(|n| n * SIDE);
            let resolutions = sides
                .iter()
                .flat_map(|&height| sides.iter().map(move |&width| Resolution { height, width }));
            let resolutions = resolutions.collect();
            ImageProcessor::AnyRes { size, resolutions, max_tiles: 4, filter, normalization }
        }
    }
}
