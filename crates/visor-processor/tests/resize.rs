//! Resampling equals Pillow's to the bit, on pictures that both sides make from the same formula.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "goldens and fixtures are files")]

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use visor_processor::{Filter, Picture, PictureLimits, resize};

const FILTERS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// The generator of `tools/export_resize_goldens.py`.
struct Lcg(u32);

impl Lcg {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 24) as u8
    }
}

fn pattern(name: &str, width: u32, height: u32) -> Picture {
    let mut lcg = Lcg(width * 65536 + height);
    let mut level = |x: u32, y: u32, c: u32| match name {
        "noise" => lcg.byte(),
        "waves" => {
            let v = (x * (c + 2) + y * (4 - c) + 40 * c) % 510;
            v.min(510 - v) as u8
        }
        "boxes" => 255 * ((x / (3 + c) + y / (5 - c)) % 2) as u8,
        _ => panic!("no pattern {name}"),
    };
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            rgb.extend([0, 1, 2].map(|c| level(x, y, c)));
        }
    }
    Picture::from_rgb(width, height, rgb).unwrap()
}

fn size(text: &str) -> (u32, u32) {
    let (width, height) = text.split_once('x').unwrap();
    (width.parse().unwrap(), height.parse().unwrap())
}

fn filter(name: &str) -> Filter {
    match name {
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        _ => panic!("no filter {name}"),
    }
}

#[test]
fn every_result_has_the_digest_of_pillows() {
    let table = fs::read_to_string(goldens().join("resize.txt")).unwrap();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let [name, source, target, resample, digest] =
            line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let ((width, height), (to_width, to_height)) = (size(source), size(target));
        let result = resize(&pattern(name, width, height), to_width, to_height, filter(resample));
        let hex: String = Sha256::digest(result.rgb()).iter().map(|b| format!("{b:02x}")).collect();
        if hex != digest {
            wrong.push(line);
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{} of {cases} differ: {wrong:#?}", wrong.len());
    assert_eq!(cases, 585);
}

#[test]
fn small_results_equal_pillows_pixel_by_pixel() {
    let mut cases = 0;
    for entry in fs::read_dir(goldens()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "png") {
            continue;
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let [name, source, target, resample] =
            stem.split('-').collect::<Vec<_>>().try_into().unwrap();
        let ((width, height), (to_width, to_height)) = (size(source), size(target));
        let expected =
            Picture::decode(&fs::read(&path).unwrap(), &PictureLimits::default()).unwrap();
        let found = resize(&pattern(name, width, height), to_width, to_height, filter(resample));
        assert_eq!(found.rgb(), expected.rgb(), "{stem}");
        cases += 1;
    }
    assert_eq!(cases, 33);
}

#[test]
fn resizing_to_the_same_size_is_a_copy() {
    for filter in FILTERS {
        let picture = pattern("noise", 37, 21);
        assert_eq!(resize(&picture, 37, 21, filter), picture);
    }
}

#[test]
fn a_side_of_zero_is_taken_as_one() {
    let picture = pattern("noise", 5, 4);
    let smallest = resize(&picture, 0, 0, Filter::Bicubic);
    assert_eq!((smallest.width(), smallest.height()), (1, 1));
}

#[test]
fn a_picture_of_one_column_and_5000_rows_resizes_both_ways() {
    let tall = pattern("waves", 1, 5000);
    for filter in FILTERS {
        let square = resize(&tall, 64, 64, filter);
        let back = resize(&square, 1, 5000, filter);
        assert_eq!(square.rgb().len(), 64 * 64 * 3);
        assert_eq!((back.width(), back.height()), (1, 5000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_constant_picture_stays_constant(
        source in (1_u32..80, 1_u32..80),
        target in (1_u32..80, 1_u32..80),
        color in any::<[u8; 3]>(),
        filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let rgb = color.repeat((source.0 * source.1) as usize);
        let picture = Picture::from_rgb(source.0, source.1, rgb).unwrap();
        let result = resize(&picture, target.0, target.1, filter);
        prop_assert!(result.rgb().as_chunks::<3>().0.iter().all(|pixel| *pixel == color));
        prop_assert_eq!((result.width(), result.height()), target);
    }

    #[test]
    fn mirroring_commutes_with_enlarging_by_whole_factors(
        width in 2_u32..20,
        factor in 1_u32..5,
        filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let mirror = |picture: &Picture| -> Vec<[u8; 3]> {
            picture.rgb().as_chunks::<3>().0.iter().rev().copied().collect()
        };
        let row = pattern("noise", width, 1);
        let mirrored = Picture::from_rgb(width, 1, mirror(&row).concat()).unwrap();
        let one = resize(&row, width * factor, 1, filter);
        let other = resize(&mirrored, width * factor, 1, filter);
        for (a, b) in mirror(&one).concat().iter().zip(other.rgb()) {
            // Weights sum in another order; a tie may fall on the other side.
            prop_assert!(a.abs_diff(*b) <= 1);
        }
    }
}
