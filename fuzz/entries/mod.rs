//! What the fuzz targets do with their bytes. The tests of `visor` run the same functions over the
//! committed corpus and over bytes near it, without a fuzzer.

pub(crate) mod checkpoint_files;
pub(crate) mod picture_preparation;
pub(crate) mod safetensors_header;
pub(crate) mod template_prompt;

use std::path::Path;

/// Three parts with a zero byte between; those that are missing are empty.
fn parts(bytes: &[u8]) -> [&[u8]; 3] {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    [(); 3].map(|()| parts.next().unwrap_or_default())
}

/// Lends a new folder, which is removed afterwards.
fn folder(with: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    with(folder.path());
}
