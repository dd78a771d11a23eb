//! CLIP against transformers, on checkpoints that `tools/export_clip_golden.py` made.

use super::support::*;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;
use std::path::PathBuf;
use visor_checkpoint::{Source, Weights, read_safetensors};
use visor_model::ModelError;
use visor_model::clip::{Clip, ClipConfig};
use visor_processor::Tokenizer;

/// Of the largest value.
const TOLERANCE: f32 = 2e-5;

const TEXTS: [&str; 2] =
    ["a red circle left of the blue square", "two blue circle left of the red circle"];

fn golden(name: &str, file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens", name, file].iter().collect()
}

fn content(name: &str, file: &str) -> Vec<u8> {
    Source::Folder(golden(name, "")).read(file, 1 << 20).unwrap().into_owned()
}

fn config(name: &str) -> ClipConfig {
    ClipConfig::parse(&content(name, "config.json")).unwrap()
}

fn weights(name: &str) -> Weights {
    Weights::open_file(&golden(name, "model.safetensors")).unwrap()
}

fn clip(name: &str) -> Clip {
    Clip::load(config(name), weights(name), &cpu()).unwrap()
}

fn recorded(name: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let tensors = read_safetensors(&golden(name, "reference.safetensors")).unwrap();
    tensors.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect()
}

fn assert_equal<const R: usize>(got: &Tensor<R>, expected: &(Vec<usize>, Vec<f32>), what: &str) {
    let (shape, expected) = expected;
    assert_eq!(got.dims().as_slice(), shape, "{what}");
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let got = values(got.clone());
    let error = got.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error <= TOLERANCE * largest, "{what}: {error} of {largest}");
}

#[test]
fn every_seam_of_both_towers_is_that_of_transformers() {
    for name in ["clip", "clip-legacy"] {
        let (clip, recorded) = (clip(name), recorded(name));
        let tokenizer = Tokenizer::from_bytes(&content(name, "tokenizer.json")).unwrap();
        let ids: Vec<Vec<u32>> =
            TEXTS.iter().map(|text| tokenizer.encode_whole(text).unwrap()).collect();
        let expected: Vec<u32> = recorded["ids"].1.iter().map(|id| *id as u32).collect();
        assert_eq!(ids.concat(), expected, "{name}");
        let seam = |tower: &'static str| {
            let recorded = &recorded;
            move |layer: usize, state: &Tensor<3>| {
                let seam = format!("{tower}.layer{layer}");
                assert_equal(state, &recorded[&seam], &format!("{name}, {seam}"));
            }
        };
        let texts = clip.observed_texts(&ids, &mut seam("text")).unwrap();
        assert_equal(&texts, &recorded["text"], name);
        let (shape, pixels) = &recorded["pixels"];
        let pixels = TensorData::new(pixels.clone(), shape.clone());
        let pixels = Tensor::<4>::from_data(pixels, &cpu());
        let pictures = clip.observed_pictures(pixels, &mut seam("vision")).unwrap();
        assert_equal(&pictures.whole, &recorded["whole"], name);
        assert_equal(&pictures.patches, &recorded["patches"], name);
        assert_equal(&clip.fit(pictures.whole, texts), &recorded["logits"], name);
    }
}

#[test]
fn what_clip_cannot_take_is_an_error_that_says_why() {
    let clip = clip("clip");
    let refused = |texts: &[u32]| clip.texts(&[texts.to_vec()]).map(|_| ()).unwrap_err();
    assert!(matches!(refused(&[0, 3, 4]), ModelError::NoEndOfText));
    assert!(matches!(refused(&[0, 99, 1]), ModelError::TokenId { id: 99, vocab: 12 }));
    assert!(matches!(refused(&[1; 17]), ModelError::CacheFull { capacity: 16, wanted: 17 }));
    let pixels = Tensor::<4>::zeros([1, 3, 16, 24], &cpu());
    let error = clip.pictures(pixels).map(|_| ()).unwrap_err();
    assert!(matches!(error, ModelError::TileSize { expected: 24, height: 16, width: 24 }));
    // Another's weights: every tensor is accounted for.
    let error = Clip::load(config("clip-legacy"), weights("clip"), &cpu()).map(|_| ());
    assert!(error.unwrap_err().to_string().contains("shape"));
}
