//! CLIP (Radford et al. 2021): pictures and texts in one space, as the frozen teacher of a patch
//! selector (method, section 5). After `modeling_clip.py` of transformers 5.23; parameters have the
//! names of its checkpoints.

mod config;
mod tower;

pub use config::{ClipActivation, ClipConfig, EndOfText, TowerConfig};

use crate::error::ModelError;
use crate::linear::{Bias, Linear};
use crate::norm::LayerNorm;
use crate::weights::{self, zeros};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use tower::Tower;
use visor_checkpoint::Weights;

/// Positions as older files have them: numbers from 0 up.
const POSITION_IDS: [&str; 2] =
    ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"];

/// Added where a token must not look.
const NEVER: f32 = -1e9;

#[derive(Module, Debug)]
struct Table {
    /// `[rows, E]`.
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct TextEmbeddings {
    token_embedding: Table,
    position_embedding: Table,
}

#[derive(Module, Debug)]
struct TextModel {
    embeddings: TextEmbeddings,
    encoder: Tower,
    final_layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct PatchEmbedding {
    /// `[E, 3, side, side]`.
    weight: Param<Tensor<4>>,
}

#[derive(Module, Debug)]
struct VisionEmbeddings {
    /// `[E]`.
    class_embedding: Param<Tensor<1>>,
    patch_embedding: PatchEmbedding,
    position_embedding: Table,
}

#[derive(Module, Debug)]
struct VisionModel {
    embeddings: VisionEmbeddings,
    /// Spelled as in the files.
    pre_layrnorm: LayerNorm,
    encoder: Tower,
    post_layernorm: LayerNorm,
}

/// Both towers and their maps into the common space.
#[derive(Module, Debug)]
pub struct Clip {
    text_model: TextModel,
    vision_model: VisionModel,
    visual_projection: Linear,
    text_projection: Linear,
    /// Logarithm of how sharply a picture and a text that fit are told from others, `[1]`.
    logit_scale: Param<Tensor<1>>,
    #[module(skip)]
    config: ClipConfig,
}

/// A picture in the common space.
#[derive(Clone, Debug)]
pub struct ClipPictures {
    /// The pictures as a whole, `[B, J]`.
    pub whole: Tensor<2>,
    /// Their patches, `[B, P, J]`: the last state of each, normalised and mapped as the whole is.
    pub patches: Tensor<3>,
}

impl Clip {
    /// A model to be filled.
    pub fn new(config: ClipConfig, device: &Device) -> Self {
        let ClipConfig { text, vision, d_joint, .. } = config;
        let table = |rows, width| Table { weight: zeros([rows, width], device) };
        let (side, n_patches) = (config.patch_size, config.grid().pow(2));
        Self {
            text_model: TextModel {
                embeddings: TextEmbeddings {
                    token_embedding: table(config.vocab, text.d_model),
                    position_embedding: table(config.max_text, text.d_model),
                },
                encoder: Tower::new(&text, device),
                final_layer_norm: LayerNorm::new(text.d_model, text.eps, device),
            },
            vision_model: VisionModel {
                embeddings: VisionEmbeddings {
                    class_embedding: zeros([vision.d_model], device),
                    patch_embedding: PatchEmbedding {
                        weight: zeros([vision.d_model, 3, side, side], device),
                    },
                    position_embedding: table(n_patches + 1, vision.d_model),
                },
                pre_layrnorm: LayerNorm::new(vision.d_model, vision.eps, device),
                encoder: Tower::new(&vision, device),
                post_layernorm: LayerNorm::new(vision.d_model, vision.eps, device),
            },
            visual_projection: Linear::new(vision.d_model, d_joint, Bias::Without, device),
            text_projection: Linear::new(text.d_model, d_joint, Bias::Without, device),
            logit_scale: zeros([1], device),
            config,
        }
    }

    /// Fills a model from the weights of a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape, or that nobody takes.
    pub fn load(
        config: ClipConfig,
        mut weights: Weights,
        device: &Device,
    ) -> Result<Self, ModelError> {
        for name in POSITION_IDS {
            weights.ignore(name, "positions are counted");
        }
        let model = weights::fill(Self::new(config, device), device, &mut |name, shape| {
            // A scalar in the files.
            let shape = if name == "logit_scale" { &[] } else { shape };
            Ok(weights.take(name, shape)?)
        })?;
        weights.finish()?;
        Ok(model)
    }

    /// Its sizes.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Texts of one length, begun and ended by their special tokens, in the common space: `[B, J]`.
    ///
    /// # Errors
    /// [`ModelError::TokenId`], [`ModelError::CacheFull`] of a text that is too long, and
    /// [`ModelError::NoEndOfText`].
    pub fn texts(&self, texts: &[Vec<u32>]) -> Result<Tensor<2>, ModelError> {
        self.observed_texts(texts, &mut |_, _| {})
    }

    /// The same, telling `observe` of the state behind each layer.
    ///
    /// # Errors
    /// As [`texts`](Self::texts).
    pub fn observed_texts(
        &self,
        texts: &[Vec<u32>],
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Result<Tensor<2>, ModelError> {
        let (b, t) = (texts.len(), texts.first().map_or(0, Vec::len));
        let ClipConfig { vocab, max_text: capacity, end, .. } = self.config;
        if t > capacity {
            return Err(ModelError::CacheFull { capacity, wanted: t });
        }
        if let Some(&id) = texts.iter().flatten().find(|id| **id as usize >= vocab) {
            return Err(ModelError::TokenId { id, vocab });
        }
        let device = self.logit_scale.lazy_device();
        let TextModel { embeddings, encoder, final_layer_norm } = &self.text_model;
        let ids: Vec<i64> = texts.iter().flatten().map(|&id| i64::from(id)).collect();
        let ids: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids, [b * t]), &device);
        let tokens = embeddings.token_embedding.weight.val().select(0, ids); // [B * T, E]
        let [_, e] = tokens.dims();
        let places = embeddings.position_embedding.weight.val().narrow(0, 0, t); // [T, E]
        let x = tokens.reshape([b, t, e]) + places.unsqueeze();
        let x = encoder.forward(x, Some(&causal(t, &device)), observe);
        let x = final_layer_norm.forward(x).reshape([b * t, e]);
        let ends = texts.iter().enumerate().map(|(row, ids)| {
            let place = place_of_end(ids, end).ok_or(ModelError::NoEndOfText)?;
            Ok((row * t + place) as i64)
        });
        let ends = ends.collect::<Result<Vec<i64>, ModelError>>()?;
        let ends: Tensor<1, Int> = Tensor::from_data(TensorData::new(ends, [b]), &device);
        Ok(self.text_projection.forward(x.select(0, ends))) // [B, J]
    }

    /// Pictures of the model's size, normalised, `[B, 3, side, side]`, in the common space.
    ///
    /// # Errors
    /// [`ModelError::TileSize`].
    pub fn pictures(&self, pixels: Tensor<4>) -> Result<ClipPictures, ModelError> {
        self.observed_pictures(pixels, &mut |_, _| {})
    }

    /// The same, telling `observe` of the state behind each layer, the whole first.
    ///
    /// # Errors
    /// As [`pictures`](Self::pictures).
    pub fn observed_pictures(
        &self,
        pixels: Tensor<4>,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Result<ClipPictures, ModelError> {
        let [_, _, height, width] = pixels.dims();
        let expected = self.config.image_size;
        if height != expected || width != expected {
            return Err(ModelError::TileSize { expected, height, width });
        }
        let VisionModel { embeddings, pre_layrnorm, encoder, post_layernorm } = &self.vision_model;
        let x = pre_layrnorm.forward(embeddings.forward(pixels, &self.config)); // [B, 1 + P, E]
        let x = post_layernorm.forward(encoder.forward(x, None, observe));
        let x = self.visual_projection.forward(x); // [B, 1 + P, J]
        let [b, rows, j] = x.dims();
        Ok(ClipPictures {
            whole: x.clone().narrow(1, 0, 1).reshape([b, j]),
            patches: x.narrow(1, 1, rows - 1),
        })
    }

    /// How well each text fits each picture: `[pictures, texts]`, sharpened as in training.
    pub fn fit(&self, pictures: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
        let scale = self.logit_scale.val().exp().unsqueeze(); // [1, 1]
        unit(pictures).matmul(unit(texts).transpose()) * scale
    }
}

impl VisionEmbeddings {
    /// A convolution whose stride is its kernel, as one matrix product over flattened patches, with
    /// the class token in front.
    fn forward(&self, pixels: Tensor<4>, config: &ClipConfig) -> Tensor<3> {
        let weight = self.patch_embedding.weight.val();
        let [b, channels, _, _] = pixels.dims();
        let (side, grid) = (config.patch_size, config.grid());
        let [e, _, _, _] = weight.dims();
        let (values, used) = (channels * side * side, grid * side);
        let patches = pixels
            .narrow(2, 0, used)
            .narrow(3, 0, used)
            .reshape([b, channels, grid, side, grid, side])
            .permute([0, 2, 4, 1, 3, 5]) // [B, grid, grid, channels, side, side]
            .reshape([b * grid * grid, values]);
        let x = patches.matmul(weight.reshape([e, values]).transpose()); // [B * P, E]
        let class = self.class_embedding.val().reshape([1, 1, e]).expand([b, 1, e]);
        let x = Tensor::cat(vec![class, x.reshape([b, grid * grid, e])], 1); // [B, 1 + P, E]
        x + self.position_embedding.weight.val().unsqueeze()
    }
}

/// Vectors of length 1 along the last axis.
pub fn unit<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    let norm = x.clone().square().sum_dim(R - 1).sqrt();
    x / norm
}

/// `[1, 1, T, T]`: 0 where a token may look.
fn causal(t: usize, device: &Device) -> Tensor<4> {
    let value = |i: usize| if i % t > i / t { NEVER } else { 0.0 };
    let values: Vec<f32> = (0..t * t).map(value).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, t, t]), device)
}

fn place_of_end(ids: &[u32], end: EndOfText) -> Option<usize> {
    let end = match end {
        EndOfText::Token(id) => id,
        EndOfText::Highest => *ids.iter().max()?,
    };
    ids.iter().position(|&id| id == end)
}
