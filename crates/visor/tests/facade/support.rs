//! Checkpoints and pictures to test with.

use std::path::{Path, PathBuf};
use tempfile::TempDir;
use visor::{LoadOptions, Model, ModelRef, Picture, Question, fixture};
use visor_checkpoint::{
    DEFAULT_MAX_SHARD_BYTES, Dtype, Manifest, NamedTensor, TensorToSave, read_safetensors,
    save_checkpoint,
};

/// A checkpoint in a folder of its own, which goes when this does.
pub(crate) struct Folder {
    root: TempDir,
}

impl Folder {
    pub(crate) fn universal() -> Self {
        let folder = Self { root: TempDir::new().unwrap() };
        fixture::universal(&folder.path(), 1).unwrap();
        folder
    }

    pub(crate) fn stock() -> Self {
        let folder = Self { root: TempDir::new().unwrap() };
        fixture::stock(&folder.path(), 1).unwrap();
        folder
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("tiny")
    }

    pub(crate) fn model_ref(&self) -> ModelRef {
        ModelRef::Folder(self.path())
    }

    pub(crate) fn load(&self) -> Result<Model, visor::Error> {
        Model::load(&self.model_ref(), &LoadOptions::default())
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), content).unwrap();
    }

    /// Saves the checkpoint again with changes, hashes and all.
    pub(crate) fn rewrite(&self, change: impl FnOnce(&mut Parts)) {
        let mut parts = Parts::read(&self.path());
        change(&mut parts);
        parts.save(&self.path());
    }
}

/// A checkpoint taken apart.
pub(crate) struct Parts {
    pub(crate) config: String,
    pub(crate) extra: Vec<(String, Vec<u8>)>,
    pub(crate) manifest: Option<Manifest>,
    pub(crate) tensors: Vec<NamedTensor>,
    pub(crate) dtype: Dtype,
    pub(crate) max_shard_bytes: u64,
}

impl Parts {
    fn read(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read(folder.join(name));
        let extra = ["tokenizer.json", "generation_config.json", "preprocessor_config.json"]
            .into_iter()
            .chain(["prompt_template.txt"]);
        Self {
            config: String::from_utf8(read("config.json").unwrap()).unwrap(),
            extra: extra.map(|name| (name.to_owned(), read(name).unwrap())).collect(),
            manifest: read("visor.json").ok().map(|json| Manifest::parse(&json).unwrap()),
            tensors: read_safetensors(&folder.join("model.safetensors")).unwrap(),
            dtype: Dtype::F32,
            max_shard_bytes: DEFAULT_MAX_SHARD_BYTES,
        }
    }

    fn save(self, folder: &Path) {
        let extra: Vec<(&str, &[u8])> =
            self.extra.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let tensors: Vec<TensorToSave<'_>> = self
            .tensors
            .into_iter()
            .map(|(name, shape, data)| TensorToSave { name, shape, data: data.into() })
            .collect();
        save_checkpoint(
            folder,
            self.config.as_bytes(),
            &extra,
            self.manifest.as_ref(),
            &tensors,
            self.dtype,
            self.max_shard_bytes,
        )
        .unwrap();
    }

    pub(crate) fn extra(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.extra.iter_mut().find(|(known, _)| known == name).unwrap().1
    }
}

/// A picture with something to see.
pub(crate) fn picture(seed: u8) -> Picture {
    let rgb = (0..20 * 16 * 3_u32).map(|i| (i * 7 + i / 48 * u32::from(seed)) as u8).collect();
    Picture::from_rgb(20, 16, rgb).unwrap()
}

/// The same as a PNG file.
pub(crate) fn png(folder: &Path, seed: u8) -> PathBuf {
    let path = folder.join(format!("picture-{seed}.png"));
    let picture = picture(seed);
    let (width, height) = (picture.width(), picture.height());
    image::save_buffer(&path, picture.rgb(), width, height, image::ColorType::Rgb8).unwrap();
    path
}

pub(crate) fn question() -> Question {
    Question::new(fixture::QUESTION).picture(picture(1))
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
