//! Checks of single fields, and which fields of a `config.json` are known.

use super::{ConfigError, inherited};
use serde_json::Value;

/// No size in any known model comes near; what is beyond is damage, not a model.
const LARGEST: usize = 1 << 24;

/// Fields that are read, or that have no bearing on what is computed here: on files, training,
/// other modalities, or nothing at all.
const TOP: &[&str] = &[
    "_pad_token_id",
    "auto_map",
    "dtype",
    "ignore_index",
    "image_grid_pinpoints",
    "image_seq_length",
    "image_token_id",
    "image_token_index",
    "initializer_range",
    "model_type",
    "multimodal_projector_bias",
    "perceiver_config",
    "projector_hidden_act",
    "projector_hidden_size",
    "scale_factor",
    "text_config",
    "tie_word_embeddings",
    "transformers.js_config",
    "use_cache",
    "use_image_newline_parameter",
    "use_reentrant_checkpointing",
    "video_token_id",
    "video_token_index",
    "vision_aspect_ratio",
    "vision_config",
    "vision_feature_layer",
    "vision_feature_select_strategy",
    "vocab_size",
];
const TEXT: &[&str] = &[
    "_flash_attn_2_enabled",
    "attention_bias",
    "attention_dropout",
    "dtype",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "is_llama_config",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "neftune_noise_alpha",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "perceiver_config",
    "pixel_shuffle_factor",
    "pretraining_tp",
    "qk_layer_norms",
    "rms_norm_eps",
    "rope_interleaved",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "transformers.js_config",
    "use_cache",
    "use_resampler",
    "use_sliding_window",
    "vocab_size",
];
const VISION: &[&str] = &[
    "attention_dropout",
    "dtype",
    "hidden_act",
    "hidden_size",
    "image_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_eps",
    "max_image_size",
    "model_type",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "patch_size",
    "projection_dim",
    "size",
    "tie_word_embeddings",
    "use_base_siglip",
    "vision_use_head",
    "vocab_size",
];

/// The fields that nothing here knows, with their sections.
pub(super) fn unknown(config: &Value) -> Vec<String> {
    let names = |section: &str, known: &'static [&'static str]| -> Vec<String> {
        let (value, prefix) = match section {
            "" => (Some(config), String::new()),
            _ => (config.get(section), format!("{section}.")),
        };
        let fields = value.and_then(Value::as_object).into_iter().flatten();
        let unknown = fields.filter(|(name, value)| {
            !known.contains(&name.as_str()) && !inherited::says_nothing(name, value)
        });
        unknown.map(|(name, _)| format!("{prefix}{name}")).collect()
    };
    [names("", TOP), names("text_config", TEXT), names("vision_config", VISION)].concat()
}

/// Refuses what another program has quantised: its tensors are of other shapes and meanings.
pub(super) fn expect_unquantised(config: Option<&Value>) -> Result<(), ConfigError> {
    match config {
        None | Some(Value::Null) => Ok(()),
        Some(config) => {
            let method = config.get("quant_method").and_then(Value::as_str);
            Err(ConfigError::Quantised { method: method.unwrap_or("unknown").to_owned() })
        }
    }
}

/// A field whose only supported value is `expected`.
pub(super) fn only(
    field: &'static str,
    got: &str,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if got == expected {
        return Ok(());
    }
    Err(ConfigError::Unsupported { field, got: got.to_owned(), expected })
}

/// A field whose only supported value has several names, the first of which is said.
pub(super) fn one_of(
    field: &'static str,
    got: &str,
    names: &[&'static str],
) -> Result<(), ConfigError> {
    match names {
        [name, ..] if !names.contains(&got) => only(field, got, name),
        _ => Ok(()),
    }
}

/// A switch that must not be on.
pub(super) fn off(field: &'static str, got: Option<bool>) -> Result<(), ConfigError> {
    match got {
        None | Some(false) => Ok(()),
        Some(true) => only(field, "true", "false"),
    }
}

/// A size that a model can have.
pub(super) fn positive(field: &'static str, got: usize) -> Result<(), ConfigError> {
    if (1..=LARGEST).contains(&got) {
        return Ok(());
    }
    Err(ConfigError::Range { field, got, expected: "a positive number of at most 16777216" })
}

/// A size that divides another.
pub(super) fn divides(
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
