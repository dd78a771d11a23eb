//! Files that are cut, damaged or made to exhaust memory: an error, never a panic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{decode, encode, exif_note, fixture, one_of_each, png_chunk, png_header, with_exif};
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb};
use proptest::prelude::*;
use visor_processor::{Picture, PictureError, PictureFormat, PictureLimits};

#[test]
fn no_bytes_are_an_empty_picture() {
    let error = decode(&[]).unwrap_err();
    assert!(matches!(error, PictureError::Empty));
    assert!(error.to_string().contains("expected the bytes of a PNG, JPEG, WebP, BMP or GIF"));
}

#[test]
fn other_files_are_named_and_refused() {
    for (bytes, name) in [
        (&b"II*\0rest"[..], "TIFF"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg/>", "SVG"),
        (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"hello", "something else"),
    ] {
        let error = decode(bytes).unwrap_err();
        assert!(matches!(error, PictureError::UnknownFormat { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_png_cut_anywhere_is_an_error_or_complete() {
    for name in ["palette.png", "half.png", "animated.png", "turned.png"] {
        let whole = fixture(name);
        let picture = decode(&whole).unwrap();
        for length in 0..whole.len() {
            if let Ok(found) = decode(&whole[..length]) {
                assert_eq!(found, picture, "{name} cut at {length}");
            }
        }
        assert!(decode(&whole[..whole.len() / 2]).is_err(), "{name}");
    }
}

#[test]
fn a_jpeg_cut_anywhere_is_an_error() {
    for name in ["cmyk.jpg", "progressive.jpg"] {
        let whole = fixture(name);
        decode(&whole).unwrap();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{name} cut at {length}");
        }
        let error = decode(&whole[..whole.len() - 9]).unwrap_err();
        assert!(matches!(error, PictureError::Truncated { format: PictureFormat::Jpeg }));
    }
}

#[test]
fn a_webp_bmp_or_gif_cut_anywhere_is_an_error_or_complete() {
    for (name, whole) in one_of_each() {
        let cut_name = ["webp", "bmp", "gif"].iter().any(|ending| name.ends_with(ending));
        if !cut_name {
            continue;
        }
        let picture = decode(&whole).unwrap();
        for length in 0..whole.len() {
            if let Ok(found) = decode(&whole[..length]) {
                assert_eq!(found, picture, "{name} cut at {length}");
            }
        }
        assert!(decode(&whole[..whole.len() / 2]).is_err(), "{name}");
    }
}

#[test]
fn a_png_of_impossible_size_is_refused_by_its_header() {
    for (width, height) in [(100_000, 100_000), (65_536, 1), (1, 65_536), (u32::MAX, u32::MAX)] {
        let error = decode(&png_header(width, height, 8, 2)).unwrap_err();
        assert!(matches!(error, PictureError::TooLarge { max_side: 65_535, .. }), "{error}");
        assert!(error.to_string().contains(&format!("{width}x{height}")), "{error}");
    }
}

#[test]
fn too_many_pixels_are_refused_by_the_header() {
    let error = decode(&png_header(10_000, 10_001, 8, 2)).unwrap_err();
    assert!(
        matches!(error, PictureError::TooManyPixels { max_pixels: 100_000_000, .. }),
        "{error}"
    );
}

#[test]
fn a_size_of_zero_is_refused() {
    for (width, height) in [(0, 4), (4, 0)] {
        let error = decode(&png_header(width, height, 8, 2)).unwrap_err();
        assert!(matches!(error, PictureError::NoPixels { .. }), "{error}");
    }
}

#[test]
fn sixteen_bit_rgba_of_forty_megapixels_takes_more_than_a_quarter_of_a_gibibyte() {
    let limits = PictureLimits { max_alloc_bytes: 256 << 20, ..PictureLimits::default() };
    let error = Picture::decode(&png_header(8000, 5000, 16, 6), &limits).unwrap_err();
    assert!(matches!(error, PictureError::TooMuchMemory { .. }), "{error}");
    // Eight bits a channel fit: what is wrong with this file is that it has no pixels.
    let error = Picture::decode(&png_header(8000, 5000, 8, 6), &limits).unwrap_err();
    assert!(!matches!(error, PictureError::TooMuchMemory { .. }), "{error}");
}

#[test]
fn pictures_of_telephones_and_long_strips_are_measured() {
    for (width, height) in [(8000, 6000), (12_000, 8_000), (9000, 100), (65_535, 1), (1, 65_535)] {
        let size = Picture::measure(&png_header(width, height, 8, 2), &PictureLimits::default());
        assert_eq!(size.unwrap(), visor_processor::PixelSize { width, height });
    }
}

#[test]
fn every_format_is_refused_by_the_size_in_its_header() {
    let limits = PictureLimits { max_side: 31, ..PictureLimits::default() };
    for (name, bytes) in one_of_each() {
        let error = Picture::decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, PictureError::TooLarge { max_side: 31, .. }), "{name}: {error}");
        let limits = PictureLimits { max_pixels: 32 * 24 - 1, ..PictureLimits::default() };
        let error = Picture::decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, PictureError::TooManyPixels { .. }), "{name}: {error}");
        let limits = PictureLimits { min_side: 25, ..PictureLimits::default() };
        let error = Picture::decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, PictureError::TooSmall { min_side: 25, .. }), "{name}: {error}");
        let limits = PictureLimits { max_aspect: 1, ..PictureLimits::default() };
        let error = Picture::decode(&bytes, &limits).unwrap_err();
        assert!(matches!(error, PictureError::TooNarrow { max_aspect: 1, .. }), "{name}: {error}");
        let limits = PictureLimits { max_aspect: 2, min_side: 24, ..PictureLimits::default() };
        Picture::decode(&bytes, &limits).unwrap();
    }
}

#[test]
fn a_jpeg_that_claims_65535_pixels_a_side_is_refused() {
    let rgb = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(8, 8, Rgb([1, 2, 3])));
    let mut jpeg = encode(&rgb, ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let error = decode(&jpeg).unwrap_err();
    assert!(matches!(error, PictureError::TooManyPixels { width: 65535, .. }), "{error}");
}

#[test]
fn memory_for_progressive_scans_and_for_turning_is_counted() {
    let limits = |bytes| PictureLimits { max_alloc_bytes: bytes, ..PictureLimits::default() };
    let pixels = 32 * 24;
    let progressive = fixture("progressive.jpg");
    // RGB, and two bytes a coefficient of three components.
    let needed = pixels * 3 + pixels * 3 * 2;
    assert!(Picture::decode(&progressive, &limits(needed)).is_ok());
    let error = Picture::decode(&progressive, &limits(needed - 1)).unwrap_err();
    assert!(matches!(error, PictureError::TooMuchMemory { .. }), "{error}");

    let rgb = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(32, 24, Rgb([1, 2, 3])));
    let jpeg = encode(&rgb, ImageFormat::Jpeg);
    assert!(Picture::decode(&jpeg, &limits(pixels * 3)).is_ok());
    let turned = with_exif(&jpeg, &exif_note(6));
    assert!(Picture::decode(&turned, &limits(pixels * 6)).is_ok());
    assert!(Picture::decode(&turned, &limits(pixels * 6 - 1)).is_err());
}

#[test]
fn a_profile_that_expands_hugely_is_refused() {
    // 1 MiB of zeros deflates to about 1 kB; a real bomb nests the same trick in more bytes.
    let stored = fixture("half.png");
    let mut zlib = vec![0x78, 0x9c];
    // Fixed Huffman codes: one literal 0, then matches of length 258 at distance 1.
    let mut bits = BitWriter::default();
    bits.put(0b1, 1);
    bits.put(0b01, 2);
    bits.put_code(0b0011_0000, 8);
    for _ in 0..600_000 {
        bits.put_code(0b1100_0101, 8);
        bits.put_code(0, 5);
    }
    bits.put_code(0, 7);
    zlib.extend(bits.finish());
    let profile = png_chunk(b"iCCP", &[b"bomb\0\0", &zlib[..]].concat());
    let bomb = [&stored[..33], &profile, &stored[33..]].concat();
    assert!(bomb.len() < 1_100_000);
    // 148 MB of profile are more than what is set aside for metadata: left out or refused, quickly.
    match decode(&bomb) {
        Ok(picture) => assert_eq!(picture, decode(&stored).unwrap()),
        Err(error) => assert!(matches!(error, PictureError::TooMuchMemory { .. }), "{error}"),
    }
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn put(&mut self, value: u32, count: u32) {
        for i in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> i & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (self.used % 8);
            self.used += 1;
        }
    }

    /// Huffman codes go in from their top bit.
    fn put_code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[test]
fn a_webp_frame_larger_than_its_canvas_is_refused() {
    let mut bytes = fixture("half-lossy.webp");
    let frame = bytes.windows(3).position(|three| three == [0x9d, 0x01, 0x2a]).unwrap();
    bytes[frame + 3..frame + 7].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let error = decode(&bytes).unwrap_err();
    assert!(matches!(error, PictureError::Malformed { format: PictureFormat::WebP, .. }));
}

#[test]
fn a_codec_that_panics_costs_the_picture_alone() {
    // A palette of one colour and a third: the decoder slices three bytes of what is left.
    let header = png_header(1, 1, 8, 3);
    let pixels = png_chunk(b"IDAT", &[0x78, 0x01, 1, 2, 0, 0xfd, 0xff, 0, 0, 0, 2, 0, 1]);
    let end = png_chunk(b"IEND", &[]);
    let file =
        |palette: &[u8]| [&header[..33], &png_chunk(b"PLTE", palette), &pixels, &end].concat();
    assert_eq!(decode(&file(&[1, 2, 3])).unwrap().rgb(), [1, 2, 3]);
    let error = decode(&file(&[1, 2, 3, 4])).unwrap_err();
    assert!(matches!(error, PictureError::Malformed { format: PictureFormat::Png, .. }), "{error}");
}

#[test]
fn raw_pixels_must_fill_their_picture() {
    assert!(Picture::from_rgb(2, 2, vec![0; 12]).is_ok());
    let error = Picture::from_rgb(2, 2, vec![0; 11]).unwrap_err();
    assert_eq!(error.to_string(), "a 2x2 RGB picture has 12 bytes, found 11");
    assert!(Picture::from_rgb(u32::MAX, u32::MAX, vec![0; 12]).is_err());
    assert!(matches!(Picture::from_rgb(0, 2, vec![]), Err(PictureError::NoPixels { .. })));
}

const SIGNATURES: [&[u8]; 7] = [
    b"",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff",
    b"RIFF\x40\0\0\0WEBPVP8X",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"GIF89a",
    b"BM",
];

/// Small, so that a damaged size costs little time.
const SMALL: PictureLimits = PictureLimits {
    max_side: 600,
    max_pixels: 200_000,
    max_alloc_bytes: 4 << 20,
    min_side: 1,
    max_aspect: u32::MAX,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(
        signature in prop::sample::select(SIGNATURES.to_vec()),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let _ = Picture::decode(&[signature, &rest].concat(), &SMALL);
    }

    #[test]
    fn damaged_files_never_panic(
        (name, mut bytes) in prop::sample::select(one_of_each()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let measured = Picture::measure(&bytes, &SMALL);
        if let Ok(picture) = Picture::decode(&bytes, &SMALL) {
            let expected = picture.width() as usize * picture.height() as usize * 3;
            prop_assert_eq!(picture.rgb().len(), expected, "{}", name);
            prop_assert_eq!(measured.ok(), Some(picture.size()), "{}", name);
        }
    }
}
