//! What a checkpoint's small files say together: all there is to know before a weight is read.

use super::generation::Generation;
use crate::config::{ConfigError, ConnectorConfig, ModelConfig, Tiling};
use crate::cross::{CrossSizes, NullPair};
use crate::error::ModelError;
use crate::linear::Bias;
use crate::network::{Extension, Head};
use visor_checkpoint::{Checkpoint, CrossAttentionManifest, Manifest, SelectorManifest};
use visor_core::cost::SelectorShape;
use visor_core::{Padding, PositionScheme};
use visor_processor::{ImageTokens, MAX_TILE_SIDE};
use visor_runtime::{DenseMode, Dtype, ModelCard, SelectorCard};

/// `config.json` and `visor.json`, read and held against each other.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The architecture.
    pub config: ModelConfig,
    /// VISOR's own sizes; `None` for a stock model.
    pub extension: Option<Extension>,
    /// What reports say about the model, as far as it is known without its weights.
    pub card: ModelCard,
    /// Fields of `config.json` that nothing here knows, and ends of answers that cannot come.
    pub unknown_fields: Vec<String>,
    /// Fields of `generation_config.json` that change answers and are not followed.
    pub unfollowed: Vec<String>,
}

impl Blueprint {
    /// Reads the small files of a checkpoint. Weights are not touched.
    ///
    /// # Errors
    /// A configuration that cannot be built, or a manifest that contradicts it.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let (config, mut unknown_fields) = ModelConfig::parse_reporting(checkpoint.config_json())?;
        check_sizes(&config)?;
        let manifest = checkpoint.manifest();
        let extension = manifest.map(|manifest| extension(&config, manifest)).transpose()?;
        let Generation { eos, rules, unfollowed } = Generation::read(checkpoint)?;
        let card = ModelCard {
            name: name(checkpoint),
            ladder: manifest.map(|manifest| manifest.ladder.clone()),
            dense: dense(manifest),
            selector: extension.as_ref().and_then(|extension| extension.selector),
            shape: config.shape(extension.as_ref().map(|extension| extension.cross.n_kv_heads)),
            context: config.text.max_positions,
            positions: manifest.map_or(PositionScheme::STOCK, |manifest| manifest.positions),
            image_token: config.image_token,
            tile_side: config.vision.image_size,
            tile_tokens: ImageTokens { rows: config.token_grid(), cols: config.token_grid() },
            eos,
            rules,
            vocab: config.text.vocab,
            parameters: parameters(&config, extension.as_ref(), head(&config)),
            dtype: Dtype::F32,
            padding: Padding::None,
            sha256: None,
            selector_sha256: None,
            default_policy: manifest.and_then(|manifest| manifest.default_policy.clone()),
        };
        let vocab = card.vocab;
        let beyond = card.eos.iter().filter(|id| **id as usize >= vocab);
        unknown_fields.extend(
            beyond.map(|id| format!("eos_token_id ({id} is beyond the vocabulary of {vocab})")),
        );
        Ok(Self { config, extension, card, unknown_fields, unfollowed })
    }
}

/// Deeper networks are refused, before anything is made for each layer.
const MAX_LAYERS: usize = 1024;
/// Larger networks are refused: no checkpoint comes near, and costs still fit in 64 bits.
const MAX_PARAMETERS: u128 = 1 << 42;

/// Sizes that are possible one by one and impossible together.
fn check_sizes(config: &ModelConfig) -> Result<(), ConfigError> {
    let at_most = |field, got, limit, expected| match got <= limit {
        true => Ok(()),
        false => Err(ConfigError::Range { field, got, expected }),
    };
    let (vision, text) = (&config.vision, &config.text);
    at_most("text_config.num_hidden_layers", text.n_layers, MAX_LAYERS, "at most 1024")?;
    at_most("vision_config.num_hidden_layers", vision.n_layers, MAX_LAYERS, "at most 1024")?;
    let tile = MAX_TILE_SIDE as usize;
    at_most("vision_config.image_size", vision.image_size, tile, "at most 4096")?;
    let weights = count(config, None, Head::Own);
    let got = usize::try_from(weights).unwrap_or(usize::MAX);
    let limit = usize::try_from(MAX_PARAMETERS).unwrap_or(usize::MAX);
    at_most("the number of weights by config.json", got, limit, "at most 4398046511104")
}

/// What the configuration says of the head. A head among the weights counts more.
pub(crate) fn head(config: &ModelConfig) -> Head {
    if config.tied { Head::Tied } else { Head::Own }
}

/// The folder's name, or that of whatever else holds the files.
fn name(checkpoint: &Checkpoint) -> String {
    let source = checkpoint.source();
    let last = source.folder().and_then(|folder| folder.file_name());
    last.map_or_else(|| source.name(), |name| name.to_string_lossy().into_owned())
}

fn dense(manifest: Option<&Manifest>) -> DenseMode {
    use visor_checkpoint::DenseMode as OnDisk;
    match manifest.map(|manifest| manifest.dense) {
        None | Some(OnDisk::Stock | OnDisk::Trained) => DenseMode::Available,
        Some(OnDisk::None) => DenseMode::Unavailable,
    }
}

/// What `visor.json` says, held against `config.json`.
fn extension(config: &ModelConfig, manifest: &Manifest) -> Result<Extension, ConfigError> {
    let text = &config.text;
    if manifest.n_layers() != text.n_layers {
        let (config, manifest) = (text.n_layers, manifest.n_layers());
        return Err(ConfigError::Depth { config, manifest });
    }
    let cross = manifest.cross;
    if !text.n_heads.is_multiple_of(cross.n_kv_heads) {
        return Err(ConfigError::NotDivisible {
            first: "cross_attention.n_kv_heads of visor.json",
            first_value: cross.n_kv_heads,
            second: "num_attention_heads of config.json",
            second_value: text.n_heads,
        });
    }
    Ok(Extension {
        layout: manifest.layout().clone(),
        cross: cross_sizes(cross),
        selector: manifest.selector.as_ref().map(|selector| self::selector(config, selector)),
    })
}

/// What `visor.json` says of cross-attention.
fn cross_sizes(manifest: CrossAttentionManifest) -> CrossSizes {
    let CrossAttentionManifest { n_kv_heads, bias, null_key } = manifest;
    let null = if null_key { NullPair::Learned } else { NullPair::Absent };
    CrossSizes { n_kv_heads, bias: Bias::from(bias), null }
}

/// The range in `visor.json` is meant for one tile.
pub(crate) fn selector(config: &ModelConfig, manifest: &SelectorManifest) -> SelectorCard {
    let &SelectorManifest { d_select, n_pools, k_min, k_max } = manifest;
    let d_model = config.text.d_model;
    SelectorCard {
        shape: SelectorShape { d_model, d_select, n_pools, d_hidden: d_select },
        range: (k_min, k_max),
        n_reference: config.token_grid().pow(2),
    }
}

/// How many weights a network of these sizes has.
pub fn parameters(config: &ModelConfig, extension: Option<&Extension>, head: Head) -> u64 {
    u64::try_from(count(config, extension, head)).unwrap_or(u64::MAX)
}

/// In 128 bits no sizes overflow that a configuration can have.
fn count(config: &ModelConfig, extension: Option<&Extension>, head: Head) -> u128 {
    let wide = |n: usize| n as u128;
    let biases = |bias: Bias, n: u128| match bias {
        Bias::With => n,
        Bias::Without => 0,
    };
    let (vision, text) = (&config.vision, &config.text);
    let (d, d_ffn, head_dim) = (wide(text.d_model), wide(text.d_ffn), wide(text.head_dim));
    let (d_q, d_kv) = (wide(text.n_heads) * head_dim, wide(text.n_kv_heads) * head_dim);

    let (e, ffn) = (wide(vision.d_model), wide(vision.d_ffn));
    let patches = e * (3 * wide(vision.patch_size).pow(2) + 1 + wide(vision.n_patches()));
    let vision_layer = 4 * e + 4 * (e * e + e) + (2 * e * ffn + ffn + e);
    let post_norm = if vision.post_norm { 2 * e } else { 0 };
    let encoder = patches + wide(vision.n_layers) * vision_layer + post_norm;

    let connector = match config.connector {
        ConnectorConfig::PixelShuffle { scale } => e * wide(scale).pow(2) * d,
        ConnectorConfig::Mlp { d_hidden, bias } => {
            let d_hidden = wide(d_hidden);
            e * d_hidden + d_hidden * d + biases(bias, d_hidden + d)
        }
    };

    let newline = match config.tiling {
        Tiling::Whole | Tiling::Split => 0,
        Tiling::AnyRes { .. } => d,
    };

    let bias = text.attention_bias;
    let of_attention = biases(bias.inputs(), d_q + 2 * d_kv) + biases(bias.output(), d);
    let projections = 2 * d * d_q + 2 * d * d_kv + of_attention;
    let layer = 2 * d + projections + 3 * d * d_ffn;
    let embedding = wide(text.vocab) * d;
    let decoder = embedding + wide(text.n_layers) * layer + d;

    let own = extension.map_or(0, |extension| {
        let CrossSizes { n_kv_heads, bias, null } = extension.cross;
        let d_ca = wide(n_kv_heads) * head_dim;
        let null_pair = if null == NullPair::Learned { 2 * d_ca } else { 0 };
        let projections = 2 * d * d_q + 2 * d * d_ca + biases(bias, d_q + 2 * d_ca);
        let block = 2 * d + projections + null_pair + 1;
        let selector = extension.selector.map_or(0, |selector| selector_weights(selector.shape));
        match extension.layout.cross().len() {
            0 => selector,
            blocks => selector + wide(blocks) * block + wide(crate::conditional::KERNEL) * d,
        }
    });

    let head = if head == Head::Own { embedding } else { 0 };
    encoder + connector + newline + decoder + own + head
}

fn selector_weights(shape: SelectorShape) -> u128 {
    let SelectorShape { d_model, d_select, n_pools, d_hidden } = shape;
    let wide = |n: usize| n as u128;
    let (d, pools, hidden) = (wide(d_model), wide(n_pools), wide(d_hidden));
    let count = hidden * (d + wide(SelectorShape::STATISTICS) + 2) + 1;
    2 * d + pools * d + 2 * pools * d * hidden + 2 * d * wide(d_select) + 1 + count
}
