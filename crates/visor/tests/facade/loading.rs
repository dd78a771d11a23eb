//! Checkpoints are loaded whole or not at all.

use crate::support::*;
use std::sync::{Arc, Mutex};
use visor::{
    CheckpointError, Error, LoadOptions, Model, ModelError, ModelRef, Reading, ReadingStage, Trust,
    Watch,
};
use visor_checkpoint::Dtype;

fn refused(folder: &Folder) -> String {
    match folder.load() {
        Ok(_) => panic!("loaded"),
        Err(error) => chain(&error),
    }
}

#[test]
fn loading_tells_how_far_it_is_and_loads_the_same_model() {
    let folder = Folder::universal();
    let expected = folder.load().unwrap().ask(question()).unwrap().token_ids;
    let told: Arc<Mutex<Vec<Reading>>> = Arc::default();
    let seen = Arc::clone(&told);
    let watch = Watch::new(move |reading| seen.lock().unwrap().push(reading));
    let options = LoadOptions::default();
    let model = Model::load_watched(&folder.model_ref(), &options, watch).unwrap();
    assert_eq!(model.ask(question()).unwrap().token_ids, expected);
    let told = told.lock().unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.stage, last.done), (ReadingStage::Load, last.bytes));
}

#[test]
fn every_tensor_is_accounted_for() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let report = model.load_report();
    assert_eq!(report.weights.parameters, model.card().parameters);
    assert!(report.weights.ignored.is_empty());
    assert_eq!(report.verified.trust, Trust::Hashed);
    assert_eq!(model.card().sha256, Some(report.verified.digests.backbone.to_string()));
    assert_eq!(Folder::stock().load().unwrap().load_report().verified.trust, Trust::Unrecorded);
}

#[test]
fn a_tensor_too_few_too_many_or_of_another_shape_is_an_error() {
    let folder = Folder::universal();
    folder.rewrite(|parts| {
        parts.tensors.retain(|(name, _, _)| name != "visor.layers.4.cross.gate");
    });
    let error = refused(&folder);
    assert!(error.contains("`visor.layers.4.cross.gate`") && error.contains("missing"), "{error}");

    let folder = Folder::universal();
    folder.rewrite(|parts| parts.tensors.push(("visor.extra".to_owned(), vec![1], vec![1.0])));
    let error = refused(&folder);
    assert!(error.contains("`visor.extra`") && error.contains("no use for"), "{error}");

    let folder = Folder::universal();
    folder.rewrite(|parts| {
        let name = "visor.conditional_position.weight";
        let tensor = parts.tensors.iter_mut().find(|(known, _, _)| known == name).unwrap();
        tensor.1 = vec![7, 1, 32];
    });
    let error = refused(&folder);
    assert!(error.contains("[7, 1, 32]") && error.contains("[32, 1, 7]"), "{error}");
}

#[test]
fn a_stock_model_with_visor_tensors_is_half_a_universal_one_and_refused() {
    let folder = Folder::universal();
    std::fs::remove_file(folder.path().join("visor.json")).unwrap();
    let error = refused(&folder);
    assert!(error.contains("visor.conditional_position.weight"), "{error}");
}

#[test]
fn damaged_weights_are_an_error() {
    let folder = Folder::universal();
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    assert!(refused(&folder).contains("sha256"));
    std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    assert!(refused(&folder).contains("model.safetensors"));
    std::fs::write(&path, &whole).unwrap();
    assert!(folder.load().is_ok());
}

#[test]
fn config_and_manifest_must_agree() {
    let changes: [(&str, &str, &str); 7] = [
        ("\"num_hidden_layers\": 7", "\"num_hidden_layers\": 8", "8 decoder layers"),
        (
            "\"num_attention_heads\": 4, \"num_key",
            "\"num_attention_heads\": 3, \"num_key",
            "divide",
        ),
        ("\"model_type\": \"llava\"", "\"model_type\": \"other\"", "`other`"),
        ("\"vocab_size\": 27", "\"vocab_size\": 26", "an embedding for 26"),
        ("\"vocab_size\": 27", "\"vocab_size\": 28", "shape"),
        ("\"patch_size\": 8", "\"patch_size\": 16", "shape"),
        ("\"intermediate_size\": 64", "\"intermediate_size\": 16777216", "shape"),
    ];
    for (from, to, expected) in changes {
        let folder = Folder::universal();
        folder.rewrite(|parts| {
            assert!(parts.config.contains(from), "{from}");
            parts.config = parts.config.replacen(from, to, 1);
        });
        let error = refused(&folder);
        assert!(error.contains(expected), "{error}");
    }
    let folder = Folder::universal();
    folder.rewrite(|parts| parts.manifest.as_mut().unwrap().cross.n_kv_heads = 3);
    assert!(refused(&folder).contains("n_kv_heads of visor.json"));
    let folder = Folder::universal();
    folder.rewrite(|parts| parts.manifest.as_mut().unwrap().cross.null_key = false);
    assert!(refused(&folder).contains("null_key"));
}

#[test]
fn impossible_sizes_are_errors_before_anything_is_made_of_them() {
    let folder = Folder::stock();
    let config = folder.read("config.json");
    for (from, to, expected) in [
        ("\"num_hidden_layers\": 7", "\"num_hidden_layers\": 16777216", "at most 1024"),
        ("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 16777216", "at most 1024"),
        ("\"image_size\": 32", "\"image_size\": 16777216", "at most 4096"),
        ("\"hidden_size\": 32", "\"hidden_size\": 16777216", "number of weights"),
    ] {
        assert!(config.contains(from), "{from}");
        folder.write("config.json", config.replace(from, to));
        let error = refused(&folder);
        assert!(error.contains(expected), "{error}");
        let error = visor::ModelInfo::open(&folder.model_ref()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_says_how_to_ask_is_missed_by_name() {
    for file in ["tokenizer.json", "preprocessor_config.json", "prompt_template.txt"] {
        let folder = Folder::universal();
        folder.rewrite(|parts| parts.extra.retain(|(name, _)| name != file));
        let error = refused(&folder);
        assert!(error.contains(file), "{error}");
        // One that the manifest lists is missed by the verification at the latest.
        let folder = Folder::universal();
        std::fs::remove_file(folder.path().join(file)).unwrap();
        let error = refused(&folder);
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn files_that_contradict_the_model_are_errors() {
    let folder = Folder::universal();
    folder.rewrite(|parts| *parts.extra("prompt_template.txt") = b"{picture}".to_vec());
    assert!(refused(&folder).contains("{question}"));
    let folder = Folder::universal();
    folder.rewrite(|parts| *parts.extra("prompt_template.txt") = vec![0xff]);
    assert!(refused(&folder).contains("UTF-8"));
    let folder = Folder::universal();
    folder.rewrite(|parts| {
        let json = parts.extra("preprocessor_config.json");
        *json = String::from_utf8(json.clone()).unwrap().replace("32", "64").into_bytes();
    });
    assert!(refused(&folder).contains("tiles of 64 pixels"));
    let folder = Folder::universal();
    folder.rewrite(|parts| {
        *parts.extra("generation_config.json") = b"{\"eos_token_id\": []".to_vec()
    });
    assert!(refused(&folder).contains("generation_config.json"));
    let folder = Folder::universal();
    folder.rewrite(|parts| {
        let words: Vec<String> = (0..60).map(|i| format!("w{i}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        *parts.extra("tokenizer.json") = visor_processor::word_level(&words, &["<unk>"]).unwrap();
    });
    assert!(matches!(folder.load(), Err(Error::Vocabulary { tokenizer: 61, model: 27 })));
}

#[test]
fn weights_may_lie_in_halves_and_in_shards() {
    let folder = Folder::universal();
    let whole = folder.load().unwrap();
    let expected = whole.ask(question()).unwrap().token_ids;
    folder.rewrite(|parts| parts.max_shard_bytes = 20_000);
    assert!(folder.path().join("model.safetensors.index.json").exists());
    let sharded = folder.load().unwrap();
    assert_eq!(sharded.ask(question()).unwrap().token_ids, expected);
    assert_eq!(sharded.card().sha256, whole.card().sha256);
    for dtype in [Dtype::F16, Dtype::BF16] {
        let folder = Folder::universal();
        folder.rewrite(|parts| parts.dtype = dtype);
        assert!(folder.load().unwrap().ask(question()).is_ok());
    }
}

#[test]
fn a_head_of_its_own_is_used_where_the_weights_have_one() {
    let tied = Folder::universal();
    let expected = tied.load().unwrap().ask(question()).unwrap().token_ids;
    let table = |parts: &Parts| {
        let name = "language_model.model.embed_tokens.weight";
        parts.tensors.iter().find(|(known, _, _)| known == name).unwrap().clone()
    };
    // A copy of the table answers alike, a negated one does not.
    for (sign, alike) in [(1.0, true), (-1.0, false)] {
        let folder = Folder::universal();
        folder.rewrite(|parts| {
            let (_, shape, values) = table(parts);
            let head = values.iter().map(|value| sign * value).collect();
            parts.tensors.push(("language_model.lm_head.weight".to_owned(), shape, head));
        });
        let model = folder.load().unwrap();
        assert_eq!(model.ask(question()).unwrap().token_ids == expected, alike);
    }
    // Without a head, a configuration that promises one is contradicted.
    let folder = Folder::universal();
    folder.rewrite(|parts| {
        parts.config =
            parts.config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    });
    assert!(refused(&folder).contains("lm_head.weight"));
}

#[test]
fn a_model_that_is_not_there_says_what_was_expected() {
    let folder = Folder::universal();
    let nowhere = folder.path().join("nowhere");
    let error = visor::Model::load(&ModelRef::Folder(nowhere.clone()), &Default::default());
    assert!(matches!(error, Err(Error::Checkpoint(CheckpointError::NoFolder { .. }))));
    let error = nowhere.display().to_string().parse::<ModelRef>().unwrap_err().to_string();
    assert!(error.contains("there is no model"), "{error}");
    let hub: ModelRef = "llava-hf/llava-interleave".parse().unwrap();
    let error = visor::ModelInfo::open(&hub).unwrap_err().to_string();
    assert!(error.contains("has not been fetched"), "{error}");
    folder.write("config.json", "{");
    let error = visor::ModelInfo::open(&folder.model_ref()).unwrap_err();
    assert!(matches!(error, Error::Model(ModelError::Config(_))), "{error}");
    assert!(!folder.read("visor.json").is_empty());
}
