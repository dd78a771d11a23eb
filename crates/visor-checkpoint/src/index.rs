//! The index of a sharded checkpoint: which file holds which tensor.

use crate::source::{ADAPTER, MIB, is_plain_name};
use crate::{CheckpointError, Source, files, unique};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longer indexes are refused.
const MAX_INDEX: u64 = 64 * MIB;

/// `model.safetensors.index.json`. Not ours: fields that we do not know are passed over.
#[derive(Debug, Deserialize)]
struct RawIndex {
    #[serde(deserialize_with = "unique::map")]
    weight_map: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RawIndexOut<'a> {
    metadata: RawIndexMetadata,
    weight_map: &'a BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct RawIndexMetadata {
    total_size: u64,
}

/// Tensor names and the plain file name of each one's shard.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) weight_map: BTreeMap<String, String>,
}

impl Index {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, CheckpointError> {
        let raw: RawIndex =
            serde_json::from_slice(json).map_err(CheckpointError::json(files::INDEX))?;
        let bad = |file: &&String| !is_plain_name(file) || !file.ends_with(".safetensors");
        if let Some(file) = raw.weight_map.values().find(bad) {
            return Err(CheckpointError::BadFileName {
                name: file.clone(),
                listed_in: files::INDEX.to_owned(),
            });
        }
        match raw.weight_map.is_empty() {
            true => Err(CheckpointError::EmptyIndex),
            false => Ok(Self { weight_map: raw.weight_map }),
        }
    }

    /// The shards, each once.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }
}

/// The text of an index.
pub(crate) fn to_json(
    weight_map: &BTreeMap<&str, String>,
    total_size: u64,
) -> Result<Vec<u8>, CheckpointError> {
    let index = RawIndexOut { metadata: RawIndexMetadata { total_size }, weight_map };
    let mut json =
        serde_json::to_vec_pretty(&index).map_err(CheckpointError::json(files::INDEX))?;
    json.push(b'\n');
    Ok(json)
}

/// Weights as older versions of `transformers` saved them.
const PICKLED: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// What stands where weights are expected.
fn no_weights(source: &Source) -> CheckpointError {
    let place = source.name();
    match PICKLED.into_iter().find(|file| source.exists(file)) {
        Some(file) => CheckpointError::Pickled { place, file },
        None if source.exists(ADAPTER) => CheckpointError::Adapter { place },
        None => CheckpointError::NoWeights { place },
    }
}

/// The index of a checkpoint, or `None` if its weights are one file.
pub(crate) fn read(source: &Source) -> Result<Option<Index>, CheckpointError> {
    // The single file comes first where a folder has both, as in transformers.
    if source.exists(files::WEIGHTS) {
        return Ok(None);
    }
    if !source.exists(files::INDEX) {
        return Err(no_weights(source));
    }
    Index::parse(&source.read(files::INDEX, MAX_INDEX)?).map(Some)
}
