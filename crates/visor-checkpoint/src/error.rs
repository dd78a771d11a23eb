//! Why a checkpoint cannot be read, trusted or saved.

use crate::{Dtype, HeaderError, SCHEMA_VERSION, Sha256Sum};
use std::io;
use thiserror::Error;
use visor_core::{LadderError, LayoutError};

/// What went wrong with a checkpoint, which file or tensor it was, and what was expected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The folder is not there, or is a file.
    #[error(
        "there is no folder `{folder}`: expected one with `config.json`, weights and a tokenizer"
    )]
    NoFolder {
        /// The folder.
        folder: String,
    },
    /// A file of the checkpoint is not there.
    #[error("{place} has no `{file}`: it is no checkpoint, or only a part of one")]
    NoFile {
        /// Folder, or the embedded checkpoint.
        place: String,
        /// The file.
        file: String,
    },
    /// There are no weights.
    #[error("{place} has neither `model.safetensors` nor `model.safetensors.index.json`")]
    NoWeights {
        /// Folder, or the embedded checkpoint.
        place: String,
    },
    /// There are weights that can run code when they are read, and no others.
    #[error(
        "{place} has `{file}`, which is not read because it can run code, and no \
         `model.safetensors`: load it with transformers and `save_pretrained` it again"
    )]
    Pickled {
        /// Folder, or the embedded checkpoint.
        place: String,
        /// The file.
        file: &'static str,
    },
    /// There is an adapter (LoRA), and no model.
    #[error(
        "{place} is an adapter, by its `adapter_config.json`, and no model: merge it into the model \
         that it was trained for (`merge_and_unload` of peft), save that and load it"
    )]
    Adapter {
        /// Folder, or the embedded checkpoint.
        place: String,
    },
    /// A file is what Git has of it where large files lie elsewhere.
    #[error(
        "`{file}` is a pointer of Git LFS and not the file: fetch that with `git lfs pull`, or \
         download it again"
    )]
    Pointer {
        /// The file.
        file: String,
    },
    /// Something else stands where a file is expected.
    #[error("`{file}` is not a regular file")]
    NotAFile {
        /// The path.
        file: String,
    },
    /// The operating system refused.
    #[error("cannot {action} `{file}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any real one of its kind.
    #[error("`{file}` has {bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// The file.
        file: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A file name that could mean a file outside of the folder.
    #[error("{listed_in} names the file {name:?}: expected a plain file name inside the folder")]
    BadFileName {
        /// The name.
        name: String,
        /// Where it stands.
        listed_in: String,
    },
    /// A JSON file is damaged or is not what is expected.
    #[error("`{file}` is not as expected")]
    Json {
        /// The file.
        file: String,
        /// What was expected, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A file is not a readable safetensors file.
    #[error("cannot read the weights in `{file}`: {problem}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: HeaderError,
    },
    /// The index promises nothing.
    #[error("`{}` lists no tensor: it is damaged, or no index of weights", crate::files::INDEX)]
    EmptyIndex,
    /// A shard holds a tensor that the index places elsewhere or nowhere.
    #[error("`{shard}` holds tensor `{name}`, which the index does not list there")]
    Unlisted {
        /// The tensor.
        name: String,
        /// The shard.
        shard: String,
    },
    /// The index promises a tensor that its shard lacks.
    #[error("the index lists tensor `{name}` in `{shard}`, which does not hold it")]
    NotInShard {
        /// The tensor.
        name: String,
        /// The shard.
        shard: String,
    },
    /// A tensor that the model needs is not in the files.
    #[error("tensor `{name}` of shape {shape:?} is missing from `{file}`")]
    Missing {
        /// The tensor.
        name: String,
        /// The shape it should have.
        shape: Vec<usize>,
        /// The file, the first of several.
        file: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` has shape {got:?}, expected {expected:?} by the configuration")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor that the model needs is stored in a format that is not read.
    #[error("tensor `{name}` is stored as {dtype}: expected F32, F16, BF16, F64 or I8")]
    NotRead {
        /// The tensor.
        name: String,
        /// Its format.
        dtype: &'static str,
    },
    /// A value is infinite or not a number.
    #[error("tensor `{name}` holds {value} at place {index}: expected finite numbers")]
    NonFinite {
        /// The tensor.
        name: String,
        /// Where, counting in storage order.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A tensor of whole numbers that is no matrix, or whose rows have no factors.
    #[error(
        "tensor `{name}` of shape {shape:?} is stored as I8 and needs `{scale}`, one F32 factor a \
         row of a matrix"
    )]
    Factors {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Where its factors should be.
        scale: String,
    },
    /// Tensors that no part of the model asked for.
    #[error(
        "the files hold {} that the model has no use for: {}",
        count(names.len(), "tensor"), some(names)
    )]
    Unused {
        /// The tensors.
        names: Vec<String>,
    },
    /// A number format that is not known.
    #[error("unknown number format `{got}`: expected f32, f16 or bf16")]
    UnknownDtype {
        /// What was asked for.
        got: String,
    },

    /// `visor.json` was written by another generation of this program.
    #[error(
        "`visor.json` has schema version {got}, this program reads {SCHEMA_VERSION}: convert \
         the checkpoint again or use the version that wrote it"
    )]
    SchemaVersion {
        /// The version in the file.
        got: u64,
    },
    /// The layers in `visor.json` contradict each other.
    #[error("`visor.json` describes no possible layout")]
    Layout(#[source] LayoutError),
    /// The rungs in `visor.json` contradict the layers or each other.
    #[error("`visor.json` describes no possible ladder")]
    Ladder(#[source] LadderError),
    /// The layers of a rung are not listed once each, ascending.
    #[error(
        "`visor.json` lists the layers of rung `{rung}` as {layers:?}: they must ascend \
         without repeats"
    )]
    RungOrder {
        /// The rung.
        rung: String,
        /// Its layers.
        layers: Vec<usize>,
    },
    /// A count in `visor.json` that makes no sense.
    #[error("`visor.json` has {field} = {got}, expected {expected}")]
    Field {
        /// Where.
        field: &'static str,
        /// The value.
        got: String,
        /// What is possible.
        expected: &'static str,
    },

    /// A file of weights has no recorded hash.
    #[error(
        "`visor.json` records no sha256 of `{file}`: nothing says that it belongs to this \
         checkpoint"
    )]
    Unhashed {
        /// The file.
        file: String,
    },
    /// A file is not the one that was saved.
    #[error(
        "`{file}` has sha256 {got}, `visor.json` records {expected}: the file is damaged or \
         from another checkpoint"
    )]
    Hash {
        /// The file.
        file: String,
        /// By `visor.json`.
        expected: Sha256Sum,
        /// By its content.
        got: Sha256Sum,
    },

    /// A tensor's values and shape have different sizes.
    #[error("tensor `{name}` has {values} values, its shape {shape:?} another number")]
    Values {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values there are.
        values: usize,
    },
    /// A name cannot be saved: it is used twice or means something else.
    #[error("cannot save {what} `{name}`: the name is taken or reserved")]
    Name {
        /// A tensor or a file.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value does not fit into the number format.
    #[error(
        "tensor `{name}` holds {value} at place {index}, beyond the range of {dtype}: save it \
         as F32 or BF16"
    )]
    Overflow {
        /// The tensor.
        name: String,
        /// Where, counting in storage order.
        index: usize,
        /// The value.
        value: f32,
        /// The number format.
        dtype: Dtype,
    },
    /// Saving would delete what is not part of a checkpoint.
    #[error(
        "`{folder}` holds `{entry}`, which is no part of a checkpoint, and saving replaces \
         the whole folder: save elsewhere or move it away"
    )]
    WouldDelete {
        /// The folder.
        folder: String,
        /// What stands in it.
        entry: String,
    },
}

impl CheckpointError {
    pub(crate) fn io<'a>(
        action: &'static str,
        file: impl std::fmt::Display + 'a,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, file: file.to_string(), source }
    }

    pub(crate) fn json(file: &str) -> impl FnOnce(serde_json::Error) -> Self + '_ {
        move |source| Self::Json { file: file.to_owned(), source }
    }
}

fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_unused_tensors_make_a_short_message() {
        let names: Vec<String> = (0..1000).map(|i| format!("t{i}")).collect();
        let message = CheckpointError::Unused { names }.to_string();
        assert!(message.contains("1000 tensors") && message.contains("and 994 more"), "{message}");
        assert!(message.len() < 200, "{message}");
        let one = CheckpointError::Unused { names: vec!["x".to_owned()] }.to_string();
        assert!(one.contains("1 tensor that") && one.ends_with("`x`"), "{one}");
    }
}
