//! The section of the vision encoder, with the defaults of `SiglipVisionConfig` and
//! `Idefics3VisionConfig`.
//!
//! Its `model_type` is looked at in LLaVA alone, where a CLIP tower is the default: published files
//! of one other family write it in four ways.

use super::fields::{divides, one_of, only, positive};
use crate::config::{ConfigError, Family, PatchPositions, VisionConfig};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawVision {
    model_type: Option<String>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_channels: Option<usize>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
}

/// The approximation by tanh, whose names differ in the order of its operations alone (`ACT2CLS` of
/// `activations.py` of `transformers`).
const GELU_TANH: [&str; 4] = ["gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu_python_tanh"];

/// Class defaults that differ.
struct Defaults {
    d_model: usize,
    n_heads: usize,
    patch_size: usize,
    post_norm: bool,
    positions: PatchPositions,
}

impl Defaults {
    fn of(family: Family) -> Self {
        match family {
            Family::Idefics3 => Self {
                d_model: 1152,
                n_heads: 16,
                patch_size: 32,
                post_norm: true,
                positions: PatchPositions::Bucketed,
            },
            // Features are taken before the norm that a SigLIP tower ends with.
            Family::Llava | Family::LlavaOnevision => Self {
                d_model: 768,
                n_heads: 12,
                patch_size: 16,
                post_norm: false,
                positions: PatchPositions::InOrder,
            },
        }
    }
}

pub(super) fn parse(raw: &RawVision, family: Family) -> Result<VisionConfig, ConfigError> {
    let defaults = Defaults::of(family);
    if family == Family::Llava {
        let tower = raw.model_type.as_deref().unwrap_or("clip_vision_model");
        only("vision_config.model_type", tower, "siglip_vision_model")?;
    }
    let act = raw.hidden_act.as_deref().unwrap_or("gelu_pytorch_tanh");
    one_of("vision_config.hidden_act", act, &GELU_TANH)?;
    let d_model = raw.hidden_size.unwrap_or(defaults.d_model);
    let d_ffn = raw.intermediate_size.unwrap_or(3072);
    let n_heads = raw.num_attention_heads.unwrap_or(defaults.n_heads);
    let image_size = raw.image_size.unwrap_or(224);
    let patch_size = raw.patch_size.unwrap_or(defaults.patch_size);
    positive("vision_config.hidden_size", d_model)?;
    positive("vision_config.intermediate_size", d_ffn)?;
    positive("vision_config.num_attention_heads", n_heads)?;
    positive("vision_config.image_size", image_size)?;
    positive("vision_config.patch_size", patch_size)?;
    divides("num_attention_heads", n_heads, "vision_config.hidden_size", d_model)?;
    let n_channels = raw.num_channels.unwrap_or(3);
    if n_channels != 3 {
        return Err(ConfigError::Range {
            field: "vision_config.num_channels",
            got: n_channels,
            expected: "3",
        });
    }
    if patch_size > image_size {
        return Err(ConfigError::Range {
            field: "vision_config.patch_size",
            got: patch_size,
            expected: "at most vision_config.image_size",
        });
    }
    Ok(VisionConfig {
        d_model,
        d_ffn,
        n_layers: raw.num_hidden_layers.unwrap_or(12),
        n_heads,
        image_size,
        patch_size,
        layer_norm_eps: raw.layer_norm_eps.unwrap_or(1e-6),
        post_norm: defaults.post_norm,
        positions: defaults.positions,
    })
}
