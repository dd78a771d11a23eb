//! Bytes as a safetensors file: what it says it holds is there, or it is refused.
#![no_main]

#[allow(dead_code, reason = "one of several")]
#[path = "../entries/mod.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::safetensors_header::run(bytes));
