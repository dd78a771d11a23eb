//! A CLIP checkpoint as the frozen teacher of the alignment loss (method, section 5): which patches
//! of a picture a question is about, by the angle between the question and each patch in CLIP's
//! common space.
//!
//! CLIP's last state of a patch, normalised and mapped as its picture is, stands for the patch. Its
//! grid is another one than the model's: a visual token takes the patch in which its middle lies. The
//! picture is stretched to CLIP's square, where CLIP's own preparation would leave out what is beyond
//! the square in its middle, so that every part of it has a patch.

use super::gaze::{distribution, gaze};
use super::teacher::Relevance;
use super::world::World;
use crate::error::TrainError;
use crate::tuning::{Feature, Features, Material, Rows, Shown};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use std::path::Path;
use visor_checkpoint::{Checkpoint, Sha256Sum, Source, Weights};
use visor_model::ModelError;
use visor_model::clip::{Clip, ClipConfig, unit};
use visor_processor::{
    Arrangement, Filter, ImageProcessor, ImageTokens, Normalization, Picture, PixelSize, Tokenizer,
};
use visor_runtime::Backbone;
use visor_tasks::Sample;

/// Larger files are no configuration or tokenizer.
const MAX_FILE: u64 = 64 << 20;

/// How sharply the best patch stands out.
const SHARPNESS: f32 = 10.0;

/// The number that `transformers` gives bicubic resampling.
const BICUBIC: u32 = 3;

/// A CLIP checkpoint with its tokenizer and preparation of pictures.
pub struct ClipTeacher {
    clip: Clip,
    tokenizer: Tokenizer,
    processor: ImageProcessor,
    device: Device,
    digest: Sha256Sum,
}

/// What counts of `preprocessor_config.json`, with the defaults of `CLIPImageProcessor`.
#[derive(Deserialize)]
#[serde(default)]
struct RawProcessor {
    image_mean: [f32; 3],
    image_std: [f32; 3],
    resample: u32,
    rescale_factor: f64,
}

impl Default for RawProcessor {
    fn default() -> Self {
        Self {
            // The published numbers, in single precision.
            image_mean: [0.481_454_67, 0.457_827_5, 0.408_210_72],
            image_std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
            resample: BICUBIC,
            rescale_factor: 1.0 / 255.0,
        }
    }
}

impl ClipTeacher {
    /// Loads a stock checkpoint of CLIP.
    ///
    /// # Errors
    /// Of files that are missing, damaged or of another family.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, TrainError> {
        let folder = &Source::Folder(folder.to_owned());
        let digest = Checkpoint::open(folder.clone())?.digest()?;
        let read = |file| folder.read(file, MAX_FILE);
        let config = ClipConfig::parse(&read("config.json")?).map_err(ModelError::from)?;
        let clip = Clip::load(config, Weights::open(folder)?, device)?;
        let tokenizer = Tokenizer::from_bytes(&read("tokenizer.json")?).map_err(cannot)?;
        let raw: RawProcessor = match folder.exists("preprocessor_config.json") {
            false => RawProcessor::default(),
            true => {
                serde_json::from_slice(&read("preprocessor_config.json")?).map_err(|error| {
                    TrainError::Teacher { because: format!("preprocessor_config.json: {error}") }
                })?
            }
        };
        if raw.resample != BICUBIC {
            let because =
                format!("resample = {} is not supported; expected {BICUBIC}", raw.resample);
            return Err(TrainError::Teacher { because });
        }
        let RawProcessor { image_mean: mean, image_std: std, rescale_factor: rescale, .. } = raw;
        let processor = ImageProcessor::Whole {
            size: config.image_size as u32,
            filter: Filter::Bicubic,
            normalization: Normalization { mean, std, rescale },
        };
        Ok(Self { clip, tokenizer, processor, device: device.clone(), digest })
    }

    /// The digest of the checkpoint.
    pub fn digest(&self) -> Sha256Sum {
        self.digest
    }

    /// The ids of a question, or why it cannot be read.
    pub(crate) fn ids(&self, question: &str) -> Result<Vec<u32>, String> {
        let ids = self.tokenizer.encode_whole(question).map_err(|error| error.to_string())?;
        match (ids.len(), self.clip.config().max_text) {
            (n, most) if n > most => Err(format!(
                "the question has {n} tokens in the teacher's words, and it reads {most} at most: \
                 shorten the question, or leave out the teacher"
            )),
            _ => Ok(ids),
        }
    }

    /// The pictures' patches in the common space, `[B, P, J]`, of length 1.
    fn patches(&self, pictures: &[Picture]) -> Result<Tensor<3>, TrainError> {
        let side = self.clip.config().image_size;
        let mut pixels = Vec::with_capacity(pictures.len() * 3 * side * side);
        for picture in pictures {
            let processed = self.processor.process(picture).map_err(cannot)?;
            pixels.extend_from_slice(processed.pixels.data());
        }
        let pixels = TensorData::new(pixels, [pictures.len(), 3, side, side]);
        let pictures = self.clip.pictures(Tensor::from_data(pixels, &self.device))?;
        Ok(unit(pictures.patches))
    }

    /// The questions in the common space, of length 1: `J` numbers each. Shorter ones are filled up
    /// behind their end, where nothing of them looks.
    fn texts(&self, questions: &[String]) -> Result<Vec<Vec<f32>>, TrainError> {
        let ids = questions.iter().map(|question| self.ids(question).map_err(cannot));
        let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
        let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
        for ids in &mut ids {
            let end = ids.last().copied().unwrap_or(0);
            ids.resize(longest, end);
        }
        let texts = unit(self.clip.texts(&ids)?);
        let [_, width] = texts.dims();
        let texts: Vec<f32> = texts.into_data().iter::<f32>().collect();
        Ok(texts.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
    }

    /// Cosines of a text with what the visual tokens of a picture look at, whose patches are given,
    /// `J` numbers each.
    fn cosines(gaze: &[Option<usize>], patches: &[f32], text: &[f32]) -> Vec<Option<f32>> {
        let cosine = |patch: usize| {
            let patch = &patches[patch * text.len()..][..text.len()];
            patch.iter().zip(text).map(|(a, b)| a * b).sum()
        };
        gaze.iter().map(|patch| patch.map(cosine)).collect()
    }

    /// What the question of each row is about: a distribution over the visual tokens of all its
    /// pictures, `[B, V]`. What CLIP makes of a picture is kept with the other features of it.
    ///
    /// # Errors
    /// If a picture or a question cannot be read, or a feature cannot be kept.
    pub(super) fn of_rows(
        &self,
        rows: &Rows,
        material: &Material,
        tile: ImageTokens,
        features: Option<&Features>,
    ) -> Result<Vec<f32>, TrainError> {
        let side = self.clip.config().grid();
        let mut relevance = Vec::new();
        // Rows have equally many pictures.
        let shown = rows.pictures.chunks((rows.pictures.len() / rows.n.max(1)).max(1));
        for (text, shown) in self.texts(&rows.words)?.iter().zip(shown) {
            let mut cosines = Vec::new();
            for &(shown, _) in shown {
                let patches = self.feature(shown, material, features)?;
                let gaze = gaze(shown.arrangement, tile, material.file(shown).size, side);
                cosines.extend(Self::cosines(&gaze, &patches.values, text));
            }
            relevance.extend(distribution(&cosines, SHARPNESS));
        }
        Ok(relevance)
    }

    /// The patches of a picture in the common space, `[1, P, J]`.
    fn feature(
        &self,
        shown: Shown,
        material: &Material,
        features: Option<&Features>,
    ) -> Result<Feature, TrainError> {
        let kept = features.map(|features| {
            let by = format!("patches of CLIP {}", self.digest);
            (features, features.key(&material.file(shown).sha256, &by))
        });
        if let Some((features, key)) = &kept
            && let Some(feature) = features.get(key)?
        {
            return Ok(feature);
        }
        let patches = self.patches(&[material.picture(shown)?])?;
        let shape = patches.dims();
        let feature = Feature { shape, values: patches.into_data().iter::<f32>().collect() };
        if let Some((features, key)) = &kept {
            features.put(key, &feature)?;
        }
        Ok(feature)
    }
}

/// CLIP as the teacher of a generated world.
pub(super) struct InWorld<'a> {
    pub(super) clip: &'a ClipTeacher,
    pub(super) world: &'a World<'a>,
}

impl Relevance for InWorld<'_> {
    fn relevance(
        &self,
        samples: &[Sample],
        questions: &[(usize, Vec<u32>)],
    ) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
        let Self { clip, world } = self;
        let picture = |sample: &Sample| {
            let size = sample.picture.size as u32;
            Ok(Picture::from_rgb(size, size, sample.picture.rgb.clone())?)
        };
        let pictures = samples.iter().map(picture).collect::<Result<Vec<_>, TrainError>>()?;
        let patches = clip.patches(&pictures)?; // [B, P, J]
        let [_, n_patches, width] = patches.dims();
        let patches: Vec<f32> = patches.into_data().iter::<f32>().collect();
        let words = world.vocabulary.words();
        let text = |(_, ids): &(usize, Vec<u32>)| {
            let word = |&id: &u32| words.get(id as usize).map_or("", String::as_str);
            ids.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        let texts = clip.texts(&questions.iter().map(text).collect::<Vec<_>>())?;
        let side = world.suite.canvas() as u32;
        let size = PixelSize { width: side, height: side };
        let tile = world.model.card().tile_tokens;
        let gaze = gaze(Arrangement::Whole, tile, size, clip.clip.config().grid());
        let mut relevance = Vec::with_capacity(questions.len() * gaze.len());
        for ((picture, _), text) in questions.iter().zip(&texts) {
            let of_picture = &patches[picture * n_patches * width..][..n_patches * width];
            let cosines = ClipTeacher::cosines(&gaze, of_picture, text);
            relevance.extend(distribution(&cosines, SHARPNESS));
        }
        Ok((relevance, vec![1.0; questions.len()]))
    }
}

impl std::fmt::Debug for ClipTeacher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClipTeacher").field("config", self.clip.config()).finish_non_exhaustive()
    }
}

fn cannot(because: impl std::fmt::Display) -> TrainError {
    TrainError::Teacher { because: because.to_string() }
}
