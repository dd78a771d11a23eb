//! A checkpoint that is written again, one tensor in memory at a time: what converting it and
//! storing it in eight bits share.

use crate::error::TrainError;
use burn::tensor::Device;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, CheckpointError, DEFAULT_MAX_SHARD_BYTES, Digests, Formats, Manifest, Parts,
    Streamed, TensorOutline, Verified, Weights, files, save_streamed,
};
use visor_model::config::ModelConfig;
use visor_model::keys::KeyMap;
use visor_model::{Extension, Head, Network};
use visor_runtime::{DeviceRequest, device};

/// A checkpoint whose weights are about to be taken.
pub(crate) struct Stored {
    pub(crate) weights: Weights,
    pub(crate) digests: Digests,
    pub(crate) keys: KeyMap,
    head: Head,
    device: Device,
}

impl Stored {
    /// Opens the weights of a checkpoint of this configuration.
    ///
    /// # Errors
    /// If its files are not the recorded ones or do not fit together.
    pub(crate) fn open(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Self, TrainError> {
        let keys = config.family.key_map();
        let (Verified { digests, .. }, mut weights) = checkpoint.verified_weights()?;
        for (pattern, because) in config.family.ignored() {
            weights.ignore(pattern, because);
        }
        let own = weights.contains(&keys.in_files("head.weight", &weights));
        let head = if own || !config.tied { Head::Own } else { Head::Tied };
        let device = device::open(DeviceRequest::Cpu)?;
        Ok(Self { weights, digests, keys, head, device })
    }

    /// A network for these weights, with what VISOR adds, before it is filled.
    pub(crate) fn network(&self, config: &ModelConfig, extension: Option<&Extension>) -> Network {
        Network::new(config, extension, self.head, &self.device)
    }

    /// Holds what is stored against the parameters that will be taken.
    ///
    /// # Errors
    /// If one is missing or of another shape, or a tensor would be left.
    pub(crate) fn expect<'o>(
        &self,
        parameters: impl Iterator<Item = &'o TensorOutline>,
    ) -> Result<(), TrainError> {
        let in_files = |TensorOutline { name, shape }: &TensorOutline| TensorOutline {
            name: self.keys.in_files(name, &self.weights),
            shape: shape.clone(),
        };
        Ok(self.weights.expect(&parameters.map(in_files).collect::<Vec<_>>())?)
    }

    /// The values of a parameter.
    ///
    /// # Errors
    /// If they are not there, or cannot be read.
    pub(crate) fn take(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Vec<f32>, CheckpointError> {
        self.weights.take(&self.keys.in_files(name, &self.weights), shape)
    }
}

/// Writes these tensors into `folder`, beside configuration and small files of `checkpoint`.
///
/// # Errors
/// If it cannot be written; what was there before is then unharmed.
pub(crate) fn save(
    folder: &Path,
    checkpoint: &Checkpoint,
    manifest: Option<&Manifest>,
    formats: Formats<'_>,
    tensors: Streamed<'_, '_>,
) -> Result<(), TrainError> {
    let mut small = Vec::new();
    for name in files::SMALL {
        small.extend(checkpoint.file(name)?.map(|bytes| (name, bytes)));
    }
    let small: Vec<(&str, &[u8])> = small.iter().map(|(name, b)| (*name, b.as_ref())).collect();
    let parts = Parts {
        config_json: checkpoint.config_json(),
        extra_files: &small,
        manifest,
        formats,
        max_shard_bytes: DEFAULT_MAX_SHARD_BYTES,
    };
    Ok(save_streamed(folder, &parts, tensors)?)
}
