//! Checkpoint folders: the Hugging Face layout and `visor.json`, loaded strictly, saved atomically.
//!
//! A [`Checkpoint`] is a folder, or a set of files embedded in a binary, with `config.json`,
//! weights in the safetensors format (one file, or shards with an index), tokenizer files and,
//! where it is more than a stock model, `visor.json`, the [`Manifest`]: layout, ladder, positions,
//! provenance and the SHA-256 of the other files.
//!
//! Files are not trusted. Headers are parsed under limits, every offset is checked against the size
//! of its file before anything is allocated, an index cannot name a file outside of the folder, and
//! [`Weights`] account for every tensor both ways: one that is missing is an error and so is one
//! that nobody took. [`verify()`] compares contents with the recorded hashes. Nothing is executed
//! and nothing is mapped into memory.
//!
//! [`hub`] downloads checkpoints, and is the only part of this project that uses the network.
//!
//! There are no devices and no layers in this crate: a tensor is a name, a shape and `f32` values.
//!
//! ```
//! use visor_checkpoint::{Checkpoint, CheckpointError, Source, Weights};
//! # fn main() -> Result<(), CheckpointError> {
//! # let root = tempfile::tempdir().expect("a temporary folder");
//! # let folder = root.path().join("model");
//! # let tensor = visor_checkpoint::TensorToSave {
//! #     name: "norm.weight".to_owned(), shape: vec![2], data: vec![1.0, 2.0].into() };
//! # visor_checkpoint::save_checkpoint(
//! #     &folder, b"{}", &[], None, &[tensor], visor_checkpoint::Dtype::F32, 1 << 30)?;
//! let checkpoint = Checkpoint::open(Source::Folder(folder))?;
//! let mut weights = checkpoint.weights()?;
//! assert_eq!(weights.take("norm.weight", &[2])?, [1.0, 2.0]);
//! let report = weights.finish()?;
//! assert_eq!(report.parameters, 2);
//! # Ok(())
//! # }
//! ```

mod blob;
mod checkpoint;
mod digest;
mod disk;
mod dtype;
mod error;
mod header;
pub mod hub;
mod index;
mod manifest;
mod save;
mod source;
mod stamp;
mod swap;
pub mod unique;
mod verify;
mod watch;
mod weights;
mod wire;
mod write;

pub use checkpoint::Checkpoint;
pub use digest::{Digests, NotASha256, Sha256Sum, backbone_digest, selector_digest};
pub use disk::sync_folder;
pub use dtype::{Dtype, scale_of};
pub use error::CheckpointError;
pub use header::HeaderError;
pub use manifest::{
    CrossAttentionManifest, DenseMode, Manifest, Provenance, SCHEMA_VERSION, SelectorManifest,
    SelectorTraining,
};
pub use save::{DEFAULT_MAX_SHARD_BYTES, Parts, Streamed, save_checkpoint, save_streamed};
pub use source::Source;
pub use verify::{Trust, Verified, verify};
pub use watch::{Reading, ReadingStage, Watch};
pub use weights::{IgnoredTensor, LoadReport, NamedTensor, Weights, read_safetensors};
pub use write::{FileDigest, Formats, TensorOutline, TensorToSave, ValuesOf, write_safetensors};

/// Names of the files in a checkpoint folder.
pub mod files {
    /// The architecture, as the family's authors publish it.
    pub const CONFIG: &str = "config.json";
    /// What makes the checkpoint a universal one.
    pub const MANIFEST: &str = "visor.json";
    /// All weights in one file.
    pub const WEIGHTS: &str = "model.safetensors";
    /// Which shard holds which tensor.
    pub const INDEX: &str = "model.safetensors.index.json";
    /// The tokenizer, in the format of the `tokenizers` library.
    pub const TOKENIZER: &str = "tokenizer.json";
    /// End tokens and sampling defaults.
    pub const GENERATION_CONFIG: &str = "generation_config.json";
    /// What was verified, when the files had which size and time. Not part of the checkpoint.
    pub const STAMP: &str = ".visor-verified.json";
    /// What may stand beside configuration and weights: how text and pictures are prepared.
    pub const SMALL: [&str; 12] = [
        TOKENIZER,
        GENERATION_CONFIG,
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "merges.txt",
        "preprocessor_config.json",
        "processor_config.json",
        "prompt_template.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    ];
}

/// Prefix of the tensors that belong to the patch selector and not to the backbone.
pub const SELECTOR_PREFIX: &str = "visor.selector.";
