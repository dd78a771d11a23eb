//! The fuzz targets without a fuzzer: each one's function over its committed corpus, and over
//! thousands of inputs that are near it or nowhere near it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../../fuzz/entries/mod.rs"]
mod entries;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use std::fs;
use std::path::Path;

/// A change to an input.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
    /// What a number or a word becomes.
    Write(Index, &'static str),
    Cut(Index),
}

/// What has broken parsers before.
const WORDS: [&str; 16] = [
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "4294967295",
    "null",
    "\"\"",
    "[]",
    "{}",
    "..",
    "{{",
    "%}",
    "<image>",
    "\u{0}",
    "\u{fffd}",
    "9999999",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (at(), at()).prop_map(|(a, b)| Change::Remove(a, b)),
        (at(), at()).prop_map(|(a, b)| Change::Repeat(a, b)),
        (at(), prop::sample::select(&WORDS[..])).prop_map(|(at, word)| Change::Write(at, word)),
        at().prop_map(Change::Cut),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let n = bytes.len();
        let range = |a: &Index, b: &Index| {
            let (a, b) = (a.index(n + 1), b.index(n + 1));
            a.min(b)..a.max(b).min(a.min(b) + 64)
        };
        match self {
            Self::Set(at, byte) if n > 0 => bytes[at.index(n)] = *byte,
            Self::Set(..) => {}
            Self::Insert(at, byte) => bytes.insert(at.index(n + 1), *byte),
            Self::Remove(a, b) => drop(bytes.drain(range(a, b))),
            Self::Repeat(a, b) => {
                let range = range(a, b);
                let part = bytes[range.clone()].to_vec();
                drop(bytes.splice(range.start..range.start, part));
            }
            Self::Write(at, word) => {
                let at = at.index(n + 1);
                drop(bytes.splice(at..(at + 1).min(n), word.bytes()));
            }
            Self::Cut(at) => bytes.truncate(at.index(n + 1)),
        }
    }
}

/// Runs a target over its corpus, and over `cases` inputs made of it.
fn fuzzed(target: &str, fewest: usize, cases: u32, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(corpus.len() >= fewest, "{target} has {} files", corpus.len());
    corpus.iter().for_each(|bytes| run(bytes));

    let near = (prop::sample::select(corpus), vec(change(), 1..6)).prop_map(|(start, changes)| {
        let mut bytes = start;
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    let input = prop_oneof![9 => near, 1 => vec(any::<u8>(), 0..200)];
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&input, |bytes| {
        run(&bytes);
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn json_files_of_a_checkpoint_are_read_or_refused() {
    fuzzed("checkpoint_files", 8, 2000, entries::checkpoint_files::run);
}

#[test]
fn a_safetensors_file_holds_what_it_says_or_is_refused() {
    fuzzed("safetensors_header", 8, 3000, entries::safetensors_header::run);
}

#[test]
fn a_template_gives_a_prompt_with_every_picture_or_an_error() {
    fuzzed("template_prompt", 8, 2000, entries::template_prompt::run);
}

#[test]
fn a_picture_becomes_as_many_tiles_as_its_size_says_or_is_refused() {
    fuzzed("picture_preparation", 8, 3000, entries::picture_preparation::run);
}
