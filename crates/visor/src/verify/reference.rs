//! A folder of recordings: what was asked, and every tensor that came of it.

use crate::error::Error;
use crate::question::Question;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use thiserror::Error as ThisError;
use visor_model::Activation;
use visor_processor::{Picture, PictureLimits, Setting};

/// Larger recordings are not read.
const MAX_BYTES: u64 = 1 << 30;

/// Why a reference cannot be compared with.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A file is missing or cannot be read.
    #[error("cannot read `{}` of the reference", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `cases.json` is something else.
    #[error("`{}` is no list of cases", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A recording is no safetensors file.
    #[error("`{}` is no safetensors file", file.display())]
    Tensors {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A recording is larger than any real one.
    #[error("`{}` has more than {MAX_BYTES} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// A case or picture whose name is more than a name.
    #[error("`{name}` is no name of a case or picture: expected letters, digits, `-` and `_`")]
    Name {
        /// What stands there.
        name: String,
    },
    /// There is no picture of that name.
    #[error("there is no picture `{name}.png` in {searched}: say where with --images")]
    NoPicture {
        /// Its name.
        name: String,
        /// Where it was looked for.
        searched: String,
    },
}

#[derive(Deserialize)]
struct RawCases {
    #[serde(default)]
    transformers: String,
    #[serde(default)]
    torch: String,
    cases: BTreeMap<String, RawCase>,
}

#[derive(Deserialize, Clone)]
struct RawCase {
    images: Vec<String>,
    question: String,
    #[serde(default)]
    options: RawOptions,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(deny_unknown_fields)]
struct RawOptions {
    do_image_splitting: Option<bool>,
}

/// A folder of recordings.
pub(super) struct Reference {
    folder: PathBuf,
    images: Vec<PathBuf>,
    cases: BTreeMap<String, RawCase>,
    /// What made it.
    pub(super) origin: String,
}

/// What was recorded of one tensor.
enum Recorded {
    Floats(Vec<f32>),
    Ids(Vec<u32>),
    Bytes(Vec<u8>),
}

/// One case, with its pictures and tensors in memory.
pub(super) struct Case {
    raw: RawCase,
    pub(super) pictures: Vec<Picture>,
    tensors: BTreeMap<String, Recorded>,
}

impl Reference {
    /// Reads `cases.json` in `folder`, or in the folder `reference` of that.
    pub(super) fn open(folder: &Path, images: Option<&Path>) -> Result<Self, ReferenceError> {
        let within = folder.join("reference");
        let folder = match folder.join("cases.json").is_file() || !within.is_dir() {
            true => folder.to_owned(),
            false => within,
        };
        let file = folder.join("cases.json");
        let raw: RawCases = serde_json::from_slice(&read(&file)?)
            .map_err(|source| ReferenceError::Json { file, source })?;
        let images = match images {
            Some(images) => vec![images.to_owned()],
            None => ["images", "../images", "../../images"].map(|way| folder.join(way)).to_vec(),
        };
        let origin = format!("transformers {}, torch {}", raw.transformers, raw.torch);
        Ok(Self { folder, images, cases: raw.cases, origin })
    }

    /// The names of its cases.
    pub(super) fn cases(&self) -> impl Iterator<Item = &str> {
        self.cases.keys().map(String::as_str)
    }

    /// Reads one of its cases.
    pub(super) fn read(&self, case: &str) -> Result<Case, Error> {
        let raw = self.cases[case].clone();
        let pictures =
            raw.images.iter().map(|name| self.picture(name)).collect::<Result<_, _>>()?;
        let file = self.folder.join(format!("{}.safetensors", plain(case)?));
        let bytes = read(&file)?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|source| ReferenceError::Tensors { file, source })?;
        let recorded = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            Some((name, decode(view.dtype(), view.data())?))
        };
        let tensors = tensors.tensors().into_iter().filter_map(recorded).collect();
        Ok(Case { raw, pictures, tensors })
    }

    fn picture(&self, name: &str) -> Result<Picture, Error> {
        let file = format!("{}.png", plain(name)?);
        let found = self.images.iter().map(|folder| folder.join(&file)).find(|path| path.is_file());
        let path = found.ok_or_else(|| {
            let folders: Vec<String> =
                self.images.iter().map(|folder| format!("`{}`", folder.display())).collect();
            ReferenceError::NoPicture { name: name.to_owned(), searched: folders.join(", ") }
        })?;
        Picture::decode(&read(&path)?, &PictureLimits::default())
            .map_err(|source| Error::Picture { path, source })
    }
}

impl Case {
    /// The question as it was asked.
    pub(super) fn question(&self) -> Question {
        let question = Question::new(self.raw.question.clone());
        let question = self.pictures.iter().cloned().fold(question, Question::picture);
        match self.setting().max_tiles {
            Some(max_tiles) => question.max_tiles(max_tiles),
            None => question,
        }
    }

    /// How its pictures were prepared.
    pub(super) fn setting(&self) -> Setting {
        let whole = self.raw.options.do_image_splitting == Some(false);
        let max_tiles = whole.then_some(NonZeroUsize::MIN);
        Setting { pictures: self.pictures.len(), max_tiles }
    }

    pub(super) fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.tensors.get(name)? {
            Recorded::Floats(values) => Some(values),
            Recorded::Ids(_) | Recorded::Bytes(_) => None,
        }
    }

    pub(super) fn ids(&self, name: &str) -> Option<&[u32]> {
        match self.tensors.get(name)? {
            Recorded::Ids(values) => Some(values),
            Recorded::Floats(_) | Recorded::Bytes(_) => None,
        }
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.tensors.get(name)? {
            Recorded::Bytes(values) => Some(values),
            Recorded::Floats(_) | Recorded::Ids(_) => None,
        }
    }

    /// The last layer of the vision encoder is recorded as that, without its number.
    pub(super) fn under_another_name(&self, name: &str, seams: &[Activation]) -> Option<&[f32]> {
        let mut layers = seams.iter().filter(|seam| seam.name.starts_with("vision_layer_"));
        let last = layers.next_back().is_some_and(|last| last.name == name);
        if last { self.floats("vision_last_layer") } else { None }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ReferenceError> {
    let io = |source| ReferenceError::Io { file: file.to_owned(), source };
    if std::fs::metadata(file).map_err(io)?.len() > MAX_BYTES {
        return Err(ReferenceError::TooLarge { file: file.to_owned() });
    }
    std::fs::read(file).map_err(io)
}

/// A name that stays in its folder.
fn plain(name: &str) -> Result<&str, ReferenceError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !name.is_empty() && name.chars().all(allowed) {
        true => Ok(name),
        false => Err(ReferenceError::Name { name: name.to_owned() }),
    }
}

/// What is compared; other formats are not recorded.
fn decode(dtype: Dtype, data: &[u8]) -> Option<Recorded> {
    match dtype {
        Dtype::F32 => Some(Recorded::Floats(
            data.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect(),
        )),
        Dtype::I64 => {
            let id = |&word: &[u8; 8]| u32::try_from(i64::from_le_bytes(word)).ok();
            data.as_chunks().0.iter().map(id).collect::<Option<_>>().map(Recorded::Ids)
        }
        Dtype::U8 => Some(Recorded::Bytes(data.to_vec())),
        _ => None,
    }
}
