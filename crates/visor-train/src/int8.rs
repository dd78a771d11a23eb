//! A checkpoint whose matrices are stored in eight bits.

use crate::convert::FILES;
use crate::error::TrainError;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, DEFAULT_MAX_SHARD_BYTES, Dtype, Manifest, Streamed, TensorOutline, save_mixed,
    scale_of,
};
use visor_model::{Blueprint, Head, Network, precision, weights};
use visor_runtime::{DeviceRequest, device};

/// Writes a checkpoint into `folder` again, the matrices that `--dtype int8` runs as whole numbers of
/// eight bits with a factor a row, all else in single precision, one tensor in memory at a time. Run
/// in int8 it is the same model to the bit. It names no policy: one is bound to the weights that it
/// was trained for.
///
/// # Errors
/// If its files do not fit together, a value cannot be rounded, or the folder cannot be written; what
/// was there before is then unharmed.
pub fn store(checkpoint: &Checkpoint, folder: &Path) -> Result<(), TrainError> {
    let Blueprint { config, extension, .. } = Blueprint::read(checkpoint)?;
    let keys = config.family.key_map();
    let (_, mut stored) = checkpoint.verified_weights()?;
    for (pattern, because) in config.family.ignored() {
        stored.ignore(pattern, because);
    }
    let own = stored.contains(&keys.in_files("head.weight", &stored));
    let head = if own || !config.tied { Head::Own } else { Head::Tied };
    let device = device::open(DeviceRequest::Cpu).map_err(|error| TrainError::State {
        path: folder.to_owned(),
        because: error.to_string(),
    })?;
    let mut network = Network::new(&config, extension.as_ref(), head, &device);
    let parameters = weights::outlines(&network);
    let on_disk = |name: &String| keys.on_disk(name);
    let matrices: Vec<String> = precision::matrices(&mut network).iter().map(on_disk).collect();
    let outline = |name: String, shape: &[usize]| TensorOutline { name, shape: shape.to_vec() };
    let wanted = parameters.iter().map(|o| outline(keys.in_files(&o.name, &stored), &o.shape));
    stored.expect(&wanted.collect::<Vec<_>>())?;

    let names: BTreeMap<String, String> = parameters
        .iter()
        .map(|o| (keys.on_disk(&o.name), keys.in_files(&o.name, &stored)))
        .collect();
    let mut outlines = Vec::with_capacity(parameters.len() + matrices.len());
    for TensorOutline { name, shape } in &parameters {
        let name = keys.on_disk(name);
        if matrices.contains(&name) {
            precision::expect_int8(&name, shape[1])?;
            outlines.push(outline(scale_of(&name), &shape[..1]));
        }
        outlines.push(outline(name, shape));
    }
    let formats = |name: &str| match matrices.iter().any(|matrix| matrix == name) {
        true => Dtype::I8,
        false => Dtype::F32,
    };
    // Tensors are asked for in the order of their names: a matrix before its factors, which wait.
    let mut waiting: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let values = &mut |outline: &TensorOutline| {
        if let Some(values) = waiting.remove(&outline.name) {
            return Ok(Cow::Owned(values));
        }
        let values = stored.take(&names[&outline.name], &outline.shape)?;
        if formats(&outline.name) != Dtype::I8 {
            return Ok(Cow::Owned(values));
        }
        let (numbers, factors) = precision::whole_numbers(&values, outline.shape[0]);
        waiting.insert(scale_of(&outline.name), factors);
        Ok(Cow::Owned(numbers))
    };
    let manifest =
        checkpoint.manifest().map(|old| Manifest { default_policy: None, ..old.clone() });
    let mut extra: Vec<(&str, Cow<'static, [u8]>)> = Vec::new();
    for name in FILES {
        extra.extend(checkpoint.file(name)?.map(|bytes| (name, bytes)));
    }
    let extra: Vec<(&str, &[u8])> = extra.iter().map(|(name, b)| (*name, b.as_ref())).collect();
    save_mixed(
        folder,
        checkpoint.config_json(),
        &extra,
        manifest.as_ref(),
        Streamed { outlines: &outlines, values },
        &formats,
        DEFAULT_MAX_SHARD_BYTES,
    )?;
    Ok(())
}
