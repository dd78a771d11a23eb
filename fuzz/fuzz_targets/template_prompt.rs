//! Bytes as a template and what is asked with it: a prompt with every picture in its place, or an
//! error.
#![no_main]

#[allow(dead_code, reason = "one of several")]
#[path = "../entries/mod.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::template_prompt::run(bytes));
