//! Checkpoints that `transformers` writes as well: LLaVA, biases of Llama, buffers of older versions.

use crate::support::*;
use visor_checkpoint::NamedTensor;

const PREPROCESSOR: &str = r#"{
    "size": {"height": 26, "width": 26}, "resample": 3, "rescale_factor": 0.00392156862745098,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor"
}"#;

/// A golden of LLaVA-OneVision as LLaVA of the same sizes: one tile a picture and no new lines.
fn llava() -> Copy {
    let copy = Copy::of("llava-onevision-v5");
    copy.replace("config.json", "\"llava_onevision\"", "\"llava\"");
    copy.remove("processor_config.json");
    copy.write("preprocessor_config.json", PREPROCESSOR);
    rewrite(&copy, |tensors| tensors.retain(|(name, ..)| name != "image_newline"));
    copy
}

fn answer(copy: &Copy) -> Vec<u32> {
    copy.load().unwrap().ask(question(&["photo"])).unwrap().token_ids
}

#[test]
fn llava_is_found_by_every_name_that_transformers_gives_its_tensors() {
    let expected = answer(&llava());
    assert!(!expected.is_empty());
    for [vision, projector, language] in [
        ["vision_tower.vision_model.", "multi_modal_projector.", "language_model.model."],
        ["model.vision_tower.", "model.multi_modal_projector.", "model.language_model."],
        [
            "model.vision_tower.vision_model.",
            "model.multi_modal_projector.",
            "model.language_model.",
        ],
    ] {
        let copy = llava();
        rewrite(&copy, |tensors| {
            // Written by `transformers`, read by nobody.
            let norm = "vision_tower.post_layernorm.weight";
            assert!(tensors.iter().any(|(name, ..)| name == norm));
            for (name, ..) in tensors {
                for (old, new) in [
                    ("vision_tower.", vision),
                    ("multi_modal_projector.", projector),
                    ("language_model.model.", language),
                ] {
                    if let Some(rest) = name.strip_prefix(old) {
                        *name = format!("{new}{rest}");
                        break;
                    }
                }
            }
        });
        assert_eq!(answer(&copy), expected, "{vision}");
    }
}

#[test]
fn llava_that_drops_its_first_token_or_has_another_tower_is_refused_by_name() {
    let copy = llava();
    copy.replace("config.json", "\"vision_feature_select_strategy\"", "\"moon\"");
    let error = copy.refusal();
    assert!(error.contains("vision_feature_select_strategy = default"), "{error}");
    let copy = llava();
    copy.replace("config.json", "\"siglip_vision_model\"", "\"clip_vision_model\"");
    let error = copy.refusal();
    assert!(error.contains("vision_config.model_type = clip_vision_model"), "{error}");
}

#[test]
fn all_four_biases_of_llama_attention_are_read_and_added() {
    let expected = answer(&Copy::of("idefics3"));
    let with = |map: &str, value: fn(usize) -> f32| {
        let copy = Copy::of("idefics3");
        copy.replace(
            "config.json",
            "\"text_config\": {",
            "\"text_config\": {\"attention_bias\": true,",
        );
        rewrite(&copy, |tensors| {
            for layer in 0..3 {
                for (known, n) in [("q", 32), ("k", 16), ("v", 16), ("o", 32)] {
                    let name =
                        format!("model.text_model.layers.{layer}.self_attn.{known}_proj.bias");
                    let value = |i| if known == map { value(i) } else { 0.0 };
                    tensors.push((name, vec![n], (0..n).map(value).collect()));
                }
            }
        });
        copy
    };
    assert_eq!(answer(&with("none", |_| 0.0)), expected);
    assert_ne!(answer(&with("o", |i| [9.0, -9.0, 5.0][i % 3])), expected);
    let copy = with("none", |_| 0.0);
    let gone = "model.text_model.layers.1.self_attn.o_proj.bias";
    rewrite(&copy, |tensors| tensors.retain(|(name, ..)| name != gone));
    assert!(copy.refusal().contains(gone), "{}", copy.refusal());
}

#[test]
fn buffers_that_older_versions_saved_are_passed_over_in_every_family() {
    for (name, decoder, vision) in [
        ("idefics3", "model.text_model.", "model.vision_model."),
        ("llava-onevision", "language_model.model.", "vision_tower.vision_model."),
        ("llava-onevision-v5", "model.language_model.", "vision_tower."),
    ] {
        let copy = Copy::of(name);
        let expected = answer(&copy);
        rewrite(&copy, |tensors| {
            let buffer = |name: String| -> NamedTensor { (name, vec![1, 2], vec![0.0, 1.0]) };
            tensors.push(buffer(format!("{decoder}layers.0.self_attn.rotary_emb.inv_freq")));
            tensors.push(buffer(format!("{decoder}rotary_emb.inv_freq")));
            tensors.push(buffer(format!("{vision}embeddings.position_ids")));
        });
        assert_eq!(answer(&copy), expected, "{name}");
        rewrite(&copy, |tensors| tensors.push(("my_inv_freq".to_owned(), vec![1], vec![0.0])));
        assert!(copy.refusal().contains("my_inv_freq"), "{}", copy.refusal());
    }
}
