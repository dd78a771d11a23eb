//! Pictures of every kind: a right answer or a clear error.

use crate::common::{QUESTION, Tiny, finish_with_input, gradient, png};
use image::{DynamicImage, ImageBuffer, Rgb};
use std::fs;
use std::path::Path;

/// A fixture of the crate that reads pictures.
fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor-processor/tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn rgb(width: u32, height: u32) -> Vec<u8> {
    png(&DynamicImage::ImageRgb8(gradient(width, height)))
}

fn sixteen_bit() -> Vec<u8> {
    let deep = ImageBuffer::from_fn(31, 17, |x, y| Rgb([x as u16 * 2000, y as u16 * 3000, 9]));
    png(&DynamicImage::ImageRgb16(deep))
}

/// A PNG whose header promises a size that its content does not have.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = rgb(2, 2);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The check sum of a PNG chunk.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0_u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn unusual_pictures_are_answered() {
    let tiny = Tiny::new();
    for (name, bytes) in [
        ("1x1.png", rgb(1, 1)),
        ("1x5000.png", rgb(1, 5000)),
        ("5000x1.png", rgb(5000, 1)),
        ("palette.png", fixture("palette.png")),
        ("palette-2-bit.png", fixture("palette-2-bit.png")),
        ("16-bit.png", sixteen_bit()),
        ("cmyk.jpg", fixture("cmyk.jpg")),
        ("progressive.jpg", fixture("progressive.jpg")),
        ("animated.gif", fixture("animated.gif")),
        ("animated.png", fixture("animated.png")),
        ("animated.webp", fixture("animated.webp")),
        ("transparent.gif", fixture("transparent.gif")),
        ("misnamed.txt", rgb(48, 48)),
    ] {
        let path = tiny.file(name, &bytes);
        let args = ["--json", "--image", path.to_str().unwrap(), QUESTION];
        let answer = tiny.ask(args).json();
        assert_eq!(answer["visual_tokens"], 36, "{name}");
    }
}

#[test]
fn pictures_that_cannot_be_read_are_errors_that_name_file_and_cause() {
    let tiny = Tiny::new();
    let palette = fixture("palette.png");
    for (name, bytes, says) in [
        ("empty.png", Vec::new(), "the picture is empty"),
        ("words.png", b"no picture at all".to_vec(), "unknown picture format"),
        ("half.png", palette[..palette.len() / 2].to_vec(), "ends before its picture does"),
        ("half.jpg", fixture("cmyk.jpg")[..300].to_vec(), "ends before its picture does"),
        ("wide.png", bomb(100_000, 100_000), "at most 65535 pixels a side"),
        ("many.png", bomb(20_000, 8000), "at most 100000000 pixels in all"),
        ("none.png", bomb(0, 5), "expected at least 1x1"),
    ] {
        let path = tiny.file(name, &bytes);
        let error = tiny.ask(["--image", path.to_str().unwrap(), QUESTION]).error(1);
        assert!(error.contains(says) && error.contains(name), "{error}");
    }
    // No file, and a folder.
    for path in ["nowhere.png", "run"] {
        let path = tiny.root.path().join(path);
        let error = tiny.ask(["--image", path.to_str().unwrap(), QUESTION]).error(1);
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_picture_comes_from_standard_input_too() {
    let tiny = Tiny::new();
    let path = tiny.picture();
    let from_file = tiny.ask(["--image", path.to_str().unwrap(), QUESTION]).answer();
    let ask =
        |input: &[u8]| finish_with_input(tiny.asking().args(["--image", "-", QUESTION]), input);
    assert_eq!(ask(&fs::read(path).unwrap()).answer(), from_file);
    assert!(ask(b"").error(1).contains("the picture is empty"));
    let error = tiny.ask(["--image", "-", "--image", "-", QUESTION]).error(2);
    assert!(error.contains("once"), "{error}");
}
