//! A checkpoint whose matrices are stored in eight bits.

use crate::error::TrainError;
use crate::rewrite::{self, Stored};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use visor_checkpoint::{Checkpoint, Dtype, Manifest, Streamed, TensorOutline, scale_of};
use visor_model::{Blueprint, precision, weights};

/// Writes a checkpoint into `folder` again, the matrices that `--dtype int8` runs as whole numbers
/// of eight bits with a factor a row, all else in single precision, one tensor in memory at a time.
/// Run in int8 it is the same model to the bit. It names no policy: one is bound to the weights
/// that it was trained for.
///
/// # Errors
/// If its files do not fit together, a value cannot be rounded, or the folder cannot be written; what
/// was there before is then unharmed.
pub fn store(checkpoint: &Checkpoint, folder: &Path) -> Result<(), TrainError> {
    let Blueprint { config, extension, .. } = Blueprint::read(checkpoint)?;
    let mut stored = Stored::open(checkpoint, &config)?;
    let mut network = stored.network(&config, extension.as_ref());
    let parameters = weights::outlines(&network);
    stored.expect(parameters.iter())?;
    let keys = stored.keys;
    let on_disk = |name: &String| keys.on_disk(name);
    let matrices: Vec<String> = precision::matrices(&mut network).iter().map(on_disk).collect();
    let names: BTreeMap<String, &str> =
        parameters.iter().map(|o| (keys.on_disk(&o.name), o.name.as_str())).collect();
    let outline = |name: String, shape: &[usize]| TensorOutline { name, shape: shape.to_vec() };
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
        let values = stored.take(names[&outline.name], &outline.shape)?;
        if formats(&outline.name) != Dtype::I8 {
            return Ok(Cow::Owned(values));
        }
        let (numbers, factors) = precision::whole_numbers(&values, outline.shape[0]);
        waiting.insert(scale_of(&outline.name), factors);
        Ok(Cow::Owned(numbers))
    };
    let manifest =
        checkpoint.manifest().map(|old| Manifest { default_policy: None, ..old.clone() });
    let tensors = Streamed { outlines: &outlines, values };
    rewrite::save(folder, checkpoint, manifest.as_ref(), &formats, tensors)
}
