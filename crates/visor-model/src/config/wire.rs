//! `config.json` as it stands on disk, with the defaults of `transformers`, and its checks.

mod fields;
mod inherited;
mod rope;
mod text;
mod vision;

use super::{ConfigError, ConnectorConfig, Family, ModelConfig, Tiling};
use crate::linear::Bias;
use fields::{divides, only, positive};
use serde::Deserialize;
use serde_json::Value;

const SUPPORTED: &str = "idefics3, smolvlm, llava_onevision, llava with a SigLIP tower";

/// The sections and the fields that count; all optional, as published files leave out what equals
/// the class default.
#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    text_config: Option<text::RawText>,
    vision_config: Option<vision::RawVision>,
    image_token_index: Option<u32>,
    image_token_id: Option<u32>,
    tie_word_embeddings: Option<bool>,
    projector_hidden_act: Option<String>,
    projector_hidden_size: Option<usize>,
    multimodal_projector_bias: Option<bool>,
    vision_feature_layer: Option<Value>,
    vision_feature_select_strategy: Option<String>,
    vision_aspect_ratio: Option<String>,
    image_grid_pinpoints: Option<Vec<[u32; 2]>>,
    scale_factor: Option<usize>,
}

pub(super) fn parse(json: &[u8]) -> Result<(ModelConfig, Vec<String>), ConfigError> {
    let value: Value = serde_json::from_slice(json)
        .map_err(|error| no_number(json, &error).unwrap_or(ConfigError::Json(error)))?;
    let raw = RawConfig::deserialize(&value)?;
    for section in [Some(&value), value.get("text_config"), value.get("vision_config")] {
        fields::expect_unquantised(section.and_then(|section| section.get("quantization_config")))?;
    }
    let family = match raw.model_type.as_str() {
        "llava" => Family::Llava,
        "llava_onevision" => Family::LlavaOnevision,
        "idefics3" | "smolvlm" => Family::Idefics3,
        _ => return Err(ConfigError::Family { got: raw.model_type, supported: SUPPORTED }),
    };
    let text = raw.text_config.as_ref();
    let tied = raw.tie_word_embeddings == Some(true)
        || text.is_some_and(|text| text.tie_word_embeddings == Some(true));
    let text = text::parse(text.unwrap_or(&text::RawText::default()), family)?;
    let vision = raw.vision_config.as_ref();
    let vision = vision::parse(vision.unwrap_or(&vision::RawVision::default()), family)?;
    let connector = match family {
        Family::Idefics3 => pixel_shuffle(&raw, vision.grid())?,
        Family::Llava | Family::LlavaOnevision => mlp(&raw, family, vision.n_layers, text.d_model)?,
    };
    let config = ModelConfig {
        family,
        connector,
        tiling: tiling(&raw, family, vision.image_size)?,
        vision,
        image_token: raw.image_token_id.or(raw.image_token_index).unwrap_or(match family {
            Family::Llava => 32000,
            Family::LlavaOnevision => 151_646,
            Family::Idefics3 => 128_257,
        }),
        text,
        tied,
    };
    Ok((config, fields::unknown(&value)))
}

/// The word for what is no number, where a file stops being JSON at one.
fn no_number(json: &[u8], error: &serde_json::Error) -> Option<ConfigError> {
    let line = error.line();
    let text = json.split(|&byte| byte == b'\n').nth(line.checked_sub(1)?)?;
    // The error stands at the word, or behind its sign.
    let at = text.get(error.column().saturating_sub(2)..)?;
    let words = ["-Infinity", "Infinity", "NaN"];
    let starts = |word: &&str| {
        (0..2).any(|skip| at.get(skip..).is_some_and(|at| at.starts_with(word.as_bytes())))
    };
    words.into_iter().find(starts).map(|word| ConfigError::NoNumber { word, line })
}

fn pixel_shuffle(raw: &RawConfig, grid: usize) -> Result<ConnectorConfig, ConfigError> {
    let scale = raw.scale_factor.unwrap_or(2);
    positive("scale_factor", scale)?;
    divides("scale_factor", scale, "the patches along a side of a tile", grid)?;
    Ok(ConnectorConfig::PixelShuffle { scale })
}

fn mlp(
    raw: &RawConfig,
    family: Family,
    n_layers: usize,
    d_model: usize,
) -> Result<ConnectorConfig, ConfigError> {
    let act = raw.projector_hidden_act.as_deref().unwrap_or("gelu");
    only("projector_hidden_act", act, "gelu")?;
    // Class defaults. What LLaVA's drops is a class token, which a SigLIP tower does not have.
    let (select, layer) = match family {
        Family::Llava => ("default", -2),
        Family::LlavaOnevision | Family::Idefics3 => ("full", -1),
    };
    let select = raw.vision_feature_select_strategy.as_deref().unwrap_or(select);
    only("vision_feature_select_strategy", select, "full")?;
    let layer = raw.vision_feature_layer.clone().unwrap_or(Value::from(layer));
    if !is_last(&layer, n_layers) {
        return Err(ConfigError::Unsupported {
            field: "vision_feature_layer",
            got: layer.to_string(),
            expected: "-1 (the last layer)",
        });
    }
    let d_hidden = raw.projector_hidden_size.unwrap_or(d_model);
    positive("projector_hidden_size", d_hidden)?;
    let bias = Bias::from(raw.multimodal_projector_bias.unwrap_or(true));
    Ok(ConnectorConfig::Mlp { d_hidden, bias })
}

/// Whether a layer, or a list of one, is the last of so many: counted from behind or from the front,
/// where 0 is what goes into the first.
fn is_last(layer: &Value, n_layers: usize) -> bool {
    let layer = match layer.as_array().map(Vec::as_slice) {
        Some([layer]) => layer,
        _ => layer,
    };
    layer.as_i64() == Some(-1) || layer.as_u64() == u64::try_from(n_layers).ok()
}

fn tiling(raw: &RawConfig, family: Family, tile: usize) -> Result<Tiling, ConfigError> {
    match family {
        Family::Llava => Ok(Tiling::Whole),
        Family::Idefics3 => Ok(Tiling::Split),
        Family::LlavaOnevision => {
            let aspect = raw.vision_aspect_ratio.as_deref().unwrap_or("anyres_max_9");
            let most = aspect.strip_prefix("anyres_max_").and_then(|n| n.parse().ok());
            let Some(max_tiles) = most.filter(|n| (1..=1024).contains(n)) else {
                return Err(ConfigError::Unsupported {
                    field: "vision_aspect_ratio",
                    got: aspect.to_owned(),
                    expected: "anyres_max_N with N from 1 to 1024",
                });
            };
            let resolutions = raw.image_grid_pinpoints.clone().unwrap_or_else(default_resolutions);
            let sides = || resolutions.iter().flatten().map(|&side| side as usize);
            if resolutions.is_empty() || resolutions.len() > 1024 {
                let (field, got) = ("the number of image_grid_pinpoints", resolutions.len());
                return Err(ConfigError::Range { field, got, expected: "1 to 1024" });
            }
            for side in sides() {
                positive("a side in image_grid_pinpoints", side)?;
                divides("vision_config.image_size", tile, "a side in image_grid_pinpoints", side)?;
            }
            Ok(Tiling::AnyRes { resolutions, max_tiles })
        }
    }
}

/// The class default: one to six tiles of 384 pixels along each side.
fn default_resolutions() -> Vec<[u32; 2]> {
    let sides = || (1..=6).map(|tiles| 384 * tiles);
    sides().flat_map(|height| sides().map(move |width| [height, width])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::AttentionBias;
    use crate::config::PatchPositions;

    fn config(json: &str) -> ModelConfig {
        ModelConfig::parse(json.as_bytes()).expect("a config")
    }

    fn refused(json: &str) -> String {
        ModelConfig::parse(json.as_bytes()).expect_err("refused").to_string()
    }

    /// What `SmolVLM-500M-Instruct` publishes, but for what has no bearing.
    const SMOLVLM: &str = r#"{
        "model_type": "idefics3", "image_token_id": 49190, "scale_factor": 4,
        "text_config": {"model_type": "llama", "hidden_size": 960, "intermediate_size": 2560,
            "num_attention_heads": 15, "num_key_value_heads": 5, "head_dim": 64,
            "rms_norm_eps": 1e-05, "rope_theta": 100000, "vocab_size": 49280,
            "max_position_embeddings": 8192, "pad_token_id": 128002, "qk_layer_norms": false},
        "vision_config": {"hidden_size": 768, "num_attention_heads": 12, "image_size": 512,
            "patch_size": 16, "size": {"longest_edge": 2048}, "use_base_siglip": true},
        "perceiver_config": {"depth": 3}, "tie_word_embeddings": false
    }"#;

    #[test]
    fn a_sparse_config_is_filled_with_the_defaults_of_its_classes() {
        let config = config(SMOLVLM);
        assert_eq!((config.text.n_layers, config.vision.n_layers), (32, 12));
        assert_eq!((config.vision.d_ffn, config.token_grid()), (3072, 8));
        assert_eq!(config.vision.positions, PatchPositions::Bucketed);
        assert!(config.vision.post_norm && !config.tied);
    }

    #[test]
    fn a_published_config_has_as_many_parameters_as_the_published_weights() {
        let config = config(
            r#"{"model_type": "idefics3", "scale_factor": 4, "image_token_id": 49190,
                "text_config": {"hidden_size": 576, "intermediate_size": 1536,
                    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
                    "head_dim": 64, "vocab_size": 49280, "max_position_embeddings": 8192},
                "vision_config": {"hidden_size": 768, "num_attention_heads": 12,
                    "image_size": 512, "patch_size": 16}}"#,
        );
        // SmolVLM-256M-Instruct.
        assert_eq!(crate::parameters(&config, None, crate::Head::Own), 256_484_928);
    }

    #[test]
    fn llava_onevision_has_biases_resolutions_and_a_tie_within() {
        let config = config(
            r#"{"model_type": "llava_onevision",
                "text_config": {"model_type": "qwen2", "tie_word_embeddings": true,
                    "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
                    "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 152000,
                    "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}},
                "vision_config": {"hidden_size": 1152, "intermediate_size": 4304,
                    "num_hidden_layers": 26, "num_attention_heads": 16, "image_size": 384,
                    "patch_size": 14, "vision_use_head": false}}"#,
        );
        assert_eq!(
            (config.text.attention_bias, config.text.rope_theta),
            (AttentionBias::Inputs, 1e6)
        );
        assert_eq!((config.image_token, config.vision.grid()), (151_646, 27));
        assert!(config.tied && !config.vision.post_norm);
        let Tiling::AnyRes { resolutions, max_tiles: 9 } = config.tiling else { panic!() };
        assert_eq!((resolutions.len(), resolutions[7]), (36, [768, 768]));
    }

    #[test]
    fn the_base_within_rope_parameters_counts_more_than_the_one_beside() {
        let base = |fields: &str| {
            let text = format!(r#""text_config": {{{fields}}}"#);
            let json = format!(r#"{{"model_type": "idefics3", "scale_factor": 1, {text}}}"#);
            config(&json).text.rope_theta
        };
        let within = r#""rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}"#;
        assert_eq!(base(&format!(r#""rope_theta": 500.0, {within}"#)), 1e6);
        assert_eq!(base(r#""rope_theta": 500.0, "rope_parameters": {}"#), 500.0);
        assert_eq!(base(""), 10000.0);
        // `rope_scaling` takes the place of `rope_parameters`, where it says anything.
        let harmless = r#""rope_scaling": {"rope_type": "default"}"#;
        assert_eq!(base(&format!(r#""rope_theta": 500.0, {harmless}, {within}"#)), 500.0);
        assert_eq!(base(&format!(r#""rope_scaling": {{"type": "default"}}, {within}"#)), 10000.0);
        assert_eq!(base(&format!(r#""rope_scaling": null, {within}"#)), 1e6);
        assert_eq!(base(&format!(r#""rope_scaling": {{}}, {within}"#)), 1e6);
    }

    #[test]
    fn the_last_layer_has_four_names() {
        for layer in ["-1", "[-1]", "12", "[12]"] {
            let onevision = config(&format!(
                r#"{{"model_type": "llava_onevision", "vision_feature_layer": {layer},
                    "vision_config": {{"image_size": 384}}}}"#
            ));
            assert_eq!(onevision.vision.n_layers, 12, "{layer}");
        }
    }

    #[test]
    fn llava_must_say_that_its_tower_is_siglip_and_drops_nothing() {
        let llava = |fields: &str| {
            format!(
                r#"{{"model_type": "llava", "vision_feature_layer": -1, {fields}
                    "text_config": {{"hidden_size": 64}}}}"#
            )
        };
        let siglip = r#""vision_config": {"model_type": "siglip_vision_model"},"#;
        let full = r#""vision_feature_select_strategy": "full","#;
        assert_eq!(config(&llava(&format!("{siglip} {full}"))).family, Family::Llava);
        let error = refused(&llava(siglip));
        assert!(error.contains("vision_feature_select_strategy = default"), "{error}");
        for clip in ["", r#""vision_config": {"model_type": "clip_vision_model"},"#] {
            let error = refused(&llava(&format!("{clip} {full}")));
            assert!(error.contains("vision_config.model_type = clip_vision_model"), "{error}");
        }
    }

    #[test]
    fn words_for_what_is_no_number_are_named_with_their_line() {
        for word in ["NaN", "Infinity", "-Infinity"] {
            for json in [format!("{{\n\"a\": {word}}}"), format!("{{\n\"a\":[1,{word},2]}}")] {
                let error = refused(&json);
                assert!(error.contains(&format!("`{word}` in line 2")), "{error}");
            }
        }
        let error = refused("{\n\"a\": Nothing}");
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn what_is_the_same_by_another_name_is_taken() {
        let with = |section: &str, field: &str| {
            SMOLVLM.replace(&format!("\"{section}\": {{"), &format!("\"{section}\": {{{field}, "))
        };
        for (section, field) in [
            ("text_config", r#""hidden_act": "swish""#),
            ("text_config", r#""use_sliding_window": true, "sliding_window": 8"#),
            ("vision_config", r#""hidden_act": "gelu_new""#),
            ("vision_config", r#""hidden_act": "gelu_fast""#),
            ("vision_config", r#""hidden_act": "gelu_python_tanh""#),
        ] {
            assert_eq!(config(&with(section, field)), config(SMOLVLM), "{field}");
        }
    }

    #[test]
    fn biases_of_llama_and_heads_of_qwen2_are_those_of_their_classes() {
        let text = |class: &str, fields: &str| {
            let text = format!(r#""text_config": {{"model_type": "{class}"{fields}}}"#);
            config(&format!(r#"{{"model_type": "idefics3", "scale_factor": 1, {text}}}"#)).text
        };
        let bias =
            |class: &str, on| text(class, &format!(r#", "attention_bias": {on}"#)).attention_bias;
        assert_eq!(bias("llama", false), AttentionBias::Nowhere);
        assert_eq!(bias("llama", true), AttentionBias::Everywhere);
        // Qwen2 has no such field.
        assert_eq!([false, true].map(|on| bias("qwen2", on)), [AttentionBias::Inputs; 2]);
        let heads = |class: &str, fields: &str| {
            text(class, &format!(r#", "num_attention_heads": 64{fields}"#)).n_kv_heads
        };
        let null = r#", "num_key_value_heads": null"#;
        assert_eq!([heads("qwen2", ""), heads("qwen2", null)], [32, 64]);
        assert_eq!([heads("llama", ""), heads("llama", null)], [64, 64]);
    }

    #[test]
    fn windows_are_refused_where_a_layer_slides() {
        let qwen2 = |fields: &str| {
            format!(
                r#"{{"model_type": "idefics3", "scale_factor": 1, "text_config": {{
                    "model_type": "qwen2", "num_hidden_layers": 4, {fields}}}}}"#
            )
        };
        let on = r#""use_sliding_window": true"#;
        for none in [
            r#""use_sliding_window": false, "max_window_layers": 1, "sliding_window": 8"#
                .to_owned(),
            format!(r#"{on}, "max_window_layers": 4"#),
            format!(r#"{on}, "max_window_layers": 0, "sliding_window": null"#),
            format!(r#"{on}, "max_window_layers": 0, "layer_types": ["full_attention"]"#),
            on.to_owned(),
        ] {
            assert_eq!(config(&qwen2(&none)).text.n_layers, 4);
        }
        let error = refused(&qwen2(&format!(r#"{on}, "max_window_layers": 3"#)));
        assert!(error.contains("text_config.use_sliding_window = true"), "{error}");
        let sliding = r#""layer_types": ["full_attention", "sliding_attention"]"#;
        let error = refused(&qwen2(sliding));
        assert!(error.contains("text_config.layer_types = sliding_attention"), "{error}");
    }

    #[test]
    fn fields_that_nobody_knows_are_named_and_the_inert_ones_are_not() {
        let (_, unknown) = ModelConfig::parse_reporting(SMOLVLM.as_bytes()).expect("a config");
        assert_eq!(unknown, [""; 0]);
        let odd = SMOLVLM.replace("\"scale_factor\"", "\"moon\": 1, \"scale_factor\"");
        let odd = odd.replace("\"patch_size\"", "\"tide\": 2, \"patch_size\"");
        let (_, unknown) = ModelConfig::parse_reporting(odd.as_bytes()).expect("a config");
        assert_eq!(unknown, ["moon", "vision_config.tide"]);
    }

    #[test]
    fn what_every_section_inherits_is_named_where_it_asks_for_something() {
        let unknown = |field: &str| {
            let json = SMOLVLM.replace("\"patch_size\"", &format!("{field}, \"patch_size\""));
            ModelConfig::parse_reporting(json.as_bytes()).expect("a config").1
        };
        for silent in [
            r#""id2label": {"0": "LABEL_0"}"#,
            r#""is_decoder": false"#,
            r#""suppress_tokens": null"#,
            r#""pruned_heads": {}"#,
            r#""max_length": 20, "repetition_penalty": 1"#,
        ] {
            assert_eq!(unknown(silent), [""; 0], "{silent}");
        }
        for (field, name) in [
            (r#""is_decoder": true"#, "is_decoder"),
            (r#""suppress_tokens": [4]"#, "suppress_tokens"),
            (r#""pruned_heads": {"0": [1]}"#, "pruned_heads"),
            (r#""repetition_penalty": 1.5"#, "repetition_penalty"),
        ] {
            assert_eq!(unknown(field), [format!("vision_config.{name}")]);
        }
    }

    #[test]
    fn quantised_weights_are_refused_with_what_to_do() {
        let of = |value: &str| {
            SMOLVLM.replacen('{', &format!("{{\"quantization_config\": {value}, "), 1)
        };
        let error = refused(&of(r#"{"quant_method": "bitsandbytes", "load_in_8bit": true}"#));
        assert!(error.contains("`bitsandbytes`") && error.contains("--dtype int8"), "{error}");
        assert!(refused(&of("{}")).contains("quantization_config"), "{}", refused(&of("{}")));
        assert_eq!(config(&of("null")), config(SMOLVLM));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let with = |section: &str, field: &str| {
            SMOLVLM.replace(&format!("\"{section}\": {{"), &format!("\"{section}\": {{{field}, "))
        };
        for (json, says) in [
            (r#"{"model_type": "paligemma"}"#.to_owned(), "model_type `paligemma`"),
            (with("text_config", r#""mlp_bias": true"#), "text_config.mlp_bias"),
            (
                with("text_config", r#""rope_scaling": {"type": "yarn"}"#),
                "text_config.rope_scaling",
            ),
            (with("text_config", r#""hidden_act": "gelu_new""#), "text_config.hidden_act"),
            (with("text_config", r#""hidden_act": "gelu""#), "text_config.hidden_act"),
            (
                with("text_config", r#""rope_parameters": {"rope_type": "yarn"}"#),
                "text_config.rope_parameters.rope_type = yarn",
            ),
            (
                with("text_config", r#""rope_parameters": {"type": "linear", "factor": 4}"#),
                "text_config.rope_parameters.rope_type = linear",
            ),
            (
                with(
                    "text_config",
                    r#""rope_scaling": {"rope_type": "llama3", "type": "default"}"#,
                ),
                "text_config.rope_scaling.rope_type = llama3",
            ),
            (with("vision_config", r#""hidden_act": "relu""#), "vision_config.hidden_act"),
            (with("vision_config", r#""num_channels": 1"#), "vision_config.num_channels"),
            (SMOLVLM.replace("\"scale_factor\": 4", "\"scale_factor\": 5"), "scale_factor = 5"),
            (SMOLVLM.replace("\"model_type\": \"llama\"", "\"model_type\": \"mamba\""), "mamba"),
        ] {
            let error = refused(&json);
            assert!(error.contains(says), "{error}");
        }
        let onevision = |rest: &str| {
            refused(&format!(
                r#"{{"model_type": "llava_onevision", {rest}, "text_config": {{"hidden_size": 64}},
                    "vision_config": {{"image_size": 30, "patch_size": 7}}}}"#
            ))
        };
        for (field, says) in [
            (r#""vision_feature_layer": [-1, 4]"#, "vision_feature_layer = [-1,4]"),
            (r#""vision_feature_layer": [-1, -1]"#, "vision_feature_layer = [-1,-1]"),
            (r#""vision_feature_layer": -2"#, "vision_feature_layer = -2"),
            (r#""vision_feature_layer": 11"#, "vision_feature_layer = 11"),
            (r#""vision_feature_layer": "last""#, "vision_feature_layer = \"last\""),
            (r#""vision_feature_select_strategy": "default""#, "vision_feature_select_strategy"),
            (r#""vision_aspect_ratio": "anyres""#, "vision_aspect_ratio = anyres"),
            (r#""image_grid_pinpoints": [[31, 30]]"#, "image_grid_pinpoints = 31"),
            (r#""image_grid_pinpoints": []"#, "the number of image_grid_pinpoints = 0"),
        ] {
            let error = onevision(field);
            assert!(error.contains(says), "{error}");
        }
    }
}
