//! `config.json` of a CLIP checkpoint, with the defaults of `transformers` (`CLIPConfig` 5.23).

use crate::config::ConfigError;
use serde::Deserialize;
use serde_json::Value;

/// The only kind of checkpoint that is read here.
const MODEL_TYPE: &str = "clip";

/// The id that ends a text in checkpoints made before the ids of their tokenizer were written down:
/// there the last token is the one of the highest id.
const LEGACY_END: u32 = 2;

/// Sizes of one of the two towers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TowerConfig {
    /// Width of a token.
    pub d_model: usize,
    /// Inner width of the MLP.
    pub d_ffn: usize,
    /// Layers.
    pub n_layers: usize,
    /// Heads.
    pub n_heads: usize,
    /// Kept from the variance of a norm being zero.
    pub eps: f64,
    /// Between the two maps of the MLP.
    pub activation: ClipActivation,
}

/// Between the two maps of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipActivation {
    /// `x sigmoid(1.702 x)`.
    QuickGelu,
    /// By the error function.
    Gelu,
}

/// Which state of a text stands for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfText {
    /// That of the first token with this id.
    Token(u32),
    /// That of the first token with the highest id.
    Highest,
}

/// Sizes of a CLIP model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipConfig {
    /// The text tower.
    pub text: TowerConfig,
    /// Rows of its embedding table.
    pub vocab: usize,
    /// Longest text, in tokens.
    pub max_text: usize,
    /// What ends a text.
    pub end: EndOfText,
    /// The picture tower.
    pub vision: TowerConfig,
    /// Pixels a side of a picture.
    pub image_size: usize,
    /// Pixels a side of a patch.
    pub patch_size: usize,
    /// Width of the space in which the two meet.
    pub d_joint: usize,
}

impl ClipConfig {
    /// Reads the content of a `config.json`.
    ///
    /// # Errors
    /// Of a text that is no JSON, another family, or sizes that cannot be.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_slice(json)?;
        let raw = RawConfig::deserialize(&value)?;
        if raw.model_type != MODEL_TYPE {
            return Err(ConfigError::Family { got: raw.model_type, supported: MODEL_TYPE });
        }
        let (text, vision) = (raw.text_config, raw.vision_config);
        let config = Self {
            text: text.tower.config([512, 2048, 12, 8])?,
            vocab: text.vocab_size.unwrap_or(49_408),
            max_text: text.max_position_embeddings.unwrap_or(77),
            end: match text.eos_token_id.unwrap_or(49_407) {
                LEGACY_END => EndOfText::Highest,
                id => EndOfText::Token(id),
            },
            vision: vision.tower.config([768, 3072, 12, 12])?,
            image_size: vision.image_size.unwrap_or(224),
            patch_size: vision.patch_size.unwrap_or(32),
            d_joint: raw.projection_dim.unwrap_or(512),
        };
        for (field, size) in [
            ("vocab_size", config.vocab),
            ("max_position_embeddings", config.max_text),
            ("patch_size", config.patch_size),
            ("projection_dim", config.d_joint),
        ] {
            positive(field, size)?;
        }
        if config.image_size < config.patch_size {
            let (field, got) = ("image_size", config.image_size);
            return Err(ConfigError::Range { field, got, expected: "at least patch_size" });
        }
        Ok(config)
    }

    /// Patches along a side of a picture.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }
}

/// The fields that count; published files leave out what equals the class default.
#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    #[serde(default)]
    text_config: RawText,
    #[serde(default)]
    vision_config: RawVision,
    projection_dim: Option<usize>,
}

#[derive(Default, Deserialize)]
struct RawTower {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
}

#[derive(Default, Deserialize)]
struct RawText {
    #[serde(flatten)]
    tower: RawTower,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    eos_token_id: Option<u32>,
}

#[derive(Default, Deserialize)]
struct RawVision {
    #[serde(flatten)]
    tower: RawTower,
    image_size: Option<usize>,
    patch_size: Option<usize>,
}

impl RawTower {
    /// With the class defaults of width, inner width, layers and heads.
    fn config(&self, defaults: [usize; 4]) -> Result<TowerConfig, ConfigError> {
        let [d_model, d_ffn, n_layers, n_heads] = defaults;
        let config = TowerConfig {
            d_model: self.hidden_size.unwrap_or(d_model),
            d_ffn: self.intermediate_size.unwrap_or(d_ffn),
            n_layers: self.num_hidden_layers.unwrap_or(n_layers),
            n_heads: self.num_attention_heads.unwrap_or(n_heads),
            eps: self.layer_norm_eps.unwrap_or(1e-5),
            activation: match self.hidden_act.as_deref() {
                None | Some("quick_gelu") => ClipActivation::QuickGelu,
                Some("gelu") => ClipActivation::Gelu,
                Some(other) => {
                    let (field, got) = ("hidden_act", other.to_owned());
                    let expected = "quick_gelu or gelu";
                    return Err(ConfigError::Unsupported { field, got, expected });
                }
            },
        };
        positive("hidden_size", config.d_model)?;
        positive("intermediate_size", config.d_ffn)?;
        positive("num_attention_heads", config.n_heads)?;
        if !config.d_model.is_multiple_of(config.n_heads) {
            return Err(ConfigError::NotDivisible {
                first: "num_attention_heads",
                first_value: config.n_heads,
                second: "hidden_size",
                second_value: config.d_model,
            });
        }
        Ok(config)
    }
}

/// Larger sizes are no model, and would be allocated.
const MOST: usize = 1 << 20;

fn positive(field: &'static str, size: usize) -> Result<(), ConfigError> {
    if (1..=MOST).contains(&size) {
        return Ok(());
    }
    Err(ConfigError::Range { field, got: size, expected: "1 to 1048576" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_leaves_out_is_the_default_of_the_class() {
        let config = ClipConfig::parse(br#"{"model_type": "clip"}"#).expect("a configuration");
        assert_eq!((config.text.d_model, config.vision.d_model, config.d_joint), (512, 768, 512));
        assert_eq!((config.grid(), config.max_text, config.vocab), (7, 77, 49_408));
        assert_eq!(config.end, EndOfText::Token(49_407));
        let legacy = br#"{"model_type": "clip", "text_config": {"eos_token_id": 2}}"#;
        assert_eq!(ClipConfig::parse(legacy).expect("a configuration").end, EndOfText::Highest);
    }

    #[test]
    fn other_families_and_sizes_that_cannot_be_are_errors_that_name_the_field() {
        for (json, says) in [
            (r#"{"model_type": "siglip"}"#, "clip"),
            (r#"{"model_type": "clip", "vision_config": {"hidden_act": "relu"}}"#, "hidden_act"),
            (
                r#"{"model_type": "clip", "text_config": {"num_attention_heads": 7}}"#,
                "does not divide hidden_size",
            ),
            (r#"{"model_type": "clip", "vision_config": {"image_size": 8}}"#, "image_size"),
            (r#"{"model_type": "clip", "projection_dim": 0}"#, "projection_dim"),
        ] {
            let error = ClipConfig::parse(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}
