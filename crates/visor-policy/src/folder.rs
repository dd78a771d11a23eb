//! A policy as a whole: its two files, read strictly and saved whole.

use crate::{PolicyFileError, PolicyManifest, RouterNetwork, RouterShape, files};
use burn::tensor::Device;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use visor_checkpoint::{
    CheckpointError, Sha256Sum, Source, TensorToSave, sync_folder, write_safetensors,
};
use visor_model::{ModelError, weights};

/// Larger files are refused; a router for the widest decoders there are takes a tenth of it.
const MAX_WEIGHTS: u64 = 256 << 20;

/// A router with what is known about it.
#[derive(Debug)]
pub struct Policy {
    manifest: PolicyManifest,
    network: RouterNetwork,
}

impl Policy {
    /// Joins a network with its manifest.
    ///
    /// # Errors
    /// [`PolicyFileError::Network`] if the sizes of the two differ.
    pub fn new(manifest: PolicyManifest, network: RouterNetwork) -> Result<Self, PolicyFileError> {
        let widths = |shape: RouterShape| {
            [
                ("values of a routing token", shape.d_token),
                ("values of a visual token", shape.d_visual),
                ("values inside the head", shape.d_hidden),
                ("rungs", shape.n_rungs),
            ]
        };
        for ((what, expected), (_, got)) in
            widths(manifest.shape()).into_iter().zip(widths(network.shape()))
        {
            if expected != got {
                return Err(PolicyFileError::Network { what, expected, got });
            }
        }
        Ok(Self { manifest, network })
    }

    /// Reads a folder, or files that were compiled into the binary.
    ///
    /// # Errors
    /// If a file is missing or too large, `policy.json` makes no sense, the weights are not the
    /// ones that it records, or a tensor is missing, superfluous, of another shape or not finite.
    pub fn load(source: &Source, device: &Device) -> Result<Self, PolicyFileError> {
        let manifest = PolicyManifest::read(source)?;
        if !source.exists(files::WEIGHTS) {
            return Err(PolicyFileError::NoFile { place: source.name(), file: files::WEIGHTS });
        }
        // The bytes that are hashed are the ones that are used, whatever becomes of the file.
        let bytes = source.read(files::WEIGHTS, MAX_WEIGHTS)?;
        let got = Sha256Sum::of(&bytes);
        if let Some(expected) = manifest.weights.filter(|expected| *expected != got) {
            return Err(PolicyFileError::Hash { expected, got });
        }
        let network = RouterNetwork::new(manifest.shape(), device);
        let network = fill(network, &bytes, device)?;
        Ok(Self { manifest, network })
    }

    /// What is known about the router.
    pub fn manifest(&self) -> &PolicyManifest {
        &self.manifest
    }

    /// The router.
    pub fn network(&self) -> &RouterNetwork {
        &self.network
    }

    /// Writes `policy.json` and `policy.safetensors` and leaves other files of the folder as they
    /// are. Both are complete before the first one takes its place, so what fails leaves the old
    /// policy; a power cut between the two would leave a pair that loading refuses.
    ///
    /// Returns the manifest as it was written, with the hash of the weights.
    ///
    /// # Errors
    /// If the folder cannot be written to, a value is not finite, or the manifest could not be
    /// read again.
    pub fn save(&self, folder: &Path) -> Result<PolicyManifest, PolicyFileError> {
        let io = |action| cannot(action, folder);
        std::fs::create_dir_all(folder).map_err(io("create"))?;
        // Dropped, and with it removed, on every way out.
        let staged = tempfile::Builder::new().prefix(".visor-saving-").tempdir_in(folder);
        let staged = staged.map_err(io("write to"))?;
        let weights = staged.path().join(files::WEIGHTS);
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let tensors: Vec<TensorToSave<'_>> = weights::named(&self.network);
        let written =
            write_safetensors(&weights, &tensors, visor_checkpoint::Dtype::F32, &metadata)?;
        let manifest = PolicyManifest { weights: Some(written.sha256), ..self.manifest.clone() };
        let json = manifest.to_json();
        // What is saved can be opened again.
        PolicyManifest::parse(json.as_bytes())?;
        write_durably(&staged.path().join(files::MANIFEST), json.as_bytes())
            .map_err(io("write to"))?;
        for file in [files::WEIGHTS, files::MANIFEST] {
            let target = folder.join(file);
            std::fs::rename(staged.path().join(file), &target)
                .map_err(cannot("replace", &target))?;
        }
        sync_folder(folder).map_err(io("write to"))?;
        Ok(manifest)
    }
}

/// Fills a router from a safetensors file, which holds its tensors and nothing else.
fn fill(
    network: RouterNetwork,
    file: &[u8],
    device: &Device,
) -> Result<RouterNetwork, PolicyFileError> {
    let stored = SafeTensors::deserialize(file)
        .map_err(|error| PolicyFileError::Safetensors(Box::new(error)))?;
    let mut left: Vec<&str> = stored.names();
    left.sort_unstable();
    // Filling speaks of models: what is wrong with the policy is kept beside it.
    let mut problem = None;
    let filled = weights::fill(network, device, &mut |name, shape| {
        left.retain(|other| *other != name);
        take(&stored, name, shape).map_err(|error| {
            problem = Some(error);
            ModelError::Checkpoint(CheckpointError::Missing {
                name: name.to_owned(),
                shape: shape.to_vec(),
                file: files::WEIGHTS.to_owned(),
            })
        })
    });
    match (filled, problem, left.first()) {
        (_, Some(problem), _) => Err(problem),
        (Err(error), None, _) => Err(PolicyFileError::Safetensors(Box::new(error))),
        (Ok(_), None, Some(name)) => Err(PolicyFileError::Unused { name: (*name).to_owned() }),
        (Ok(network), None, None) => Ok(network),
    }
}

/// The values of one tensor.
fn take(
    stored: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, PolicyFileError> {
    let missing = |_| PolicyFileError::Missing { name: name.to_owned(), shape: shape.to_vec() };
    let view = stored.tensor(name).map_err(missing)?;
    let name = name.to_owned();
    if view.dtype() != Dtype::F32 {
        return Err(PolicyFileError::Dtype { name, got: view.dtype().to_string() });
    }
    if view.shape() != shape {
        let (expected, got) = (shape.to_vec(), view.shape().to_vec());
        return Err(PolicyFileError::Shape { name, expected, got });
    }
    let (words, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(PolicyFileError::NonFinite { name, index, value: values[index] }),
        None => Ok(values),
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PolicyFileError {
    let file = path.display().to_string();
    move |source| CheckpointError::Io { action, file, source }.into()
}
