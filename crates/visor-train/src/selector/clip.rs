//! A CLIP checkpoint as the frozen teacher of the alignment loss (method, section 5): which patches
//! of a picture a question is about, by the angle between the question and each patch in CLIP's
//! common space.
//!
//! CLIP's last state of a patch, normalised and mapped as its picture is, stands for the patch. Its
//! grid is another one than the model's: a visual token takes the patch in which its middle lies.

use super::teacher::Relevance;
use super::world::World;
use crate::error::TrainError;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::path::Path;
use visor_checkpoint::{Checkpoint, Sha256Sum, Source, Weights};
use visor_model::clip::{Clip, ClipConfig, unit};
use visor_model::{ModelError, VisorModel};
use visor_processor::{Filter, ImageProcessor, Normalization, Picture, Tokenizer};
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
    /// The words of the world, by id.
    words: Vec<String>,
    /// Visual tokens of the model: rows and columns.
    grid: [NonZeroUsize; 2],
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
    /// Loads a stock checkpoint of CLIP, to teach the selector of `model` in `world`.
    ///
    /// # Errors
    /// Of files that are missing, damaged or of another family, or of a model without pictures.
    pub fn load(folder: &Path, model: &VisorModel, world: &World<'_>) -> Result<Self, TrainError> {
        let device = model.device();
        let folder = &Source::Folder(folder.to_owned());
        let digest = Checkpoint::open(folder.clone())?.digest()?;
        let read = |file| folder.read(file, MAX_FILE);
        let config = ClipConfig::parse(&read("config.json")?).map_err(ModelError::from)?;
        let clip = Clip::load(config, Weights::open(folder)?, device)?;
        let tokenizer = Tokenizer::from_bytes(&read("tokenizer.json")?)
            .map_err(|because| TrainError::Teacher { because: because.to_string() })?;
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
        let tokens = model.card().tile_tokens;
        let grid = [NonZeroUsize::new(tokens.rows), NonZeroUsize::new(tokens.cols)];
        let [Some(rows), Some(columns)] = grid else { return Err(TrainError::NoReader) };
        Ok(Self {
            clip,
            tokenizer,
            processor,
            words: world.vocabulary.words().to_vec(),
            grid: [rows, columns],
            device: device.clone(),
            digest,
        })
    }

    /// The digest of the checkpoint.
    pub fn digest(&self) -> Sha256Sum {
        self.digest
    }

    /// The pictures' patches in the common space, `[B, P, J]`, of length 1.
    fn patches(&self, samples: &[Sample]) -> Result<Tensor<3>, TrainError> {
        let side = self.clip.config().image_size;
        let mut pixels = Vec::with_capacity(samples.len() * 3 * side * side);
        for sample in samples {
            let size = sample.picture.size as u32;
            let picture = Picture::from_rgb(size, size, sample.picture.rgb.clone())?;
            let processed = self
                .processor
                .process(&picture)
                .map_err(|because| TrainError::Teacher { because: because.to_string() })?;
            pixels.extend_from_slice(processed.pixels.data());
        }
        let pixels = TensorData::new(pixels, [samples.len(), 3, side, side]);
        let pictures = self.clip.pictures(Tensor::from_data(pixels, &self.device))?;
        Ok(unit(pictures.patches))
    }

    /// The questions in the common space, `[Q, J]`, of length 1. Shorter ones are filled up behind
    /// their end, where nothing of them looks.
    fn questions(&self, questions: &[(usize, Vec<u32>)]) -> Result<Tensor<2>, TrainError> {
        let text = |ids: &[u32]| {
            let word = |&id: &u32| self.words.get(id as usize).map_or("", String::as_str);
            ids.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        let ids = questions.iter().map(|(_, ids)| {
            let ids = self.tokenizer.encode_whole(&text(ids));
            ids.map_err(|because| TrainError::Teacher { because: because.to_string() })
        });
        let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
        let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
        for ids in &mut ids {
            let end = ids.last().copied().unwrap_or(0);
            ids.resize(longest, end);
        }
        Ok(unit(self.clip.texts(&ids)?))
    }
}

impl Relevance for ClipTeacher {
    fn relevance(
        &self,
        samples: &[Sample],
        questions: &[(usize, Vec<u32>)],
    ) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
        let patches = self.patches(samples)?; // [B, P, J]
        let [_, n_patches, width] = patches.dims();
        let patches: Vec<f32> = patches.into_data().iter::<f32>().collect();
        let texts: Vec<f32> = self.questions(questions)?.into_data().iter::<f32>().collect();
        let side = self.clip.config().grid();
        let [rows, columns] = self.grid.map(NonZeroUsize::get);
        let mut relevance = Vec::with_capacity(questions.len() * rows * columns);
        for ((picture, _), text) in questions.iter().zip(texts.chunks(width)) {
            let of_picture = &patches[picture * n_patches * width..][..n_patches * width];
            let fit = |patch: usize| {
                let patch = &of_picture[patch * width..][..width];
                let cosine: f32 = patch.iter().zip(text).map(|(a, b)| a * b).sum();
                (SHARPNESS * cosine).exp()
            };
            let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
            let all: Vec<f32> = places
                .map(|(row, column)| {
                    fit(nearest(row, rows, side) * side + nearest(column, columns, side))
                })
                .collect();
            let sum: f32 = all.iter().sum();
            relevance.extend(all.into_iter().map(|fit| fit / sum));
        }
        Ok((relevance, vec![1.0; questions.len()]))
    }
}

impl std::fmt::Debug for ClipTeacher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClipTeacher").field("config", self.clip.config()).finish_non_exhaustive()
    }
}

/// Of `side` places in a row, the one in which the middle of place `at` of `n` lies.
fn nearest(at: usize, n: usize, side: usize) -> usize {
    (2 * at + 1) * side / (2 * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_takes_the_patch_in_which_its_middle_lies() {
        let places = |n, side| (0..n).map(|at| nearest(at, n, side)).collect::<Vec<_>>();
        assert_eq!(places(6, 3), [0, 0, 1, 1, 2, 2]);
        assert_eq!(places(3, 6), [1, 3, 5]);
        assert_eq!(places(6, 7), [0, 1, 2, 4, 5, 6]);
        assert_eq!(places(4, 4), [0, 1, 2, 3]);
    }
}
