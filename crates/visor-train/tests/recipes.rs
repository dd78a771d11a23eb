//! The recipes of `models/recipes` fit the models of the hub that they name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use visor_core::Layout;
use visor_model::ModelConfig;
use visor_train::convert::default_ladder;
use visor_train::tuning::{DecoderSizes, ModelRecipe};

/// Published sizes of the decoders: layers, width, heads, key and value heads.
const PUBLISHED: [(&str, [usize; 4]); 8] = [
    ("HuggingFaceTB/SmolVLM-256M-Instruct", [30, 576, 9, 3]),
    ("HuggingFaceTB/SmolVLM-500M-Instruct", [32, 960, 15, 5]),
    ("HuggingFaceTB/SmolVLM-Instruct", [24, 2048, 32, 32]),
    ("HuggingFaceTB/SmolVLM2-256M-Video-Instruct", [30, 576, 9, 3]),
    ("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", [32, 960, 15, 5]),
    ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", [24, 2048, 32, 32]),
    ("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", [24, 896, 14, 2]),
    ("llava-hf/llava-onevision-qwen2-7b-ov-hf", [28, 3584, 28, 4]),
];

fn recipes() -> Vec<(PathBuf, ModelRecipe)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/recipes");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_recipe = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    let read = |path: PathBuf| (path.clone(), ModelRecipe::read(&path).unwrap());
    paths.filter(is_recipe).map(read).collect()
}

#[test]
fn there_is_a_recipe_for_every_model_and_it_has_the_published_sizes() {
    let recipes = recipes();
    let found: BTreeMap<&str, DecoderSizes> =
        recipes.iter().map(|(_, recipe)| (recipe.model.as_str(), recipe.decoder)).collect();
    let sizes = |[n_layers, d_model, n_heads, n_kv_heads]: [usize; 4]| DecoderSizes {
        n_layers,
        d_model,
        n_heads,
        n_kv_heads,
    };
    let published = PUBLISHED.map(|(model, numbers)| (model, sizes(numbers)));
    assert_eq!(found, published.into());
    assert_eq!(recipes.len(), PUBLISHED.len());
}

#[test]
fn layers_and_rungs_are_those_that_the_method_has_for_the_depth() {
    for (path, recipe) in recipes() {
        let n_layers = recipe.decoder.n_layers;
        let expected = default_ladder(Layout::conversion_default(n_layers).unwrap()).unwrap();
        assert_eq!(recipe.plan().ladder(n_layers).unwrap(), expected, "{}", path.display());
    }
}

#[test]
fn a_recipe_is_for_its_model_and_no_other() {
    let config = |hidden: usize| {
        let json = format!(
            r#"{{"model_type": "llava_onevision", "image_token_index": 2,
            "text_config": {{"hidden_size": {hidden}, "intermediate_size": 24,
            "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
            "vocab_size": 11}}, "vision_config": {{"hidden_size": 8, "intermediate_size": 12,
            "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8,
            "patch_size": 4}}}}"#
        );
        ModelConfig::parse(json.as_bytes()).unwrap()
    };
    let all = recipes();
    let of = |model: &str| all.iter().find(|(_, recipe)| recipe.model == model).unwrap();
    let (_, recipe) = of("llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
    recipe.expect(&config(896)).unwrap();
    let error = recipe.expect(&config(448)).unwrap_err().to_string();
    assert!(error.contains("448") && error.contains("0.5b-ov-hf"), "{error}");
}

#[test]
fn a_file_that_is_no_recipe_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.json");
    let (good, _) = &recipes()[0];
    let good = fs::read_to_string(good).unwrap();
    for (from, to, says) in [
        ("\"batch\": 128", "\"batch\": 0", "batch is 0"),
        ("\"batch\": 128", "\"bach\": 128", "unknown field `bach`"),
        ("\"self_attention\": [4,", "\"self_attention\": [3,", "both as cross-attention"),
        ("\"clip\": 1.0", "\"clip\": \"x\"", "mine.json"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replace(from, to)).unwrap();
        let error = ModelRecipe::read(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
