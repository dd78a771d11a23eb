//! The network with its matrices in fewer bytes against itself in single precision.

use crate::support::*;
use visor_core::Schedule;
use visor_model::{Head, Network, VisorModel, precision, weights};
use visor_runtime::{Backbone, Cancel, Dtype};

/// The scores of a prompt at a level, and of two steps behind it.
fn scores(model: &VisorModel, case: usize, way: Way) -> Vec<f32> {
    let (ids, pictures) = &prompts()[case];
    let ladder = ladder();
    let cancel = Cancel::new();
    let visual = (!pictures.is_empty()).then(|| model.encode(pictures, &cancel).unwrap());
    let (prompt, start) = (prompt(ids), way.start(&ladder));
    let room = prompt.n_text() + 2;
    let state = model.prefill_to_decision(&prompt, visual.as_ref(), start, room, &cancel).unwrap();
    let schedule: Schedule = way.schedule();
    let (first, mut state) = model.prefill_rest(state, &schedule, &cancel).unwrap();
    let mut all = first.0;
    for token in [5, 9] {
        all.extend(model.decode_step(&mut state, token).unwrap().0);
    }
    all
}

#[test]
fn packed_weights_of_single_precision_give_the_scores_of_parameters() {
    let (packed, parameters) = (model_in(Dtype::F32, 7), model(SCRATCH, 7));
    for case in 0..prompts().len() {
        for way in ways() {
            let (got, want) = (scores(&packed, case, way), scores(&parameters, case, way));
            let largest = want.iter().fold(0.0_f32, |size, score| size.max(score.abs()));
            let error = distance(&want, &got) / largest;
            assert!(error < 2e-5, "prompt {case}, {way:?}: {error}");
        }
    }
}

#[test]
fn weights_in_fewer_bytes_give_nearly_the_scores_of_single_precision() {
    let single = model_in(Dtype::F32, 7);
    for (dtype, tolerance) in [(Dtype::BF16, 3e-2), (Dtype::F16, 4e-3), (Dtype::Int8, 1e-1)] {
        let fewer = model_in(dtype, 7);
        for case in 0..prompts().len() {
            for way in ways() {
                let (want, got) = (scores(&single, case, way), scores(&fewer, case, way));
                let largest = want.iter().fold(0.0_f32, |size, score| size.max(score.abs()));
                let error = distance(&want, &got) / largest;
                assert!(error < tolerance, "{dtype}, prompt {case}, {way:?}: {error}");
                // They are other weights: nothing is passed by.
                assert_ne!(want, got, "{dtype}");
            }
        }
    }
}

#[test]
fn every_matrix_of_the_large_products_is_packed_and_nothing_else() {
    let mut network = Network::new(&config(), Some(&extension()), Head::Own, &cpu());
    let all: Vec<String> =
        weights::outlines(&network).into_iter().map(|outline| outline.name).collect();
    let matrices = precision::matrices(&mut network);
    let values = &mut |name: &str, shape: &[usize]| Ok(value(3, name, shape));
    let packed = precision::fill(network, Dtype::Int8, &cpu(), values).unwrap();
    let mut left: Vec<String> =
        weights::outlines(&packed).into_iter().map(|outline| outline.name).collect();
    assert!(left.iter().all(|name| !matrices.contains(name)));
    left.extend(matrices.iter().cloned());
    left.sort();
    let mut all = all;
    all.sort();
    assert_eq!(left, all);
    let is_product = |name: &&String| {
        let parts = ["_proj.weight", "fc1.weight", "fc2.weight", "linear_1.weight"];
        let parts = parts.iter().chain(&["linear_2.weight", "head.weight", "embed_tokens.weight"]);
        parts.into_iter().any(|part| name.ends_with(*part)) || name.contains("projection.proj")
    };
    let products: Vec<&String> = all.iter().filter(is_product).collect();
    assert_eq!(products.len(), matrices.len(), "{products:?}\n{matrices:?}");
}

#[test]
fn a_weight_that_a_format_does_not_hold_is_named() {
    let network = Network::new(&config(), Some(&extension()), Head::Tied, &cpu());
    let values = &mut |name: &str, shape: &[usize]| {
        let mut values = value(3, name, shape);
        if name == "decoder.layers.1.mlp.up_proj.weight" {
            values[5] = 1e6;
        }
        Ok(values)
    };
    let error = precision::fill(network, Dtype::F16, &cpu(), values).unwrap_err().to_string();
    assert!(error.contains("decoder.layers.1.mlp.up_proj.weight"), "{error}");
    assert!(error.contains("place 5") && error.contains("f16"), "{error}");
}
