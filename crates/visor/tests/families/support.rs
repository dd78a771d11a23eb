//! The goldens, and copies of them to damage.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use visor::{Error, GenerationSettings, LoadOptions, Model, ModelRef, Picture, PictureLimits};
use visor::{Question, VisorModel};
use visor_checkpoint::{
    Checkpoint, CrossAttentionManifest, DEFAULT_MAX_SHARD_BYTES, DenseMode, Dtype, Manifest,
    NamedTensor, Provenance, Source, TensorToSave, files, read_safetensors, save_checkpoint,
    write_safetensors,
};
use visor_core::{Ladder, Layout, PositionScheme};
use visor_model::cross::CrossSizes;
use visor_model::init::Noise;
use visor_model::{Extension, Head, ModelConfig, Network, weights};
use visor_runtime::{DeviceRequest, Runner, device};

/// Every golden checkpoint.
pub(crate) const ALL: [&str; 4] = ["idefics3", "smolvlm", "llava-onevision", "llava-onevision-v5"];
/// What the recordings asked.
pub(crate) const QUESTION: &str = "How many dots are on the blue square in row 3?";

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

pub(crate) fn load(folder: &Path) -> Result<Model, Error> {
    Model::load(&ModelRef::Folder(folder.to_owned()), &LoadOptions::default())
}

pub(crate) fn model(name: &str) -> Model {
    load(&golden(name)).unwrap()
}

pub(crate) fn runner(model: &Model) -> &Runner<VisorModel> {
    model.runner()
}

pub(crate) fn picture(name: &str) -> Picture {
    let bytes = fs::read(golden("images").join(format!("{name}.png"))).unwrap();
    Picture::decode(&bytes, &PictureLimits::default()).unwrap()
}

/// The question about these pictures, with an answer as long as those that were recorded.
pub(crate) fn question(pictures: &[&str]) -> Question {
    let question =
        pictures.iter().fold(Question::new(QUESTION), |q, name| q.picture(picture(name)));
    question.settings(GenerationSettings {
        max_new_tokens: std::num::NonZeroUsize::new(8),
        ..GenerationSettings::default()
    })
}

/// A copy of a golden, without its recordings, that goes when this does.
pub(crate) struct Copy {
    root: TempDir,
}

impl Copy {
    pub(crate) fn of(name: &str) -> Self {
        let root = TempDir::new().unwrap();
        let copy = Self { root };
        fs::create_dir(copy.path()).unwrap();
        for entry in fs::read_dir(golden(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::write(copy.path().join(path.file_name().unwrap()), fs::read(path).unwrap())
                    .unwrap();
            }
        }
        copy
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("copy")
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(file), content).unwrap();
    }

    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, text.replace(from, to));
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }

    pub(crate) fn load(&self) -> Result<Model, Error> {
        load(&self.path())
    }

    /// What is said when it is loaded.
    pub(crate) fn refusal(&self) -> String {
        chain(&self.load().expect_err("damaged"))
    }
}

/// A golden as a universal checkpoint with cross-attention at both ends of its three layers and one
/// layer between that may refine: what is added has random weights, and gates that are open.
pub(crate) fn universal(name: &str) -> Copy {
    const SEED: u64 = 11;
    let copy = Copy::of(name);
    let checkpoint = Checkpoint::open(Source::Folder(copy.path())).unwrap();
    let config = ModelConfig::parse(checkpoint.config_json()).unwrap();
    let layout = Layout::try_new(config.text.n_layers, &[0, 2], &[1]).unwrap();
    let rungs = [("sa0".to_owned(), vec![]), ("sa1".to_owned(), vec![1])];
    let ladder = Ladder::try_new(layout.clone(), 1, &rungs).unwrap();
    let sizes = CrossSizes::like_the_decoders(&config.text);
    let extension = Extension { layout, cross: sizes, selector: None };
    let head = if config.tied { Head::Tied } else { Head::Own };
    let device = device::open(DeviceRequest::Cpu).unwrap();
    let (keys, mut stock) = (config.family.key_map(), checkpoint.weights().unwrap());
    let network = Network::new(&config, Some(&extension), head, &device);
    let network = weights::fill(network, &device, &mut |name, shape| {
        let stored = keys.in_files(name, &stock);
        if stock.contains(&stored) {
            return Ok(stock.take(&stored, shape)?);
        }
        let mut noise = Noise::new(SEED, name);
        let n = shape.iter().product();
        Ok(match shape {
            _ if name.ends_with("gate") => vec![0.5; n],
            [_] if name.ends_with("norm.weight") => {
                noise.normal(n, 0.1).into_iter().map(|value| 1.0 + value).collect()
            }
            [] | [_] => noise.normal(n, 0.5),
            [_, inner @ ..] => noise.normal(n, (inner.iter().product::<usize>() as f32).powf(-0.5)),
        })
    })
    .unwrap();
    let cross =
        CrossAttentionManifest { n_kv_heads: config.text.n_kv_heads, bias: false, null_key: true };
    let (dense, made) = (DenseMode::Stock, Provenance::default());
    let manifest = Manifest::new(ladder, PositionScheme::STOCK, cross, dense, made);
    let small = |name: &str| {
        ![files::CONFIG, files::STAMP].contains(&name) && !name.contains("safetensors")
    };
    let entries = fs::read_dir(copy.path()).unwrap().map(Result::unwrap);
    let extra: Vec<(String, Vec<u8>)> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| small(name))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    let extra: Vec<(&str, &[u8])> =
        extra.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let tensors = weights::tensors(&network, &keys);
    let (json, most) = (checkpoint.config_json(), DEFAULT_MAX_SHARD_BYTES);
    save_checkpoint(&copy.path(), json, &extra, Some(&manifest), &tensors, Dtype::F32, most)
        .unwrap();
    copy
}

/// Writes the weights of a copy again with changes.
pub(crate) fn rewrite(copy: &Copy, change: impl FnOnce(&mut Vec<NamedTensor>)) {
    let path = copy.path().join("model.safetensors");
    let mut tensors = read_safetensors(&path).unwrap();
    change(&mut tensors);
    let tensors: Vec<TensorToSave<'_>> = tensors
        .into_iter()
        .map(|(name, shape, data)| TensorToSave { name, shape, data: data.into() })
        .collect();
    write_safetensors(&path, &tensors, Dtype::F32, &std::collections::BTreeMap::new()).unwrap();
}

/// The message of an error with everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
