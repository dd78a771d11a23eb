//! Bytes as the JSON files of a checkpoint: read or refused, and never more than that.
#![no_main]

#[allow(dead_code, reason = "one of several")]
#[path = "../entries/mod.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::checkpoint_files::run(bytes));
