//! Picture files for the tests: fixtures on disk, and files written by an encoder or by hand.

#![allow(dead_code, reason = "each test file uses another part")]
#![allow(clippy::disallowed_methods, reason = "goldens and fixtures are files")]

use std::io::Cursor;
use std::path::PathBuf;

use image::{DynamicImage, ImageFormat};
use visor_processor::{Picture, PictureError, PictureLimits};

pub(crate) const RED: [u8; 3] = [220, 40, 30];
pub(crate) const GREEN: [u8; 3] = [30, 160, 60];
pub(crate) const BLUE: [u8; 3] = [40, 60, 200];
pub(crate) const YELLOW: [u8; 3] = [240, 220, 50];

/// A file of `tests/fixtures`, made by the script there.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
    Picture::decode(bytes, &PictureLimits::default())
}

/// The fixtures' picture: 32x24 pixels, red and green quadrants above blue and yellow ones.
pub(crate) fn quadrants() -> Vec<u8> {
    let color = |x, y| match (x < 16, y < 12) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => YELLOW,
    };
    (0..24).flat_map(|y| (0..32).flat_map(move |x| color(x, y))).collect()
}

pub(crate) fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// One small file of every format and of every variant that the tests know.
pub(crate) fn one_of_each() -> Vec<(String, Vec<u8>)> {
    let rgb = image::RgbImage::from_raw(32, 24, quadrants()).unwrap();
    let rgb = DynamicImage::ImageRgb8(rgb);
    let mut files: Vec<_> = [
        ("rgb.png", encode(&rgb, ImageFormat::Png)),
        ("gray.png", encode(&DynamicImage::ImageLuma8(rgb.to_luma8()), ImageFormat::Png)),
        ("wide.png", encode(&DynamicImage::ImageRgba16(rgb.to_rgba16()), ImageFormat::Png)),
        ("rgb.jpg", encode(&rgb, ImageFormat::Jpeg)),
        ("gray.jpg", encode(&DynamicImage::ImageLuma8(rgb.to_luma8()), ImageFormat::Jpeg)),
        ("rgb.webp", encode(&rgb, ImageFormat::WebP)),
        ("rgb.bmp", encode(&rgb, ImageFormat::Bmp)),
        ("rgb.gif", encode(&rgb, ImageFormat::Gif)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".py") {
            files.push((name.clone(), fixture(&name)));
        }
    }
    files
}

/// A PNG chunk with its checksum.
pub(crate) fn png_chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in name.iter().chain(content) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let length = content.len() as u32;
    [&length.to_be_bytes()[..], name, content, &(!crc).to_be_bytes()].concat()
}

/// A PNG file that says its size and holds next to no pixels.
pub(crate) fn png_header(width: u32, height: u32, bits: u8, color: u8) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = [&size[..], &[bits, color, 0, 0, 0]].concat();
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    [signature, png_chunk(b"IHDR", &header), png_chunk(b"IDAT", &[0x78, 0x9c])].concat()
}

/// An EXIF note (TIFF header, one entry) that asks for an orientation.
pub(crate) fn exif_note(orientation: u16) -> Vec<u8> {
    let mut note = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    note.extend(orientation.to_be_bytes());
    note.extend([0; 6]);
    note
}

/// Puts an EXIF segment in front of a JPEG file's other segments.
pub(crate) fn with_exif(jpeg: &[u8], note: &[u8]) -> Vec<u8> {
    let content = [b"Exif\0\0", note].concat();
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &content, &jpeg[2..]].concat()
}
