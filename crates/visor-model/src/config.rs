//! The configuration of a network, parsed from a checkpoint's `config.json`.
//!
//! Published files leave out fields that equal the class defaults of `transformers`; the defaults
//! here are those. VISOR's own sizes stand in `visor.json`.

mod wire;

use crate::attention::{AttentionBias, Heads};
use crate::keys::{self, KeyMap};
use crate::linear::Bias;
use crate::rotary::RotaryConfig;
use thiserror::Error;
use visor_core::Rotary;
use visor_core::cost::{ConnectorShape, CrossShape, DecoderShape, EncoderShape, ModelShape};

/// Why a `config.json` cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is no JSON, or a field has another type.
    #[error("config.json cannot be read: {0}; expected the config of a Hugging Face checkpoint")]
    Json(#[from] serde_json::Error),
    /// A word that Python writes for what is no number, and JSON does not have.
    #[error("config.json has `{word}` in line {line}, which is no JSON: write a number or null")]
    NoNumber {
        /// The word.
        word: &'static str,
        /// Where, counted from 1.
        line: usize,
    },
    /// Weights that another program has quantised.
    #[error(
        "quantization_config of config.json says that the weights are quantised (`{method}`), which \
         is not supported: use the checkpoint that they were made from, with `--dtype int8` where \
         memory is short"
    )]
    Quantised {
        /// How, as far as it is said.
        method: String,
    },
    /// A family that is not built in.
    #[error("model_type `{got}` is not supported; supported: {supported}")]
    Family {
        /// What the file says.
        got: String,
        /// What would do.
        supported: &'static str,
    },
    /// A field whose value is not supported.
    #[error("{field} = {got} is not supported; expected {expected}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What would do.
        expected: &'static str,
    },
    /// A number that cannot be.
    #[error("{field} = {got} cannot be; expected {expected}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        got: usize,
        /// What would do.
        expected: &'static str,
    },
    /// Sizes that contradict each other.
    #[error("{first} = {first_value} does not divide {second} = {second_value}")]
    NotDivisible {
        /// The divisor's field.
        first: &'static str,
        /// The divisor.
        first_value: usize,
        /// The other field.
        second: &'static str,
        /// Its value.
        second_value: usize,
    },
    /// `config.json` and `visor.json` differ.
    #[error("config.json has {config} decoder layers and visor.json {manifest}")]
    Depth {
        /// Layers in `config.json`.
        config: usize,
        /// Layers in `visor.json`.
        manifest: usize,
    },
}

/// Which checkpoints a configuration came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// LLaVA: one tile a picture, no new-line tokens.
    Llava,
    /// LLaVA-OneVision: a resolution that fits the picture, new-line tokens behind its rows.
    LlavaOnevision,
    /// Idefics3, SmolVLM and SmolVLM2: tiles with places of their own.
    Idefics3,
}

impl Family {
    /// What its parameters are called on disk.
    pub fn key_map(self) -> KeyMap {
        match self {
            Self::Llava => KeyMap::LLAVA,
            Self::LlavaOnevision => KeyMap::LLAVA_ONEVISION,
            Self::Idefics3 => KeyMap::IDEFICS3,
        }
    }

    /// Tensors that its checkpoints hold and its network does not use, and why.
    pub fn ignored(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let of_family: &'static [(&'static str, &'static str)] = match self {
            Self::Idefics3 => &[],
            Self::Llava | Self::LlavaOnevision => keys::UNUSED_OF_LLAVA,
        };
        keys::BUFFERS.iter().chain(of_family).copied()
    }
}

/// How pictures become tiles, as far as the network must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiling {
    /// One tile.
    Whole,
    /// A grid and the whole, each tile by itself.
    Split,
    /// A grid and the whole; the grid is put together again.
    AnyRes {
        /// Height and width of the resolutions that pictures are fitted to, in pixels.
        resolutions: Vec<[u32; 2]>,
        /// Grids with more tokens than this many tiles have are shrunk.
        max_tiles: usize,
    },
}

/// Which learned position a patch gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchPositions {
    /// That of its place.
    InOrder,
    /// That of the bucket which its place falls into, counted in single precision: not always its
    /// own (Idefics3).
    Bucketed,
}

/// Sizes of the vision encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Width of a patch token.
    pub d_model: usize,
    /// Inner width of the MLP.
    pub d_ffn: usize,
    /// Number of layers, possibly none.
    pub n_layers: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// Side of a tile in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Of the norms.
    pub layer_norm_eps: f64,
    /// Whether a norm follows the last layer.
    pub post_norm: bool,
    /// Which learned position a patch gets.
    pub positions: PatchPositions,
}

impl VisionConfig {
    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Patches of a tile.
    pub fn n_patches(&self) -> usize {
        self.grid().pow(2)
    }
}

/// The kind and sizes of the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectorConfig {
    /// Pixel shuffle and one linear map.
    PixelShuffle {
        /// Side of the square of patches that becomes one token.
        scale: usize,
    },
    /// Two linear maps with a GELU between.
    Mlp {
        /// Width between them.
        d_hidden: usize,
        /// Whether they have biases.
        bias: Bias,
    },
}

/// Sizes of the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct TextConfig {
    /// Width of a token.
    pub d_model: usize,
    /// Inner width of the SwiGLU.
    pub d_ffn: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// Of the norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary wavelengths.
    pub rope_theta: f64,
    /// Biases of self-attention.
    pub attention_bias: AttentionBias,
    /// Longest dense prompt with its answer.
    pub max_positions: usize,
}

impl TextConfig {
    /// Heads of self-attention.
    pub fn heads(&self) -> Heads {
        let &Self { n_heads, n_kv_heads, head_dim, .. } = self;
        Heads { n_heads, n_kv_heads, head_dim }
    }

    /// The rotary scheme.
    pub fn rotary(&self, scheme: Rotary) -> RotaryConfig {
        RotaryConfig { scheme, base: self.rope_theta, head_dim: self.head_dim }
    }
}

/// Everything that a `config.json` says about the network.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// The vision encoder.
    pub vision: VisionConfig,
    /// The connector.
    pub connector: ConnectorConfig,
    /// How pictures become tiles.
    pub tiling: Tiling,
    /// The decoder.
    pub text: TextConfig,
    /// The id that marks a picture in a prompt.
    pub image_token: u32,
    /// What the file says of tying head and embedding; a head in the weights counts more.
    pub tied: bool,
}

impl ModelConfig {
    /// Parses a `config.json`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        Self::parse_reporting(json).map(|(config, _)| config)
    }

    /// Parses a `config.json`, and names the fields of it that nothing here knows: they may ask for
    /// what is not done.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse_reporting(json: &[u8]) -> Result<(Self, Vec<String>), ConfigError> {
        wire::parse(json)
    }

    /// Visual tokens of one tile, along one side.
    pub fn token_grid(&self) -> usize {
        match self.connector {
            ConnectorConfig::PixelShuffle { scale } => self.vision.grid() / scale,
            ConnectorConfig::Mlp { .. } => self.vision.grid(),
        }
    }

    /// Sizes for the cost formulas; `cross_kv_heads` where the model has cross-attention.
    pub fn shape(&self, cross_kv_heads: Option<usize>) -> ModelShape {
        let (vision, text) = (&self.vision, &self.text);
        ModelShape {
            encoder: EncoderShape {
                n_layers: vision.n_layers,
                d_model: vision.d_model,
                d_ffn: vision.d_ffn,
                n_patches: vision.n_patches(),
                patch_values: 3 * vision.patch_size.pow(2),
                n_attended: vision.n_patches(),
            },
            connector: match self.connector {
                ConnectorConfig::PixelShuffle { scale } => ConnectorShape::PixelShuffle {
                    d_vision: vision.d_model,
                    scale,
                    d_model: text.d_model,
                },
                ConnectorConfig::Mlp { d_hidden, .. } => ConnectorShape::Mlp {
                    d_vision: vision.d_model,
                    d_hidden,
                    d_model: text.d_model,
                },
            },
            decoder: DecoderShape {
                n_layers: text.n_layers,
                d_model: text.d_model,
                n_heads: text.n_heads,
                n_kv_heads: text.n_kv_heads,
                head_dim: text.head_dim,
                d_ffn: text.d_ffn,
                vocab: text.vocab,
                cross: cross_kv_heads.map(|n_kv_heads| CrossShape { n_kv_heads }),
            },
        }
    }
}
