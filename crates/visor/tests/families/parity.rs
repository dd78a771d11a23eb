//! Every seam against recordings of `transformers`.

use crate::support::*;
use serde_json::Value;
use visor::{Dtype, LoadOptions, Model, ModelInfo, ModelRef, Parity, PictureSize, SeamDifference};

/// Largest error that single precision excuses, as a share of the largest value of a seam.
const TOLERANCE: f64 = 2e-5;

fn parity(name: &str) -> Parity {
    model(name).verify(&golden(name), None).unwrap()
}

#[test]
fn every_recorded_seam_of_every_family_is_reproduced() {
    for name in ALL {
        let parity = parity(name);
        let failures = parity.failures(TOLERANCE);
        assert!(failures.is_empty(), "{name}: {failures:#?}");
        let seams: Vec<&str> = parity.seams.iter().map(|seam| seam.seam.as_str()).collect();
        let of_idefics3 = ["vision_post_layernorm"];
        let always = [
            "tiles_u8",
            "input_ids",
            "vision_embeddings",
            "vision_layer_0",
            "vision_layer_1",
            "connector",
            "image_features",
            "hidden_0",
            "hidden_1",
            "hidden_2",
            "hidden_3",
            "logits",
            "first_logits",
            "step_logits",
            "generated_ids",
            "generated_ids, no cache",
        ];
        let expected = always.iter().chain(of_idefics3.iter().filter(|_| !name.contains("llava")));
        for seam in expected {
            assert!(seams.contains(seam), "{name} compared no {seam}: {seams:?}");
        }
    }
}

#[test]
fn an_answer_is_that_of_transformers() {
    for name in ALL {
        let model = model(name);
        let cases = std::fs::read(golden(name).join("reference/cases.json")).unwrap();
        let cases: Value = serde_json::from_slice(&cases).unwrap();
        for (case, asked) in cases["cases"].as_object().unwrap() {
            if asked["options"].as_object().unwrap().contains_key("do_image_splitting") {
                continue;
            }
            let names = asked["images"].as_array().unwrap().iter();
            let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
            let answer = model.ask(question(&names)).unwrap();
            let file = golden(name).join(format!("reference/{case}.safetensors"));
            let bytes = std::fs::read(file).unwrap();
            let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let recorded = tensors.tensor("generated_ids").unwrap();
            let (ids, _) = recorded.data().as_chunks::<8>();
            let ids: Vec<u32> = ids.iter().map(|id| i64::from_le_bytes(*id) as u32).collect();
            assert_eq!(answer.token_ids, ids, "{name}, {case}");
        }
    }
}

#[test]
fn tensors_are_found_by_every_name_that_transformers_gives_them() {
    let expected = model("llava-onevision-v5").ask(question(&["photo"])).unwrap().token_ids;
    for [vision, language] in [
        ["vision_tower.vision_model.", "language_model.model."],
        ["model.vision_tower.", "model.language_model."],
        ["model.vision_tower.vision_model.", "model.language_model."],
    ] {
        let copy = Copy::of("llava-onevision-v5");
        rewrite(&copy, |tensors| {
            for (name, ..) in tensors {
                let inner = vision.starts_with("model.");
                *name = match name.strip_prefix("vision_tower.") {
                    Some(rest) => format!("{vision}{rest}"),
                    None => match name.strip_prefix("language_model.model.") {
                        Some(rest) => format!("{language}{rest}"),
                        None if inner => format!("model.{name}"),
                        None => name.clone(),
                    },
                };
            }
        });
        let answer = copy.load().unwrap().ask(question(&["photo"])).unwrap();
        assert_eq!(answer.token_ids, expected, "{vision}");
    }
}

#[test]
fn answers_end_where_the_generation_config_says() {
    for name in ALL {
        let model = model(name);
        let end = if name.contains("llava") { "<|im_end|>" } else { "<end_of_utterance>" };
        let id = runner(&model).tokenizer().token_to_id(end).unwrap();
        assert_eq!(model.card().eos, [id], "{name}");
    }
}

#[test]
fn a_reference_of_other_weights_is_not_reproduced() {
    let parity = model("llava-onevision").verify(&golden("llava-onevision-v5"), None).unwrap();
    let failures = parity.failures(TOLERANCE);
    let failed: Vec<&str> = failures.iter().map(|seam| seam.seam.as_str()).collect();
    assert!(failed.contains(&"hidden_1") && !failed.contains(&"tiles_u8"), "{failed:?}");
    let exact = |seam: &str| parity.seams.iter().find(|known| known.seam == seam).unwrap().worst;
    assert!(matches!(exact("input_ids"), SeamDifference::Exact { differing: 0, .. }));
}

#[test]
fn a_stock_folder_is_inspected_without_its_weights_and_offers_dense_alone() {
    for name in ALL {
        let copy = Copy::of(name);
        let loaded = copy.load().unwrap();
        for entry in std::fs::read_dir(copy.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let info = ModelInfo::open(&ModelRef::Folder(copy.path())).unwrap();
        assert_eq!(info.card().parameters, loaded.card().parameters, "{name}");
        assert!(info.card().ladder.is_none() && info.manifest().is_none());
        assert_eq!(info.unknown_fields(), [""; 0], "{name}");
        for pictures in [&[][..], &["photo"], &["tall"], &["dot"], &["photo", "wide"]] {
            let answer = loaded.ask(question(pictures)).unwrap();
            let sizes = pictures.iter().map(|name| {
                let picture = picture(name);
                PictureSize { width: picture.width(), height: picture.height() }
            });
            let sizes: Vec<PictureSize> = sizes.collect();
            let (_, visual) = info.visual(&sizes);
            assert_eq!(visual, answer.visual_tokens, "{name}, {pictures:?}");
            let error = loaded.ask(question(pictures).budget("sa1".parse().unwrap())).unwrap_err();
            assert!(error.to_string().contains("dense"), "{error}");
        }
    }
}

/// What rounded weights may do to a seam, as a share of its largest value: that of `visor verify`.
#[test]
fn every_seam_in_fewer_bytes_is_within_the_tolerance_of_its_format() {
    for (dtype, tolerance) in [(Dtype::BF16, 2e-2), (Dtype::F16, 3e-3), (Dtype::Int8, 1e-1)] {
        let mut largest = 0.0_f64;
        for name in ALL {
            let options = LoadOptions::default().dtype(dtype);
            let model = Model::load(&ModelRef::Folder(golden(name)), &options).unwrap();
            let parity = model.verify(&golden(name), None).unwrap();
            // Answers may part at a near tie; what is prepared is the same to the bit.
            let seams = parity.seams.iter().filter(|seam| !seam.seam.starts_with("generated_ids"));
            for seam in seams {
                match seam.worst {
                    SeamDifference::Exact { differing, .. } => assert_eq!(differing, 0, "{seam:?}"),
                    SeamDifference::Close { .. } => {
                        let share = seam.worst.relative();
                        assert!(share <= tolerance, "{dtype}, {name}: {seam:?}");
                        largest = largest.max(share);
                    }
                }
            }
        }
        // Single precision would be nearer by far: the format is really used.
        assert!(largest > 1e-4, "{dtype}: {largest}");
    }
}
