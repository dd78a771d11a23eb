//! What checkpoints that are damaged, or not what they seem, are told.

use crate::support::*;
use serde_json::Value;
use visor::{ModelInfo, ModelRef, Question};
use visor_checkpoint::NamedTensor;

#[test]
fn tensors_that_are_missing_or_too_many_or_of_another_shape_are_named() {
    const NEWLINE: &str = "image_newline";
    const HEAD: &str = "lm_head.weight";
    for (name, tensor) in [
        ("llava-onevision", NEWLINE),
        ("llava-onevision", "vision_tower.vision_model.encoder.layers.1.mlp.fc1.bias"),
        ("llava-onevision-v5", "vision_tower.encoder.layers.1.mlp.fc1.bias"),
        ("idefics3", HEAD),
        ("idefics3", "model.connector.modality_projection.proj.weight"),
    ] {
        let place = |tensors: &[NamedTensor]| {
            tensors.iter().position(|(known, ..)| known == tensor).expect(tensor)
        };
        let copy = Copy::of(name);
        rewrite(&copy, |tensors| drop(tensors.remove(place(tensors))));
        let error = copy.refusal();
        let last = tensor.rsplit("layers.").next().unwrap();
        assert!(error.contains(last) && error.contains("is missing"), "{error}");

        let copy = Copy::of(name);
        rewrite(&copy, |tensors| {
            let at = place(tensors);
            let (_, shape, data) = &mut tensors[at];
            shape.insert(0, 1);
            assert_eq!(shape.iter().product::<usize>(), data.len());
        });
        let error = copy.refusal();
        assert!(error.contains(last) && error.contains("shape"), "{error}");

        let copy = Copy::of(name);
        rewrite(&copy, |tensors| tensors.push(("stray.weight".to_owned(), vec![1], vec![0.0])));
        assert!(copy.refusal().contains("stray.weight"), "{}", copy.refusal());
    }
}

#[test]
fn files_that_are_cut_or_lead_out_of_the_folder_are_refused() {
    let copy = Copy::of("llava-onevision");
    let bytes = std::fs::read(copy.path().join("model.safetensors")).unwrap();
    for len in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        copy.write("model.safetensors", &bytes[..len]);
        assert!(copy.refusal().contains("model.safetensors"), "{len}: {}", copy.refusal());
    }
    let mut hostile = u64::MAX.to_le_bytes().to_vec();
    hostile.extend(&bytes[8..]);
    copy.write("model.safetensors", &hostile);
    assert!(copy.refusal().contains("more than the limit"), "{}", copy.refusal());
    let copy = Copy::of("smolvlm");
    copy.replace("model.safetensors.index.json", "model-00001-of", "../model-00001-of");
    assert!(copy.refusal().contains("../model-00001-of"), "{}", copy.refusal());
    let copy = Copy::of("smolvlm");
    copy.remove("model-00003-of-00008.safetensors");
    assert!(copy.refusal().contains("model-00003-of-00008.safetensors"), "{}", copy.refusal());
}

#[test]
fn files_of_another_family_or_checkpoint_are_refused() {
    let copy = Copy::of("idefics3");
    copy.replace("config.json", "\"model_type\": \"idefics3\"", "\"model_type\": \"paligemma\"");
    assert!(copy.refusal().contains("model_type `paligemma`"), "{}", copy.refusal());
    let copy = Copy::of("idefics3");
    copy.write(
        "config.json",
        std::fs::read(golden("llava-onevision").join("config.json")).unwrap(),
    );
    copy.write(
        "preprocessor_config.json",
        std::fs::read(golden("llava-onevision").join("preprocessor_config.json")).unwrap(),
    );
    copy.remove("processor_config.json");
    let error = copy.refusal();
    assert!(error.contains("different checkpoints") || error.contains("missing"), "{error}");
    let copy = Copy::of("llava-onevision");
    copy.replace("preprocessor_config.json", "26", "28");
    assert!(copy.refusal().contains("preprocessor_config.json"), "{}", copy.refusal());
    let copy = Copy::of("idefics3");
    copy.replace("processor_config.json", "\"image_seq_len\": 4", "\"image_seq_len\": 5");
    assert!(copy.refusal().contains("image_seq_len = 5"), "{}", copy.refusal());
    let copy = Copy::of("idefics3");
    copy.remove("preprocessor_config.json");
    assert!(copy.refusal().contains("preprocessor_config.json"), "{}", copy.refusal());
}

#[test]
fn a_tokenizer_without_the_token_of_a_picture_is_refused() {
    for name in ["idefics3", "llava-onevision"] {
        let copy = Copy::of(name);
        copy.replace("tokenizer.json", "\"<image>\"", "\"<imago>\"");
        assert!(copy.refusal().contains("reads `<image>` as"), "{}", copy.refusal());
        let copy = Copy::of(name);
        let config = copy.read("config.json");
        let at = config.find("\"image_token_").unwrap();
        let colon = at + config[at..].find(": ").unwrap() + 2;
        let end = colon + config[colon..].find([',', '\n']).unwrap();
        copy.write("config.json", format!("{}65{}", &config[..colon], &config[end..]));
        assert!(copy.refusal().contains("token 65 stands for a picture"), "{}", copy.refusal());
    }
}

#[test]
fn a_chat_template_that_raises_or_is_none_says_so() {
    let copy = Copy::of("llava-onevision-v5");
    copy.write("chat_template.jinja", "{{ raise_exception('only one turn') }}");
    let error = copy.load().unwrap().prepare(Question::new("a")).unwrap_err();
    assert!(error.to_string().contains("only one turn"), "{error}");
    copy.write("chat_template.jinja", "{% for %}");
    assert!(copy.refusal().contains("chat template cannot be read"), "{}", copy.refusal());
    copy.write("chat_template.jinja", [0xff]);
    assert!(copy.refusal().contains("`chat_template.jinja` is not UTF-8"), "{}", copy.refusal());
    copy.write("chat_template.jinja", "{{ nothing.of.this }}");
    let error = copy.load().unwrap().prepare(Question::new("a")).unwrap_err();
    assert!(error.to_string().contains("chat template"), "{error}");
}

#[test]
fn a_control_token_without_an_embedding_is_an_error_where_it_is_used() {
    let copy = Copy::of("idefics3");
    let mut tokenizer: Value = serde_json::from_str(&copy.read("tokenizer.json")).unwrap();
    let tokens = tokenizer["added_tokens"].as_array_mut().unwrap();
    let mut padding = tokens.last().unwrap().clone();
    (padding["id"], padding["content"]) = (313.into(), "[PAD]".into());
    tokens.push(padding);
    copy.write("tokenizer.json", tokenizer.to_string());
    let expected = model("idefics3").ask(question(&[])).unwrap().token_ids;
    assert_eq!(copy.load().unwrap().ask(question(&[])).unwrap().token_ids, expected);
    copy.replace("tokenizer_config.json", "%}Assistant:", "%}[PAD]Assistant:");
    let error = chain(&copy.load().unwrap().ask(question(&[])).unwrap_err());
    assert!(error.contains("token id 313 is outside the vocabulary of 313"), "{error}");
}

#[test]
fn an_end_token_beyond_the_vocabulary_is_said() {
    let copy = Copy::of("idefics3");
    copy.replace("generation_config.json", "\"eos_token_id\": 312", "\"eos_token_id\": [312, 999]");
    let said = ModelInfo::open(&ModelRef::Folder(copy.path())).unwrap().unknown_fields().to_vec();
    assert_eq!(said, ["eos_token_id (999 is beyond the vocabulary of 313)"]);
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_both_numbers() {
    for name in ALL {
        let model = model(name);
        let error = model.prepare(Question::new("dots ".repeat(4000))).unwrap_err().to_string();
        assert!(error.contains("expected at most 2047"), "{name}: {error}");
    }
}
