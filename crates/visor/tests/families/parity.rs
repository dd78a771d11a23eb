//! Every seam against recordings of `transformers`.

use crate::support::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype as Stored, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use tempfile::TempDir;
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
        assert_eq!(parity.not_compared, [""; 0], "{name}");
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
    let ids = parity.seams.iter().find(|known| known.seam == "input_ids").unwrap();
    assert!(matches!(ids.worst, SeamDifference::Exact { differing: 0, .. }));
}

/// Bytes of every tensor of a recording, by name.
type Tensors = BTreeMap<String, (Stored, Vec<usize>, Vec<u8>)>;

/// Holds a model against one of its recordings, changed.
fn against(change: impl FnOnce(&mut Tensors)) -> Result<Parity, visor::Error> {
    let name = "llava-onevision";
    let folder = golden(name).join("reference");
    let cases = std::fs::read(folder.join("cases.json")).unwrap();
    let mut cases: Value = serde_json::from_slice(&cases).unwrap();
    cases["cases"].as_object_mut().unwrap().retain(|case, _| case == "two");
    let bytes = std::fs::read(folder.join("two.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.tensors().into_iter();
    let mut tensors: Tensors = tensors
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let copy = TempDir::new().unwrap();
    std::fs::write(copy.path().join("cases.json"), cases.to_string()).unwrap();
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(copy.path().join("two.safetensors"), bytes).unwrap();
    model(name).verify(copy.path(), Some(&golden("images")))
}

#[test]
fn what_was_recorded_under_other_names_is_listed_and_the_rest_is_compared() {
    let whole = against(|_| {}).unwrap();
    let parity = against(|tensors| {
        let ids = tensors["input_ids"].clone();
        let doubles = (Stored::F64, vec![1], 1.0_f64.to_le_bytes().to_vec());
        tensors.extend([("ids_of_another".to_owned(), ids), ("a_double".to_owned(), doubles)]);
    });
    let parity = parity.unwrap();
    assert_eq!(parity.not_compared, ["a_double", "ids_of_another"]);
    assert_eq!((&parity.seams, whole.not_compared.len()), (&whole.seams, 0));
    // Nothing is compared with the scores of an answer that was not recorded.
    let parity = against(|tensors| drop(tensors.remove("generated_ids"))).unwrap();
    assert_eq!(parity.not_compared, ["first_logits"]);
}

/// The first `rows` of a recording.
fn shorten(tensors: &mut Tensors, name: &str, rows: usize) {
    let (_, shape, data) = tensors.get_mut(name).unwrap();
    data.truncate(data.len() / shape[0] * rows);
    shape[0] = rows;
}

#[test]
fn recordings_that_are_cut_or_turned_fail_with_both_shapes() {
    for (name, rows, recorded, expected) in [
        ("image_features", 5, &[5, 32][..], &[34, 32][..]),
        ("first_logits", 3, &[3], &[1, 298]),
        ("first_logits", 0, &[0], &[1, 298]),
        ("input_ids", 76, &[76], &[77]),
        ("tiles_u8", 1, &[1, 1, 3, 26, 26], &[2, 3, 26, 26]),
        // No end token ends it, and eight were asked for.
        ("generated_ids", 4, &[4], &[8]),
    ] {
        let parity = against(|tensors| shorten(tensors, name, rows)).unwrap();
        let failures = parity.failures(1.0);
        let [failed] = failures.as_slice() else { panic!("{name}: {failures:#?}") };
        let shapes = SeamDifference::Shape { recorded: recorded.into(), expected: expected.into() };
        assert_eq!((failed.seam.as_str(), &failed.worst), (name, &shapes));
    }
    let turned = |tensors: &mut Tensors| {
        let (_, shape, _) = tensors.get_mut("image_features").unwrap();
        shape.reverse();
    };
    assert_eq!(against(turned).unwrap().failures(1.0).len(), 1);
}

#[test]
fn a_short_answer_that_an_end_token_ends_is_a_whole_one() {
    let end = runner(&model("llava-onevision")).card().eos[0];
    let parity = against(|tensors| {
        shorten(tensors, "generated_ids", 4);
        let (_, _, data) = tensors.get_mut("generated_ids").unwrap();
        data[24..].copy_from_slice(&i64::from(end).to_le_bytes());
    });
    let parity = parity.unwrap();
    let answer = parity.seams.iter().find(|seam| seam.seam == "generated_ids").unwrap();
    assert_eq!(answer.worst, SeamDifference::Exact { values: 4, differing: 1 });
}

#[test]
fn a_recorded_number_that_is_none_fails() {
    for wrong in [f32::NAN, f32::INFINITY] {
        let parity = against(|tensors| {
            let (_, _, data) = tensors.get_mut("first_logits").unwrap();
            data[12..16].copy_from_slice(&wrong.to_le_bytes());
        });
        let parity = parity.unwrap();
        let failures = parity.failures(1e9);
        let [failed] = failures.as_slice() else { panic!("{wrong}: {failures:#?}") };
        assert_eq!(
            (failed.seam.as_str(), failed.worst.relative()),
            ("first_logits", f64::INFINITY)
        );
    }
}

#[test]
fn recordings_in_half_precision_and_ids_in_four_bytes_are_read() {
    let shorter = |(dtype, _, data): &mut (Stored, Vec<usize>, Vec<u8>)| match dtype {
        Stored::F32 => {
            // The upper half of a single is the same number with fewer bits.
            let upper = |word: &[u8; 4]| [word[2], word[3]];
            (*dtype, *data) = (Stored::BF16, data.as_chunks().0.iter().flat_map(upper).collect());
        }
        Stored::I64 => {
            let lower = |word: &[u8; 8]| [word[0], word[1], word[2], word[3]];
            (*dtype, *data) = (Stored::I32, data.as_chunks().0.iter().flat_map(lower).collect());
        }
        _ => {}
    };
    let whole = against(|_| {}).unwrap();
    let parity = against(|tensors| tensors.values_mut().for_each(shorter)).unwrap();
    let seams = |parity: &Parity| -> Vec<String> {
        parity.seams.iter().map(|seam| seam.seam.clone()).collect()
    };
    assert_eq!(seams(&parity), seams(&whole));
    assert!(parity.failures(2e-2).is_empty(), "{:#?}", parity.failures(2e-2));
    // They were rounded, and f16 is told from bf16.
    assert!(!parity.failures(TOLERANCE).is_empty());
    let ones = |tensors: &mut Tensors| {
        let (dtype, _, data) = tensors.get_mut("first_logits").unwrap();
        (*dtype, *data) = (Stored::F16, [0x00, 0x3c].repeat(data.len() / 4));
    };
    let parity = against(ones).unwrap();
    let scores = parity.seams.iter().find(|seam| seam.seam == "first_logits").unwrap();
    assert!(matches!(scores.worst, SeamDifference::Close { largest: 1.0, .. }), "{scores:?}");
}

#[test]
fn a_seam_in_a_format_that_cannot_be_compared_is_an_error_that_names_it() {
    let as_doubles = |tensors: &mut Tensors| {
        let (dtype, shape, data) = tensors.get_mut("first_logits").unwrap();
        (*dtype, shape[0]) = (Stored::F64, data.len() / 8);
        data.truncate(shape[0] * 8);
    };
    let negative = |tensors: &mut Tensors| {
        let (_, _, data) = tensors.get_mut("input_ids").unwrap();
        data[..8].copy_from_slice(&(-1_i64).to_le_bytes());
    };
    let error = against(as_doubles).unwrap_err().to_string();
    assert!(error.contains("`first_logits` of case `two` is F64"), "{error}");
    let error = against(negative).unwrap_err().to_string();
    assert!(error.contains("`input_ids` of case"), "{error}");
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
    for (dtype, tolerance) in [(Dtype::BF16, 4e-2), (Dtype::F16, 8e-3), (Dtype::Int8, 1.5e-1)] {
        let mut largest = 0.0_f64;
        for name in ALL {
            let options = LoadOptions::default().dtype(dtype);
            let model = Model::load(&ModelRef::Folder(golden(name)), &options).unwrap();
            let parity = model.verify(&golden(name), None).unwrap();
            // Answers may part at a near tie; what is prepared is the same to the bit.
            let seams = parity.seams.iter().filter(|seam| !seam.seam.starts_with("generated_ids"));
            for seam in seams {
                match seam.worst {
                    SeamDifference::Shape { .. } => panic!("{seam:?}"),
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
