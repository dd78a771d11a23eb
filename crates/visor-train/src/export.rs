//! A trained network as a checkpoint folder.

use crate::batch::{MEAN, SPREAD};
use crate::error::TrainError;
use crate::recipe::Arm;
use crate::trainer::Trainer;
use crate::vocabulary::{END, UNKNOWN, Vocabulary};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use visor_checkpoint::{
    CrossAttentionManifest, DEFAULT_MAX_SHARD_BYTES, DenseMode, Dtype, Manifest, Provenance,
    save_checkpoint,
};
use visor_core::Ladder;
use visor_model::config::{ConnectorConfig, ModelConfig};
use visor_model::cross::{CrossSizes, NullPair};
use visor_model::linear::Bias;
use visor_model::weights;
use visor_processor::word_level;

/// What stands around a question in a generated world's prompt.
pub const PROMPT_TEMPLATE: &str = "{image}{question}<a>";

/// The note of a manifest that says what a backbone was told of patches.
pub const SUPERVISION: &str = "supervision";
/// It was told answers, and nothing of single patches.
pub const ANSWERS_ALONE: &str = "answers alone";
/// It was told what single patches show.
pub const ANSWERS_AND_LABELS: &str = "answers, and dense grounding labels of patches in training";

/// Saves the network of a run with the ladder that was chosen for it; the arm that is to be
/// converted without one, as a stock checkpoint.
///
/// # Errors
/// If the folder cannot be written; what was there before is then unharmed.
pub fn export(trainer: &Trainer, ladder: Ladder, folder: &Path) -> Result<(), TrainError> {
    let (network, _) = trainer.for_inference();
    let tensors = weights::tensors(&network, &trainer.config().family.key_map());
    let recipe = trainer.recipe();
    let dense = match recipe.arm {
        arm if arm.is_dense() => DenseMode::Trained,
        _ => DenseMode::None,
    };
    let CrossSizes { n_kv_heads, bias, null } = trainer.extension().cross;
    let cross = CrossAttentionManifest {
        n_kv_heads,
        bias: bias == Bias::With,
        null_key: null == NullPair::Learned,
    };
    let supervision = match recipe.arm {
        Arm::SelfSupervised => ANSWERS_ALONE,
        _ => ANSWERS_AND_LABELS,
    };
    let provenance = Provenance {
        visor_version: env!("CARGO_PKG_VERSION").to_owned(),
        created: None,
        recipe: format!("{} on the generated suite {}", recipe.arm.word(), recipe.suite),
        seed: recipe.seed,
        steps: trainer.steps_done(),
        data: format!("visor-tasks {} v{}", recipe.suite, trainer.suite().version()),
        notes: BTreeMap::from([(SUPERVISION.to_owned(), supervision.to_owned())]),
    };
    let universal = || Manifest::new(ladder, recipe.positions(), cross, dense, provenance);
    let manifest = (recipe.arm != Arm::Stock).then(universal);
    let vocabulary = trainer.vocabulary();
    let words: Vec<&str> = vocabulary.words().iter().map(String::as_str).collect();
    let (special, own) = words.split_at(Vocabulary::special().len());
    let tokenizer = word_level(own, special).map_err(|source| TrainError::Unusable {
        path: folder.join("tokenizer.json"),
        because: source.to_string(),
    })?;
    let generation = json!({ "eos_token_id": vocabulary.id(END)?, "unk_token": UNKNOWN });
    let files: [(&str, Vec<u8>); 4] = [
        ("tokenizer.json", tokenizer),
        ("generation_config.json", pretty(&generation)),
        ("preprocessor_config.json", pretty(&preprocessor(trainer.config()))),
        ("prompt_template.txt", PROMPT_TEMPLATE.as_bytes().to_vec()),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, b)| (*name, b.as_slice())).collect();
    let config = pretty(&config_json(trainer.config()));
    save_checkpoint(
        folder,
        &config,
        &files,
        manifest.as_ref(),
        &tensors,
        Dtype::F32,
        DEFAULT_MAX_SHARD_BYTES,
    )?;
    Ok(())
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn preprocessor(config: &ModelConfig) -> serde_json::Value {
    let side = config.vision.image_size;
    json!({
        "do_convert_rgb": true,
        "do_resize": true,
        "size": { "height": side, "width": side },
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": [MEAN, MEAN, MEAN],
        "image_std": [SPREAD, SPREAD, SPREAD],
    })
}

/// A `config.json` in the fields of `transformers`' LLaVA, which [`ModelConfig::parse`] reads back.
pub fn config_json(config: &ModelConfig) -> serde_json::Value {
    let (vision, text) = (&config.vision, &config.text);
    let d_hidden = match config.connector {
        ConnectorConfig::Mlp { d_hidden, .. } => d_hidden,
        ConnectorConfig::PixelShuffle { .. } => text.d_model,
    };
    json!({
        "model_type": "llava",
        "image_token_index": config.image_token,
        "projector_hidden_act": "gelu",
        "projector_hidden_size": d_hidden,
        "multimodal_projector_bias": true,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": config.tied,
        "text_config": {
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": text.d_model,
            "intermediate_size": text.d_ffn,
            "num_hidden_layers": text.n_layers,
            "num_attention_heads": text.n_heads,
            "num_key_value_heads": text.n_kv_heads,
            "head_dim": text.head_dim,
            "vocab_size": text.vocab,
            "rms_norm_eps": text.rms_norm_eps,
            "rope_theta": text.rope_theta,
            "max_position_embeddings": text.max_positions,
            "tie_word_embeddings": config.tied,
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": vision.d_model,
            "intermediate_size": vision.d_ffn,
            "num_hidden_layers": vision.n_layers,
            "num_attention_heads": vision.n_heads,
            "num_channels": 3,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "layer_norm_eps": vision.layer_norm_eps,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn a_written_config_is_read_back_as_it_was() {
        let config = Recipe::nano(1).config(64, 2).expect("a configuration");
        let json = pretty(&config_json(&config));
        assert_eq!(ModelConfig::parse(&json).expect("its own file"), config);
    }
}
