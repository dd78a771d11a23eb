//! The goldens, and copies of them to damage.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use visor::{Error, GenerationSettings, LoadOptions, Model, ModelRef, Picture, PictureLimits};
use visor::{Question, VisorModel};
use visor_checkpoint::{Dtype, NamedTensor, TensorToSave, read_safetensors, write_safetensors};
use visor_runtime::Runner;

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
