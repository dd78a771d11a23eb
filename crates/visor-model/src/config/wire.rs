//! `config.json` as it stands on disk, with the defaults of `transformers`, and its checks.

use super::{ConfigError, ConnectorConfig, Family, ModelConfig, TextConfig, VisionConfig};
use crate::linear::Bias;
use serde::Deserialize;

const SUPPORTED: &str = "llava";
/// No size in any known model comes near; what is beyond is damage, not a model.
const LARGEST: usize = 1 << 24;

#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    #[serde(default)]
    text_config: RawText,
    #[serde(default)]
    vision_config: RawVision,
    image_token_index: Option<u32>,
    image_token_id: Option<u32>,
    tie_word_embeddings: Option<bool>,
    #[serde(default = "gelu")]
    projector_hidden_act: String,
    projector_hidden_size: Option<usize>,
    #[serde(default = "yes")]
    multimodal_projector_bias: bool,
    #[serde(default = "last_but_one")]
    vision_feature_layer: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRope {
    rope_theta: Option<f64>,
}

#[derive(Deserialize)]
#[serde(default)]
struct RawText {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: RawRope,
    hidden_act: String,
    max_position_embeddings: usize,
    tie_word_embeddings: Option<bool>,
}

#[derive(Deserialize)]
#[serde(default)]
struct RawVision {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn yes() -> bool {
    true
}

fn last_but_one() -> i64 {
    -2
}

impl Default for RawText {
    fn default() -> Self {
        Self {
            model_type: "llama".to_owned(),
            vocab_size: 32000,
            hidden_size: 4096,
            intermediate_size: 11008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            rms_norm_eps: 1e-6,
            rope_theta: None,
            rope_parameters: RawRope::default(),
            hidden_act: "silu".to_owned(),
            max_position_embeddings: 2048,
            tie_word_embeddings: None,
        }
    }
}

impl Default for RawVision {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            hidden_act: "gelu_pytorch_tanh".to_owned(),
            layer_norm_eps: 1e-6,
        }
    }
}

pub(super) fn parse(json: &[u8]) -> Result<ModelConfig, ConfigError> {
    let raw: RawConfig = serde_json::from_slice(json)?;
    if raw.model_type != "llava" {
        return Err(ConfigError::Family { got: raw.model_type, supported: SUPPORTED });
    }
    only("projector_hidden_act", &raw.projector_hidden_act, "gelu")?;
    if raw.vision_feature_layer != -1 {
        return Err(ConfigError::Unsupported {
            field: "vision_feature_layer",
            got: raw.vision_feature_layer.to_string(),
            expected: "-1 (the last layer)",
        });
    }
    let tied = raw.text_config.tie_word_embeddings.or(raw.tie_word_embeddings).unwrap_or(false);
    let text = text(&raw.text_config)?;
    let vision = vision(&raw.vision_config)?;
    let d_hidden = raw.projector_hidden_size.unwrap_or(text.d_model);
    positive("projector_hidden_size", d_hidden)?;
    Ok(ModelConfig {
        family: Family::Llava,
        vision,
        connector: ConnectorConfig::Mlp {
            d_hidden,
            bias: Bias::from(raw.multimodal_projector_bias),
        },
        text,
        image_token: raw.image_token_id.or(raw.image_token_index).unwrap_or(32000),
        tied,
    })
}

fn text(raw: &RawText) -> Result<TextConfig, ConfigError> {
    let qkv_bias = match raw.model_type.as_str() {
        "llama" => Bias::Without,
        "qwen2" => Bias::With,
        other => {
            return Err(ConfigError::Unsupported {
                field: "text_config.model_type",
                got: other.to_owned(),
                expected: "llama or qwen2",
            });
        }
    };
    only("text_config.hidden_act", &raw.hidden_act, "silu")?;
    positive("text_config.hidden_size", raw.hidden_size)?;
    positive("text_config.intermediate_size", raw.intermediate_size)?;
    positive("text_config.num_hidden_layers", raw.num_hidden_layers)?;
    positive("text_config.num_attention_heads", raw.num_attention_heads)?;
    positive("text_config.vocab_size", raw.vocab_size)?;
    positive("text_config.max_position_embeddings", raw.max_position_embeddings)?;
    let n_heads = raw.num_attention_heads;
    let n_kv_heads = raw.num_key_value_heads.unwrap_or(n_heads);
    positive("text_config.num_key_value_heads", n_kv_heads)?;
    divides("num_key_value_heads", n_kv_heads, "num_attention_heads", n_heads)?;
    let head_dim = match raw.head_dim {
        Some(head_dim) => head_dim,
        None => {
            divides("num_attention_heads", n_heads, "hidden_size", raw.hidden_size)?;
            raw.hidden_size / n_heads
        }
    };
    positive("text_config.head_dim", head_dim)?;
    divides("2 (rotary halves)", 2, "text_config.head_dim", head_dim)?;
    Ok(TextConfig {
        d_model: raw.hidden_size,
        d_ffn: raw.intermediate_size,
        n_layers: raw.num_hidden_layers,
        n_heads,
        n_kv_heads,
        head_dim,
        vocab: raw.vocab_size,
        rms_norm_eps: raw.rms_norm_eps,
        rope_theta: raw.rope_theta.or(raw.rope_parameters.rope_theta).unwrap_or(10000.0),
        qkv_bias,
        max_positions: raw.max_position_embeddings,
    })
}

fn vision(raw: &RawVision) -> Result<VisionConfig, ConfigError> {
    only("vision_config.hidden_act", &raw.hidden_act, "gelu_pytorch_tanh")?;
    positive("vision_config.hidden_size", raw.hidden_size)?;
    positive("vision_config.intermediate_size", raw.intermediate_size)?;
    positive("vision_config.num_attention_heads", raw.num_attention_heads)?;
    positive("vision_config.image_size", raw.image_size)?;
    positive("vision_config.patch_size", raw.patch_size)?;
    divides("num_attention_heads", raw.num_attention_heads, "hidden_size", raw.hidden_size)?;
    if raw.num_channels != 3 {
        return Err(ConfigError::Range {
            field: "vision_config.num_channels",
            got: raw.num_channels,
            expected: "3",
        });
    }
    if raw.num_hidden_layers > LARGEST || raw.patch_size > raw.image_size {
        return Err(ConfigError::Range {
            field: "vision_config.patch_size",
            got: raw.patch_size,
            expected: "at most image_size",
        });
    }
    Ok(VisionConfig {
        d_model: raw.hidden_size,
        d_ffn: raw.intermediate_size,
        n_layers: raw.num_hidden_layers,
        n_heads: raw.num_attention_heads,
        image_size: raw.image_size,
        patch_size: raw.patch_size,
        layer_norm_eps: raw.layer_norm_eps,
        post_norm: false,
    })
}

fn only(field: &'static str, got: &str, expected: &'static str) -> Result<(), ConfigError> {
    if got == expected {
        return Ok(());
    }
    Err(ConfigError::Unsupported { field, got: got.to_owned(), expected })
}

fn positive(field: &'static str, got: usize) -> Result<(), ConfigError> {
    if (1..=LARGEST).contains(&got) {
        return Ok(());
    }
    Err(ConfigError::Range { field, got, expected: "a positive number of at most 16777216" })
}

fn divides(
    first: &'static str,
    first_value: usize,
    second: &'static str,
    second_value: usize,
) -> Result<(), ConfigError> {
    if second_value.is_multiple_of(first_value) {
        return Ok(());
    }
    Err(ConfigError::NotDivisible { first, first_value, second, second_value })
}
