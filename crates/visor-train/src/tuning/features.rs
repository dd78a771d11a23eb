//! What a frozen encoder makes of pictures, kept on disk so that it runs once a picture.
//!
//! A file is named by all that its values depend on: the weights that made it, the picture's own
//! bytes and how the picture is cut. The folder is bounded: when it is full, pictures that are not
//! in it are encoded each time.

use crate::error::TrainError;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use visor_checkpoint::{Dtype, TensorToSave, Weights, write_safetensors};
use visor_model::weights;

/// The name of the one tensor in a file.
const TENSOR: &str = "features";

/// What a picture became.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// `[tiles, P, E_vision]` behind the encoder, `[places, N, E]` behind a frozen connector.
    pub shape: [usize; 3],
    /// In the order of the shape.
    pub values: Vec<f32>,
}

/// A folder of them.
#[derive(Debug)]
pub struct Features {
    folder: PathBuf,
    maker: String,
    limit: u64,
    used: AtomicU64,
}

impl Features {
    /// Opens a folder, or makes it. `maker` says which weights make features; `limit` is in bytes.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(folder: &Path, maker: String, limit: u64) -> Result<Self, TrainError> {
        let failed = |source| TrainError::File { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut used = 0;
        for entry in fs::read_dir(folder).map_err(failed)? {
            used += entry.and_then(|entry| entry.metadata()).map_err(failed)?.len();
        }
        Ok(Self { folder: folder.to_owned(), maker, limit, used: AtomicU64::new(used) })
    }

    /// The name of a picture's features: `picture` is the digest of its bytes, `cut` how it is
    /// prepared.
    pub fn key(&self, picture: &str, cut: &str) -> String {
        hex(Sha256::new().chain_update(format!("{}\n{picture}\n{cut}", self.maker)))
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn get(&self, key: &str) -> Result<Option<Feature>, TrainError> {
        let path = self.path(key);
        if !path.exists() {
            return Ok(None);
        }
        let mut weights = Weights::open_file(&path)?;
        let shape = weights.shape(TENSOR).map(<[usize]>::to_vec).unwrap_or_default();
        let values = weights.take(TENSOR, &shape)?;
        let broken = || TrainError::State {
            path: path.clone(),
            because: "it is no feature of a picture; remove it".to_owned(),
        };
        Ok(Some(Feature { shape: shape.try_into().map_err(|_| broken())?, values }))
    }

    /// Keeps features while there is room.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put(&self, key: &str, feature: &Feature) -> Result<(), TrainError> {
        let bytes = (feature.values.len() * size_of::<f32>()) as u64;
        if self.used.load(Ordering::Relaxed) + bytes > self.limit {
            return Ok(());
        }
        let tensor = TensorToSave {
            name: TENSOR.to_owned(),
            shape: feature.shape.to_vec(),
            data: Cow::Borrowed(&feature.values),
        };
        let digest = write_safetensors(&self.path(key), &[tensor], Dtype::F32, &BTreeMap::new())?;
        self.used.fetch_add(digest.bytes, Ordering::Relaxed);
        Ok(())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.safetensors"))
    }
}

/// What names the weights that make features: every value of the modules counts.
pub(crate) fn maker(modules: &[&dyn Named]) -> String {
    let mut hash = Sha256::new();
    for module in modules {
        for tensor in module.tensors() {
            hash.update(format!("{} {:?}\n", tensor.name, tensor.shape));
            tensor.data.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
    }
    hex(hash)
}

/// A module whose values can be taken out.
pub(crate) trait Named {
    /// Its parameters.
    fn tensors(&self) -> Vec<TensorToSave<'static>>;
}

impl<M: burn::module::Module> Named for M {
    fn tensors(&self) -> Vec<TensorToSave<'static>> {
        weights::named(self)
    }
}

pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(value: f32) -> Feature {
        Feature { shape: [1, 2, 2], values: vec![value; 4] }
    }

    #[test]
    fn features_come_back_by_all_that_they_depend_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let features = Features::open(folder.path(), "w".to_owned(), 1 << 20).expect("opened");
        let key = features.key("p", "whole");
        assert_eq!(features.get(&key).expect("read"), None);
        features.put(&key, &feature(0.5)).expect("written");
        let again = Features::open(folder.path(), "w".to_owned(), 1 << 20).expect("opened");
        assert_eq!(again.get(&key).expect("read"), Some(feature(0.5)));
        let other = Features::open(folder.path(), "v".to_owned(), 1 << 20).expect("opened");
        let keys = [other.key("p", "whole"), again.key("q", "whole"), again.key("p", "cut")];
        assert!(keys.iter().all(|other| *other != key));
    }

    #[test]
    fn a_full_folder_keeps_what_it_has_and_takes_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let features = Features::open(folder.path(), "w".to_owned(), 100).expect("opened");
        for (name, kept) in [("a", true), ("b", false)] {
            features.put(&features.key(name, ""), &feature(1.0)).expect("no error");
            let there = features.get(&features.key(name, "")).expect("read").is_some();
            assert_eq!(there, kept, "{name}");
        }
        fs::write(features.path("broken"), b"x").expect("written");
        assert!(features.get("broken").is_err(), "a damaged file is an error");
    }
}
