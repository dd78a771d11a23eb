//! The section of the decoder, with the defaults of `LlamaConfig` and `Qwen2Config`.

use super::fields::{divides, off, only, positive};
use super::rope::{self, RawRope};
use crate::config::{ConfigError, Family, TextConfig};
use crate::linear::Bias;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawText {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    hidden_act: Option<String>,
    max_position_embeddings: Option<usize>,
    pub(super) tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
}

/// Class defaults that differ.
struct Defaults {
    qkv_bias: Bias,
    vocab: usize,
    d_ffn: usize,
    n_kv_heads: Option<usize>,
    max_positions: usize,
}

const LLAMA: Defaults = Defaults {
    qkv_bias: Bias::Without,
    vocab: 32000,
    d_ffn: 11008,
    n_kv_heads: None,
    max_positions: 2048,
};
const QWEN2: Defaults = Defaults {
    qkv_bias: Bias::With,
    vocab: 151_936,
    d_ffn: 22016,
    n_kv_heads: Some(32),
    max_positions: 32768,
};

pub(super) fn parse(raw: &RawText, family: Family) -> Result<TextConfig, ConfigError> {
    let class = raw.model_type.as_deref().unwrap_or(match family {
        Family::LlavaOnevision => "qwen2",
        Family::Llava | Family::Idefics3 => "llama",
    });
    let defaults = match class {
        "llama" => LLAMA,
        "qwen2" => QWEN2,
        other => {
            return Err(ConfigError::Unsupported {
                field: "text_config.model_type",
                got: other.to_owned(),
                expected: "llama or qwen2",
            });
        }
    };
    only("text_config.hidden_act", raw.hidden_act.as_deref().unwrap_or("silu"), "silu")?;
    off("text_config.attention_bias", raw.attention_bias)?;
    off("text_config.mlp_bias", raw.mlp_bias)?;
    off("text_config.use_sliding_window", raw.use_sliding_window)?;
    let d_model = raw.hidden_size.unwrap_or(4096);
    let n_heads = raw.num_attention_heads.unwrap_or(32);
    let n_layers = raw.num_hidden_layers.unwrap_or(32);
    let d_ffn = raw.intermediate_size.unwrap_or(defaults.d_ffn);
    let vocab = raw.vocab_size.unwrap_or(defaults.vocab);
    let max_positions = raw.max_position_embeddings.unwrap_or(defaults.max_positions);
    positive("text_config.hidden_size", d_model)?;
    positive("text_config.intermediate_size", d_ffn)?;
    positive("text_config.num_hidden_layers", n_layers)?;
    positive("text_config.num_attention_heads", n_heads)?;
    positive("text_config.vocab_size", vocab)?;
    positive("text_config.max_position_embeddings", max_positions)?;
    let n_kv_heads = raw.num_key_value_heads.or(defaults.n_kv_heads).unwrap_or(n_heads);
    positive("text_config.num_key_value_heads", n_kv_heads)?;
    divides("num_key_value_heads", n_kv_heads, "num_attention_heads", n_heads)?;
    let head_dim = match raw.head_dim {
        Some(head_dim) => head_dim,
        None => {
            divides("num_attention_heads", n_heads, "hidden_size", d_model)?;
            d_model / n_heads
        }
    };
    positive("text_config.head_dim", head_dim)?;
    divides("2 (rotary halves)", 2, "text_config.head_dim", head_dim)?;
    Ok(TextConfig {
        d_model,
        d_ffn,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim,
        vocab,
        rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6),
        rope_theta: rope::base(
            raw.rope_theta,
            raw.rope_parameters.as_ref(),
            raw.rope_scaling.as_ref(),
        )?,
        qkv_bias: defaults.qkv_bias,
        max_positions,
    })
}
