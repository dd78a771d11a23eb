//! Bytes as a picture on its way to tiles: as many as its size says, or an error.
#![no_main]

#[allow(dead_code, reason = "one of several")]
#[path = "../entries/mod.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::picture_preparation::run(bytes));
