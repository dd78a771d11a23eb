//! The section of the decoder, with the defaults of `LlamaConfig` and `Qwen2Config`.

use super::fields::{divides, off, one_of, only, positive};
use super::rope::{self, RawRope};
use crate::attention::AttentionBias;
use crate::config::{ConfigError, Family, TextConfig};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawText {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    /// Left out it is the class default, null as many as there are heads.
    #[serde(deserialize_with = "present")]
    num_key_value_heads: Option<Option<usize>>,
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
    #[serde(deserialize_with = "present")]
    sliding_window: Option<Option<usize>>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
}

/// A field that is there, be it null.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<usize>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Class defaults that differ.
struct Defaults {
    bias: AttentionBias,
    vocab: usize,
    d_ffn: usize,
    n_kv_heads: Option<usize>,
    max_positions: usize,
}

const LLAMA: Defaults = Defaults {
    bias: AttentionBias::Nowhere,
    vocab: 32000,
    d_ffn: 11008,
    n_kv_heads: None,
    max_positions: 2048,
};
const QWEN2: Defaults = Defaults {
    bias: AttentionBias::Inputs,
    vocab: 151_936,
    d_ffn: 22016,
    n_kv_heads: Some(32),
    max_positions: 32768,
};

impl RawText {
    /// Refuses layers of `Qwen2Config` that look no farther back than a window: those that are listed
    /// as such, or else those from `max_window_layers` on.
    fn expect_no_window(&self, n_layers: usize) -> Result<(), ConfigError> {
        if let Some(kinds) = &self.layer_types {
            let full = "full_attention";
            return kinds.iter().try_for_each(|kind| only("text_config.layer_types", kind, full));
        }
        let window = self.sliding_window != Some(None);
        let slides = window && self.max_window_layers.unwrap_or(28) < n_layers;
        off("text_config.use_sliding_window", self.use_sliding_window.filter(|_| slides))
    }
}

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
    let act = raw.hidden_act.as_deref().unwrap_or("silu");
    one_of("text_config.hidden_act", act, &["silu", "swish"])?;
    off("text_config.mlp_bias", raw.mlp_bias)?;
    let llama = class == "llama";
    let attention_bias = match raw.attention_bias {
        Some(true) if llama => AttentionBias::Everywhere,
        _ => defaults.bias,
    };
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
    if !llama {
        raw.expect_no_window(n_layers)?;
    }
    let n_kv_heads = raw.num_key_value_heads.unwrap_or(defaults.n_kv_heads).unwrap_or(n_heads);
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
        attention_bias,
        max_positions,
    })
}
