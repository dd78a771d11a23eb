//! The frozen teacher of the alignment loss: which patches a word is about, learned from whole
//! pictures and their captions.
//!
//! A map of raw patches and a vector a word, trained by contrast between the pictures and captions
//! of a batch: a caption fits a picture as well as each of its words fits its best patches. No
//! patch is ever labelled, no question and no answer is seen. Where a checkpoint of CLIP is given,
//! [that](super::ClipTeacher) is the teacher.

use super::world::World;
use crate::error::TrainError;
use crate::optimizer::{self, FlatAdamW, Settings};
use crate::vocabulary::Vocabulary;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use std::collections::BTreeSet;
use visor_model::init::Noise;
use visor_model::linear::{Bias, Linear};
use visor_model::weights;
use visor_tasks::{Sample, Split};

/// Width of the space in which patches and words meet.
const WIDTH: usize = 32;
/// Pictures that are told apart in a step.
const BATCH: usize = 96;
/// Steps of its training.
pub(super) const STEPS: u64 = 500;
/// Sharpness of the best patch of a word, and of the contrast.
const SHARPNESS: f64 = 10.0;

#[derive(Module, Debug)]
struct Towers {
    patch_1: Linear,
    patch_2: Linear,
    words: Linear,
}

/// Says which patches a question is about; frozen.
pub trait Relevance {
    /// What each question, given by its picture and the ids of its words, is about: a distribution
    /// over the patches of the picture, `[Q, V]`, and by question 1 where anything is known of it,
    /// else 0.
    ///
    /// # Errors
    /// Of a question that cannot be read.
    fn relevance(
        &self,
        samples: &[Sample],
        questions: &[(usize, Vec<u32>)],
    ) -> Result<(Vec<f32>, Vec<f32>), TrainError>;
}

/// A trained teacher.
#[derive(Debug)]
pub struct Teacher {
    towers: Towers,
    patch: usize,
    /// Ids of the words that captions have.
    known: BTreeSet<u32>,
    device: Device,
}

impl Towers {
    fn new(values: usize, vocab: usize, device: &Device) -> Self {
        Self {
            patch_1: Linear::new(values, 3 * WIDTH, Bias::With, device),
            patch_2: Linear::new(3 * WIDTH, WIDTH, Bias::With, device),
            words: Linear::new(WIDTH, vocab, Bias::Without, device),
        }
    }

    /// How well every word fits every patch, from -1 to 1: `[B, V, values]` to `[B, V, vocab]`.
    fn fits(&self, patches: Tensor<3>) -> Tensor<3> {
        let hidden = activation::gelu(self.patch_1.forward(patches));
        let patches = unit(self.patch_2.forward(hidden)); // [B, V, W]
        let [b, v, w] = patches.dims();
        let words = self.words.weight.parameter().expect("what is trained is never packed");
        let words = unit(words.val()); // [vocab, W]
        let [vocab, _] = words.dims();
        patches.reshape([b * v, w]).matmul(words.transpose()).reshape([b, v, vocab])
    }

    /// How well the captions `[C, vocab]`, whose rows sum to 1, fit the pictures: `[B, C]`.
    fn match_captions(&self, patches: Tensor<3>, captions: Tensor<2>) -> Tensor<2> {
        let fits = self.fits(patches); // [B, V, vocab]
        let [b, v, vocab] = fits.dims();
        let best = (fits * SHARPNESS).exp().sum_dim(1).log() / SHARPNESS; // [B, 1, vocab]
        let best = best - (v as f64).ln() / SHARPNESS;
        best.reshape([b, vocab]).matmul(captions.transpose())
    }
}

/// Vectors of length 1 along the last axis.
fn unit<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    let norm = (x.clone().square().sum_dim(R - 1) + 1e-8).sqrt();
    x / norm
}

impl Teacher {
    /// Trains a teacher on the training pictures of a world. `device` must be one that tracks
    /// gradients.
    ///
    /// # Errors
    /// Of a word that the vocabulary lacks, or a loss that is no number.
    pub fn train(
        world: &World<'_>,
        seed: u64,
        steps: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let World { suite, mixture, vocabulary, .. } = world;
        let values = 3 * suite.patch() * suite.patch();
        let towers = Towers::new(values, vocabulary.len(), device);
        let mut towers = weights::fill(towers, device, &mut |name, shape| {
            let spread = match *shape {
                [_, d_in] => (d_in as f32).powf(-0.5),
                _ => 0.0,
            };
            Ok(Noise::new(seed, &format!("teacher.{name}")).normal(shape.iter().product(), spread))
        })?;
        let settings = Settings { beta_1: 0.9, beta_2: 0.98, clip: 1.0 };
        let mut optimizer = FlatAdamW::new(&towers, settings);
        let mut known = BTreeSet::new();
        for step in 0..steps {
            let samples: Vec<Sample> = (0..BATCH as u64)
                .map(|i| {
                    let index = step * BATCH as u64 + i;
                    // Apart from the pictures that selectors and backbones are trained on.
                    let seed = (seed << 40 | index) ^ (1 << 63);
                    suite.sample(Split::Train, mixture.pick(index), seed)
                })
                .collect();
            let captions = Captions::new(&samples, vocabulary, &mut known, device)?;
            let patches = patches(&samples, suite.patch(), device);
            let scores = towers.match_captions(patches, captions.bags) * SHARPNESS * 2.0; // [B, B]
            let loss = contrast(scores.clone()) + contrast(scores.transpose());
            let value = loss.clone().detach().into_scalar::<f32>();
            if !value.is_finite() {
                let pass = "teacher".to_owned();
                return Err(TrainError::NonFinite { step: step + 1, pass, loss: value });
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &towers);
            let gradient = optimizer.flatten(&towers, gradients);
            let left = 1.0 - step as f64 / steps as f64;
            (towers, _) = optimizer.step(towers, gradient, 3e-3 * left);
        }
        let plain = device.clone().inner();
        let towers = optimizer::plain(towers);
        Ok(Self { towers, patch: suite.patch(), known, device: plain })
    }
}

impl Relevance for Teacher {
    /// Nothing is known of a question whose words no caption has.
    fn relevance(
        &self,
        samples: &[Sample],
        questions: &[(usize, Vec<u32>)],
    ) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
        let fits = self.towers.fits(patches(samples, self.patch, &self.device)); // [B, V, vocab]
        let [_, v, vocab] = fits.dims();
        let fits: Vec<f32> = fits.into_data().iter::<f32>().collect();
        let (mut relevance, mut knows) = (Vec::new(), Vec::new());
        for (picture, words) in questions {
            let words: Vec<u32> =
                words.iter().copied().filter(|word| self.known.contains(word)).collect();
            let fit = |patch: usize| {
                let of_patch = &fits[(picture * v + patch) * vocab..][..vocab];
                let sum: f32 = words.iter().map(|&word| of_patch[word as usize]).sum();
                (SHARPNESS as f32 * sum / words.len().max(1) as f32).exp()
            };
            let all: Vec<f32> = (0..v).map(fit).collect();
            let sum: f32 = all.iter().sum();
            relevance.extend(all.into_iter().map(|fit| fit / sum));
            knows.push(if words.is_empty() { 0.0 } else { 1.0 });
        }
        Ok((relevance, knows))
    }
}

/// Cross-entropy of finding the own one among all: rows of `[B, B]`.
fn contrast(scores: Tensor<2>) -> Tensor<1> {
    let [b, _] = scores.dims();
    let own: Vec<i64> = (0..b as i64).collect();
    let own: Tensor<2, Int> = Tensor::from_data(TensorData::new(own, [b, 1]), &scores.device());
    -activation::log_softmax(scores, 1).gather(1, own).mean()
}

struct Captions {
    /// `[B, vocab]`, rows summing to 1.
    bags: Tensor<2>,
}

impl Captions {
    fn new(
        samples: &[Sample],
        vocabulary: &Vocabulary,
        known: &mut BTreeSet<u32>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let vocab = vocabulary.len();
        let mut bags = vec![0.0_f32; samples.len() * vocab];
        for (sample, bag) in samples.iter().zip(bags.chunks_mut(vocab)) {
            let words = vocabulary.encode(&sample.caption)?;
            for &word in &words {
                bag[word as usize] += 1.0 / words.len() as f32;
                known.insert(word);
            }
        }
        let bags = Tensor::from_data(TensorData::new(bags, [samples.len(), vocab]), device);
        Ok(Self { bags })
    }
}

/// The raw patches of pictures, `[B, V, 3 * side * side]`, from 0 to 1.
fn patches(samples: &[Sample], side: usize, device: &Device) -> Tensor<3> {
    let canvas = samples.first().map_or(0, |sample| sample.picture.size);
    let grid = canvas / side;
    let values = 3 * side * side;
    let mut all = Vec::with_capacity(samples.len() * grid * grid * values);
    for sample in samples {
        for patch in 0..grid * grid {
            let (top, left) = (patch / grid * side, patch % grid * side);
            for y in top..top + side {
                let row = &sample.picture.rgb[3 * (y * canvas + left)..][..3 * side];
                all.extend(row.iter().map(|&value| f32::from(value) / 255.0));
            }
        }
    }
    Tensor::from_data(TensorData::new(all, [samples.len(), grid * grid, values]), device)
}
