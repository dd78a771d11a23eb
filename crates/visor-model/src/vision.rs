//! A SigLIP-type vision encoder of any depth, possibly none.

use crate::attention::{Heads, attend};
use crate::config::{PatchPositions, VisionConfig};
use crate::counter;
use crate::error::ModelError;
use crate::linear::{Bias, Linear};
use crate::mlp::VisionMlp;
use crate::norm::LayerNorm;
use crate::precision::ForEach;
use crate::weight::Role;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use visor_core::cost::matmul;

/// Patches to tokens.
#[derive(Module, Debug)]
struct PatchEmbedding {
    /// `[E, 3, side, side]`.
    weight: Param<Tensor<4>>,
    /// `[E]`.
    bias: Param<Tensor<1>>,
}

/// A learned vector a place.
#[derive(Module, Debug)]
struct PositionEmbedding {
    /// `[P, E]`.
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Embeddings {
    patch_embedding: PatchEmbedding,
    position_embedding: PositionEmbedding,
}

#[derive(Module, Debug)]
struct VisionAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

#[derive(Module, Debug)]
struct VisionLayer {
    layer_norm1: LayerNorm,
    self_attn: VisionAttention,
    layer_norm2: LayerNorm,
    mlp: VisionMlp,
}

#[derive(Module, Debug)]
struct Encoder {
    layers: Vec<VisionLayer>,
}

/// The vision encoder: pixels of a tile to patch tokens.
#[derive(Module, Debug)]
pub struct VisionEncoder {
    embeddings: Embeddings,
    encoder: Encoder,
    post_layernorm: Option<LayerNorm>,
    #[module(skip)]
    image_size: usize,
    #[module(skip)]
    patch_size: usize,
    #[module(skip)]
    positions: PatchPositions,
}

/// A place in the encoder whose values can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Patches with their positions.
    Embeddings,
    /// Behind this layer.
    Layer(usize),
    /// Behind the last norm, where there is one.
    PostNorm,
    /// Behind the connector, which is no part of the encoder.
    Connector,
}

/// Is told of the patch tokens at every seam; an error stops the pass.
pub type Observer<'a> = &'a mut dyn FnMut(Seam, &Tensor<3>) -> Result<(), ModelError>;

impl VisionEncoder {
    /// An encoder to be filled.
    pub fn new(config: &VisionConfig, device: &Device) -> Self {
        let &VisionConfig { d_model, patch_size, image_size, .. } = config;
        let norm = || LayerNorm::new(d_model, config.layer_norm_eps, device);
        let linear = || Linear::new(d_model, d_model, Bias::With, device);
        let heads = Heads {
            n_heads: config.n_heads,
            n_kv_heads: config.n_heads,
            head_dim: d_model / config.n_heads,
        };
        let layer = |_| VisionLayer {
            layer_norm1: norm(),
            self_attn: VisionAttention {
                q_proj: linear(),
                k_proj: linear(),
                v_proj: linear(),
                out_proj: linear(),
                heads,
            },
            layer_norm2: norm(),
            mlp: VisionMlp::new(d_model, config.d_ffn, device),
        };
        Self {
            embeddings: Embeddings {
                patch_embedding: PatchEmbedding {
                    weight: zeros([d_model, 3, patch_size, patch_size], device),
                    bias: zeros([d_model], device),
                },
                position_embedding: PositionEmbedding {
                    weight: zeros([config.n_patches(), d_model], device),
                },
            },
            encoder: Encoder { layers: (0..config.n_layers).map(layer).collect() },
            post_layernorm: config.post_norm.then(norm),
            image_size,
            patch_size,
            positions: config.positions,
        }
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        self.encoder.layers.iter_mut().for_each(|layer| layer.for_each_weight(each));
    }

    /// Side of a tile, in pixels.
    pub fn image_size(&self) -> usize {
        self.image_size
    }

    /// Patches of a tile.
    pub fn n_patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    /// `[tiles, 3, side, side]` normalised pixels to `[tiles, P, E]`. `interrupt` is asked before
    /// each layer.
    ///
    /// # Errors
    /// [`ModelError::TileSize`], or what `interrupt` returns.
    pub fn forward(
        &self,
        pixels: Tensor<4>,
        interrupt: &dyn Fn() -> Result<(), ModelError>,
    ) -> Result<Tensor<3>, ModelError> {
        self.observed(pixels, &mut |_, _| interrupt())
    }

    /// The same, telling `observe` of the tokens at every seam.
    ///
    /// # Errors
    /// [`ModelError::TileSize`], or what `observe` returns.
    pub fn observed(
        &self,
        pixels: Tensor<4>,
        observe: Observer<'_>,
    ) -> Result<Tensor<3>, ModelError> {
        let [_, _, height, width] = pixels.dims();
        if height != self.image_size || width != self.image_size {
            return Err(ModelError::TileSize { expected: self.image_size, height, width });
        }
        let mut x = self.embed(pixels); // [tiles, P, E]
        observe(Seam::Embeddings, &x)?;
        for (index, layer) in self.encoder.layers.iter().enumerate() {
            x = layer.forward(x);
            observe(Seam::Layer(index), &x)?;
        }
        if let Some(norm) = &self.post_layernorm {
            x = norm.forward(x);
            observe(Seam::PostNorm, &x)?;
        }
        Ok(x)
    }

    /// A convolution whose stride is its kernel, as one matrix product over flattened patches.
    fn embed(&self, pixels: Tensor<4>) -> Tensor<3> {
        let PatchEmbedding { weight, bias } = &self.embeddings.patch_embedding;
        let [tiles, channels, _, _] = pixels.dims();
        let (side, grid) = (self.patch_size, self.image_size / self.patch_size);
        let [e, _, _, _] = weight.dims();
        let values = channels * side * side;
        counter::record(matmul(tiles * grid * grid, values, e));
        let used = grid * side; // a remainder of pixels at the right and bottom is dropped
        let patches = pixels
            .narrow(2, 0, used)
            .narrow(3, 0, used)
            .reshape([tiles, channels, grid, side, grid, side])
            .permute([0, 2, 4, 1, 3, 5]) // [tiles, grid, grid, channels, side, side]
            .reshape([tiles * grid * grid, values]);
        let x = patches.matmul(weight.val().reshape([e, values]).transpose()); // [tiles * P, E]
        let x = (x + bias.val().unsqueeze()).reshape([tiles, grid * grid, e]);
        x + self.position_table(grid).unsqueeze()
    }

    /// The position of every patch of a tile, `[P, E]`.
    fn position_table(&self, grid: usize) -> Tensor<2> {
        let table = self.embeddings.position_embedding.weight.val();
        match self.positions {
            PatchPositions::InOrder => table,
            PatchPositions::Bucketed => {
                let places = buckets(grid);
                let place = |row: &i64| {
                    let row = *row * grid as i64;
                    places.iter().map(move |column| row + column)
                };
                let ids: Vec<i64> = places.iter().flat_map(place).collect();
                let ids = TensorData::new(ids, [grid * grid]);
                let ids: Tensor<1, Int> = Tensor::from_data(ids, &table.device());
                table.select(0, ids)
            }
        }
    }
}

/// The bucket of every place along a side of `n` patches (`Idefics3VisionEmbeddings`): boundaries
/// are the multiples of `1 / n`, and single precision puts some places a bucket too low.
fn buckets(n: usize) -> Vec<i64> {
    let boundaries = boundaries(n);
    let step = 1.0 / n as f32;
    let place = |i: usize| (i as f32 * step).min(1.0 - 1e-6);
    let bucket = |i: usize| boundaries.iter().filter(|&&boundary| boundary <= place(i)).count();
    (0..n).map(|i| bucket(i) as i64).collect()
}

/// `torch.arange(1 / n, 1, 1 / n)` to the bit: as long as they fill two registers of eight numbers,
/// numbers are counted from the first of their register, which is rounded; the rest each for itself.
fn boundaries(n: usize) -> Vec<f32> {
    const LANES: usize = 8;
    let step = 1.0 / n as f64;
    let count = ((1.0 - step) / step).ceil() as usize;
    let exact = |i: usize| step + i as f64 * step;
    let in_registers = count / (2 * LANES) * (2 * LANES);
    let boundary = |i: usize| match i < in_registers {
        true => {
            let first = exact(i / LANES * LANES) as f32;
            (f64::from(first) + (i % LANES) as f64 * step) as f32
        }
        false => exact(i) as f32,
    };
    (0..count).map(boundary).collect()
}

impl VisionLayer {
    fn for_each_weight(&mut self, each: ForEach<'_>) {
        let VisionAttention { q_proj, k_proj, v_proj, out_proj, .. } = &mut self.self_attn;
        for linear in [q_proj, k_proj, v_proj, out_proj] {
            each(&mut linear.weight, Role::Product);
        }
        self.mlp.for_each_weight(each);
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(&self.layer_norm1.forward(x));
        x.clone() + self.mlp.forward(self.layer_norm2.forward(x))
    }
}

impl VisionAttention {
    fn forward(&self, x: &Tensor<3>) -> Tensor<3> {
        let split = |linear: &Linear| self.heads.split(linear.forward(x.clone()));
        let (q, k, v) = (split(&self.q_proj), split(&self.k_proj), split(&self.v_proj));
        self.out_proj.forward(self.heads.merge(attend(q, k, v, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fall_into_their_own_buckets_at_the_sizes_of_real_models() {
        for n in [1, 2, 8, 27, 32] {
            assert_eq!(buckets(n), (0..n as i64).collect::<Vec<_>>(), "{n}");
        }
    }

    #[test]
    fn some_sizes_put_places_a_bucket_too_low_as_pytorch_does() {
        let low = |n: usize| -> Vec<i64> {
            let places = (0..n as i64).zip(buckets(n));
            places.filter(|(place, bucket)| place != bucket).map(|(place, _)| place).collect()
        };
        assert_eq!(low(19), [12]);
        assert_eq!(low(25), [5, 9, 10, 11, 12, 13, 15, 18, 20, 23]);
        assert_eq!(low(29), [3, 6, 24]);
        assert_eq!(low(31), [17, 21, 25, 29]);
        assert_eq!(low(40), [19]);
        assert_eq!(low(54), [44, 45]);
    }
}
