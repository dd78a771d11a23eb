//! What files of each format and variant decode to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{RED, decode, encode, exif_note, fixture, one_of_each, quadrants, with_exif};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use visor_processor::{Picture, PictureLimits};

fn assert_shows(picture: &Picture, expected: &[u8], tolerance: u8, name: &str) {
    assert_eq!((picture.width(), picture.height()), (32, 24), "{name}");
    let worst = picture.rgb().iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.unwrap() <= tolerance, "{name}: off by {worst:?}");
}

/// The quadrants at opacity 128 of 255 on white.
fn half() -> Vec<u8> {
    let blend = |&c: &u8| ((f64::from(c) * 128.0 + 255.0 * 127.0) / 255.0).round() as u8;
    quadrants().iter().map(blend).collect()
}

#[test]
fn lossless_files_decode_exactly() {
    let rgb = DynamicImage::ImageRgb8(ImageBuffer::from_raw(32, 24, quadrants()).unwrap());
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        let picture = decode(&encode(&rgb, format)).unwrap();
        assert_shows(&picture, &quadrants(), 0, &format!("{format:?}"));
    }
    for name in ["palette-2-bit.png", "animated.png", "animated.webp", "animated.gif"] {
        // Quantisation moves a colour a little.
        let tolerance = if name.starts_with("palette") { 4 } else { 0 };
        assert_shows(&decode(&fixture(name)).unwrap(), &quadrants(), tolerance, name);
    }
}

#[test]
fn a_palette_png_shows_its_colours() {
    // Pillow's 216-colour palette has steps of 51.
    assert_shows(&decode(&fixture("palette.png")).unwrap(), &quadrants(), 51, "palette");
}

#[test]
fn lossy_files_decode_to_nearly_the_same() {
    let rgb = DynamicImage::ImageRgb8(ImageBuffer::from_raw(32, 24, quadrants()).unwrap());
    let baseline = decode(&encode(&rgb, ImageFormat::Jpeg)).unwrap();
    assert_shows(&baseline, &quadrants(), 16, "baseline");
    assert_shows(&decode(&fixture("progressive.jpg")).unwrap(), &quadrants(), 6, "progressive");
}

#[test]
fn a_cmyk_jpeg_shows_its_colours() {
    assert_shows(&decode(&fixture("cmyk.jpg")).unwrap(), &quadrants(), 3, "CMYK");
}

#[test]
fn transparency_is_composited_on_white() {
    for name in ["half.png", "half-lossless.webp", "half-animated.webp"] {
        assert_shows(&decode(&fixture(name)).unwrap(), &half(), 0, name);
    }
    assert_shows(&decode(&fixture("half-lossy.webp")).unwrap(), &half(), 60, "lossy");
}

#[test]
fn a_transparent_gif_is_white_where_nothing_is_drawn() {
    let picture = decode(&fixture("transparent.gif")).unwrap();
    let (pixels, _) = picture.rgb().as_chunks::<3>();
    assert_eq!((pixels[0], pixels[31], pixels[32 * 23]), (RED, [255; 3], [255; 3]));
}

#[test]
fn sixteen_bit_channels_keep_their_top_byte() {
    let pictures = [
        DynamicImage::ImageLuma16(ImageBuffer::from_pixel(2, 2, Luma([0x12ff]))),
        DynamicImage::ImageLumaA16(ImageBuffer::from_pixel(2, 2, LumaA([0x12ff, 0xffff]))),
        DynamicImage::ImageRgb16(ImageBuffer::from_pixel(2, 2, Rgb([0x12ff; 3]))),
        DynamicImage::ImageRgba16(ImageBuffer::from_pixel(
            2,
            2,
            Rgba([0x12ff, 0x12ff, 0x12ff, 0xffff]),
        )),
    ];
    for picture in pictures {
        let decoded = decode(&encode(&picture, ImageFormat::Png)).unwrap();
        assert_eq!(decoded.rgb(), [0x12; 12], "{:?}", picture.color());
    }
}

#[test]
fn gray_with_alpha_is_composited_and_replicated() {
    let gray = ImageBuffer::from_fn(256, 1, |x, _| LumaA([x as u8, 255 - x as u8]));
    let decoded = decode(&encode(&DynamicImage::ImageLumaA8(gray), ImageFormat::Png)).unwrap();
    for (x, pixel) in decoded.rgb().as_chunks::<3>().0.iter().enumerate() {
        let exact = (x * (255 - x) + 255 * x) as f64 / 255.0;
        assert_eq!(*pixel, [exact.round() as u8; 3]);
    }
}

#[test]
fn extreme_shapes_decode() {
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (8192, 2), (2, 8192)] {
        let rgb = ImageBuffer::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]));
        let picture = decode(&encode(&DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Png));
        assert_eq!(picture.unwrap().rgb(), rgb.as_raw(), "{width}x{height}");
    }
}

/// Where each pixel of the upright picture lies in the stored one, by the EXIF standard.
fn stored_place(orientation: u16, x: u32, y: u32, width: u32, height: u32) -> (u32, u32) {
    let (right, bottom) = (width - 1, height - 1);
    match orientation {
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (y, bottom - x),
        7 => (right - y, bottom - x),
        8 => (right - y, x),
        _ => (x, y),
    }
}

#[test]
fn every_exif_orientation_is_applied() {
    let rgb = ImageBuffer::from_fn(40, 24, |x, y| Rgb([x as u8 * 6, y as u8 * 10, 90]));
    let jpeg = encode(&DynamicImage::ImageRgb8(rgb), ImageFormat::Jpeg);
    let stored = decode(&jpeg).unwrap();
    // 0 and 9 are not orientations: the picture is taken as it is stored.
    for orientation in 0..=9 {
        let upright = decode(&with_exif(&jpeg, &exif_note(orientation))).unwrap();
        let turned = matches!(orientation, 5..=8);
        let size = (upright.width(), upright.height());
        assert_eq!(size, if turned { (24, 40) } else { (40, 24) }, "{orientation}");
        let source = stored.rgb().as_chunks::<3>().0;
        for (i, pixel) in upright.rgb().as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = (i as u32 % size.0, i as u32 / size.0);
            let (sx, sy) = stored_place(orientation, x, y, 40, 24);
            assert_eq!(*pixel, source[(sy * 40 + sx) as usize], "{orientation} at {x},{y}");
        }
    }
}

#[test]
fn png_and_webp_files_turn_by_their_exif_note_too() {
    for name in ["turned.png", "turned.webp"] {
        let picture = decode(&fixture(name)).unwrap();
        assert_eq!((picture.width(), picture.height()), (24, 32), "{name}");
        // A quarter turn clockwise brings the upper left quadrant to the upper right.
        assert_eq!(picture.rgb()[23 * 3..24 * 3], RED, "{name}");
    }
}

#[test]
fn a_damaged_exif_note_does_not_cost_the_picture() {
    let rgb = DynamicImage::ImageRgb8(ImageBuffer::from_raw(32, 24, quadrants()).unwrap());
    let jpeg = encode(&rgb, ImageFormat::Jpeg);
    for note in [&b""[..], b"MM", b"MM\0*\xff\xff\xff\xff", b"no note at all"] {
        assert_eq!(decode(&with_exif(&jpeg, note)).unwrap(), decode(&jpeg).unwrap());
    }
}

#[test]
fn a_picture_has_the_size_that_it_is_measured_to_have_however_it_is_turned() {
    let tall = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(8, 24, Rgb([1, 2, 3])));
    let tall = encode(&tall, ImageFormat::Jpeg);
    let turned = (1..=8).map(|way| (format!("turned {way}"), with_exif(&tall, &exif_note(way))));
    for (name, bytes) in one_of_each().into_iter().chain(turned) {
        let measured = Picture::measure(&bytes, &PictureLimits::default());
        assert_eq!(measured.ok(), decode(&bytes).ok().map(|picture| picture.size()), "{name}");
    }
}
