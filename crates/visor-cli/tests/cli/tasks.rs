//! The generated suite as files.

use crate::common::{Ended, contents, names, visor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn generate(out: &Path, args: &[&str]) -> Ended {
    let fixed = ["tasks", "generate", "--suite", "nano", "--out", out.to_str().unwrap()];
    visor([&fixed[..], args].concat())
}

fn rows(folder: &Path) -> Vec<Value> {
    let list = fs::read_to_string(folder.join("samples.jsonl")).unwrap();
    list.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_row_has_its_picture_and_every_family_its_share() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("deep/out");
    generate(&out, &["--split", "test", "--count", "14"]).answer();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for row in rows(&out) {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        assert!(!text("question").is_empty() && !text("answer").is_empty());
        assert_eq!(text("split"), "test");
        let picture = image::open(out.join(text("image"))).unwrap();
        assert_eq!((picture.width(), picture.height()), (48, 48));
        first.entry(text("image")).or_insert_with(|| text("family"));
    }
    let mut families: Vec<&String> = first.values().collect();
    families.sort();
    let all = ["chain", "colour", "count", "group", "read", "shape", "twin"];
    assert_eq!(families, all.map(|family| [family, family]).concat());
    assert_eq!(names(&out).len(), 15);
}

#[test]
fn the_same_command_writes_the_same_bytes_and_another_seed_others() {
    let root = TempDir::new().unwrap();
    let write = |name: &str, seed: &str| {
        let out = root.path().join(name);
        generate(&out, &["--count", "6", "--seed", seed, "--families", "twin,read"]).answer();
        contents(&out)
    };
    let first = write("a", "5");
    assert_eq!(first, write("b", "5"));
    // Its own folder is replaced.
    assert_ne!(first, write("a", "6"));
    assert_eq!(first, write("a", "5"));
    assert_eq!(names(root.path()), ["a", "b"]);
}

#[test]
fn a_folder_of_other_things_is_left_as_it_is() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    generate(&out, &["--count", "2"]).answer();
    fs::write(out.join("thesis.tex"), b"mine").unwrap();
    let before = contents(&out);
    let error = generate(&out, &["--count", "2"]).error(1);
    assert!(error.contains("`thesis.tex`"), "{error}");
    assert_eq!(contents(&out), before);
    let file = root.path().join("file");
    fs::write(&file, b"mine").unwrap();
    let error = generate(&file, &["--count", "2"]).error(1);
    assert!(error.contains("file"), "{error}");
    assert_eq!(names(root.path()), ["file", "out"]);
}

#[test]
fn a_sheet_shows_as_many_pictures_as_asked_for() {
    let root = TempDir::new().unwrap();
    let sheet = root.path().join("sheet.png");
    let args = ["tasks", "show", "--suite", "small", "--families", "table", "--count", "3"];
    visor([&args[..], &["--columns", "2", "--out", sheet.to_str().unwrap()]].concat()).answer();
    let picture = image::open(sheet).unwrap();
    assert!(picture.width() > 512 && picture.height() > 512);
}

#[test]
fn names_that_the_suite_lacks_are_wrong_usage() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    for (args, says) in [
        (vec!["--count", "1", "--families", "cats"], "known: colour, shape"),
        (vec!["--count", "1", "--families", "table"], "known: colour, shape"),
        (vec!["--count", "1", "--split", "exam"], "[possible values: train"),
        (vec!["--count", "0"], "0 is not in 1.."),
        (vec!["--count", "1", "--canvas", "47"], "its sizes are 48"),
        (vec!["--count", "1", "--seed", "16777216"], "is not in 0..16777216"),
        (vec![], "--count"),
    ] {
        let ended = generate(&out, &args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(names(root.path()), [""; 0]);
}
