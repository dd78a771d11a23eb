//! A folder of recordings: what was asked, and every tensor that came of it.

use super::measure::Recorded;
use crate::error::Error;
use crate::question::Question;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use thiserror::Error as ThisError;
use visor_checkpoint::Dtype as OfWeights;
use visor_model::Activation;
use visor_processor::{Picture, PictureLimits, Setting};

/// Larger recordings are not read.
const MAX_BYTES: u64 = 1 << 30;

/// The recorded answer.
pub(super) const ANSWER: &str = "generated_ids";

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
    /// A tensor of a known name holds something else than what is compared under it.
    #[error("`{tensor}` of case `{case}` is {found}: expected {expected}")]
    Format {
        /// The case.
        case: String,
        /// The tensor.
        tensor: String,
        /// Its number format.
        found: String,
        /// What could be compared.
        expected: &'static str,
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
    new_tokens: Option<usize>,
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
    /// How many tokens were asked for, where it says so.
    new_tokens: Option<usize>,
}

/// A tensor of a recording.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// One case, with its pictures in memory and those of its tensors that nobody has taken yet.
pub(super) struct Case {
    name: String,
    raw: RawCase,
    pub(super) pictures: Vec<Picture>,
    tensors: BTreeMap<String, Stored>,
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
        Ok(Self { folder, images, cases: raw.cases, origin, new_tokens: raw.new_tokens })
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
        Ok(Case { name: case.to_owned(), raw, pictures, tensors: self.tensors(case)? })
    }

    fn tensors(&self, case: &str) -> Result<BTreeMap<String, Stored>, ReferenceError> {
        let file = self.folder.join(format!("{}.safetensors", plain(case)?));
        let bytes = read(&file)?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|source| ReferenceError::Tensors { file, source })?;
        let tensors = tensors.tensors().into_iter().map(|(name, view)| {
            let (dtype, shape, data) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            (name, Stored { dtype, shape, data })
        });
        Ok(tensors.collect())
    }

    /// How many tokens an answer has that no end token ends: as many as were asked for, or, where
    /// `cases.json` does not say how many those were, as the longest recorded one.
    pub(super) fn answer_length(&self) -> Result<usize, ReferenceError> {
        if let Some(asked) = self.new_tokens {
            return Ok(asked);
        }
        let length = |case| -> Result<usize, ReferenceError> {
            let tensors = self.tensors(case)?;
            Ok(tensors.get(ANSWER).map_or(0, |answer| answer.shape.iter().product()))
        };
        self.cases().try_fold(0, |longest, case| Ok(longest.max(length(case)?)))
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

    /// Takes a tensor of numbers, where it was recorded.
    pub(super) fn floats(&mut self, name: &str) -> Result<Option<Recorded<f32>>, ReferenceError> {
        self.take(name, "F32, F16 or BF16", |dtype, data| floats(dtype, &data))
    }

    /// Takes a tensor of ids, where it was recorded.
    pub(super) fn ids(&mut self, name: &str) -> Result<Option<Recorded<u32>>, ReferenceError> {
        self.take(name, "I64 or I32, from 0 to 4294967295", |dtype, data| ids(dtype, &data))
    }

    /// Takes a tensor of levels, where it was recorded.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Recorded<u8>>, ReferenceError> {
        self.take(name, "U8", |dtype, data| (dtype == Dtype::U8).then_some(data))
    }

    fn take<T>(
        &mut self,
        tensor: &str,
        expected: &'static str,
        read: impl FnOnce(Dtype, Vec<u8>) -> Option<Vec<T>>,
    ) -> Result<Option<Recorded<T>>, ReferenceError> {
        let Some(Stored { dtype, shape, data }) = self.tensors.remove(tensor) else {
            return Ok(None);
        };
        let (case, tensor, found) = (self.name.clone(), tensor.to_owned(), dtype.to_string());
        let unreadable = ReferenceError::Format { case, tensor, found, expected };
        let values = read(dtype, data).ok_or(unreadable)?;
        Ok(Some(Recorded { shape, values }))
    }

    /// The tensors that nobody has taken.
    pub(super) fn left(self) -> impl Iterator<Item = String> {
        self.tensors.into_keys()
    }

    /// Takes what came of a seam. The last layer of the vision encoder may be recorded as that,
    /// without its number.
    pub(super) fn seam(
        &mut self,
        name: &str,
        seams: &[Activation],
    ) -> Result<Option<Recorded<f32>>, ReferenceError> {
        let mut layers = seams.iter().filter(|seam| seam.name.starts_with("vision_layer_"));
        let last = layers.next_back().is_some_and(|last| last.name == name);
        match self.floats(name)? {
            None if last => self.floats("vision_last_layer"),
            recorded => Ok(recorded),
        }
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

fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let stored = match dtype {
        Dtype::F32 => OfWeights::F32,
        Dtype::F16 => OfWeights::F16,
        Dtype::BF16 => OfWeights::BF16,
        _ => return None,
    };
    let mut values = Vec::new();
    stored.decode(data, &mut values);
    Some(values)
}

fn ids(dtype: Dtype, data: &[u8]) -> Option<Vec<u32>> {
    let long = |&word: &[u8; 8]| u32::try_from(i64::from_le_bytes(word)).ok();
    let short = |&word: &[u8; 4]| u32::try_from(i32::from_le_bytes(word)).ok();
    match dtype {
        Dtype::I64 => data.as_chunks().0.iter().map(long).collect(),
        Dtype::I32 => data.as_chunks().0.iter().map(short).collect(),
        _ => None,
    }
}
