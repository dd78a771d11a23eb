//! One computation, however it is cut, in every family.

use crate::support::*;
use visor::{Prepared, VisorModel};
use visor_core::{ImageMask, Schedule};
use visor_model::decoder::Pass;
use visor_model::layer::{Refinement, Streams};
use visor_model::{Placement, TextToken, TokenMap, VisualToken};
use visor_processor::EncodedPrompt;
use visor_runtime::{Backbone, Cancel, Start};

pub(crate) const PROMPTS: [&[&str]; 5] = [&[], &["photo"], &["tall"], &["dot"], &["photo", "wide"]];

/// Largest distance as a share of the largest value.
pub(crate) fn apart(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let pairs = got.iter().zip(expected);
    pairs.fold(0.0_f32, |most, (got, expected)| most.max((got - expected).abs())) / largest
}

fn map(prompt: &EncodedPrompt) -> TokenMap {
    let text = prompt.text_positions().iter();
    let text = text.map(|&position| TextToken { position, segment: 0 }).collect();
    let visual = prompt.images().iter().enumerate().flat_map(|(image, span)| {
        (0..span.len).map(move |index| {
            let (row, column) = span.row_col(index);
            let (position, start) = (span.start + index, span.start);
            VisualToken { position, image, start, row, column }
        })
    });
    TokenMap { text, visual: visual.collect() }
}

/// Where the tokens of a prompt stand.
pub(crate) fn placement(network: &VisorModel, prompt: &EncodedPrompt) -> Placement {
    let mask = network.card().positions.image_mask;
    Placement::prefill(&[map(prompt)], network.rotary(), mask, None, network.device())
}

/// The streams of a prompt as dense embeds them.
pub(crate) fn streams(network: &VisorModel, prepared: &Prepared) -> Streams {
    let prompt = prepared.prompt();
    let seams = network.seams(prepared.pictures(), prompt).unwrap();
    let hidden = seams.iter().find(|seam| seam.name == "hidden_0").unwrap();
    let e = hidden.width;
    let rows = |positions: &mut dyn Iterator<Item = usize>| {
        let values: Vec<f32> =
            positions.flat_map(|at| hidden.values[at * e..(at + 1) * e].to_vec()).collect();
        let n = values.len() / e;
        let data = burn::tensor::TensorData::new(values, [1, n, e]);
        (n > 0).then(|| burn::tensor::Tensor::<3>::from_data(data, network.device()))
    };
    Streams {
        text: rows(&mut prompt.text_positions().iter().copied()).unwrap(),
        visual: rows(&mut prompt.visual_positions()),
    }
}

#[test]
fn layers_in_two_passes_equal_one_pass_in_every_family() {
    for name in ALL {
        let model = model(name);
        let network = runner(&model).model();
        let decoder = network.network().decoder();
        for pictures in PROMPTS {
            let prepared = model.prepare(question(pictures)).unwrap();
            let prompt = prepared.prompt();
            let streams = || streams(network, &prepared);
            let at = placement(network, prompt);
            assert_eq!(network.card().positions.image_mask, ImageMask::Causal);
            let schedule = Schedule::dense(decoder.n_layers());
            let run = |streams, layers| {
                let refinement = Refinement::Apply;
                let pass = Pass { layers, schedule: &schedule, at: &at, refinement };
                decoder.run(streams, &pass, None, &mut |_, _| Ok(())).unwrap()
            };
            let host =
                |streams: Streams| streams.text.into_data().iter::<f32>().collect::<Vec<_>>();
            let one = host(run(streams(), 0..decoder.n_layers()));
            for cut in 1..decoder.n_layers() {
                let two = host(run(run(streams(), 0..cut), cut..decoder.n_layers()));
                assert!(apart(&two, &one) < 1e-6, "{name}, {pictures:?}, {cut}");
            }
        }
    }
}

#[test]
fn decode_steps_equal_a_prefill_of_all_tokens_in_every_family() {
    for name in ALL {
        let model = model(name);
        let (network, cancel) = (runner(&model).model(), Cancel::new());
        let schedule = Schedule::dense(model.card().shape.decoder.n_layers);
        for pictures in PROMPTS {
            let prepared = model.prepare(question(pictures)).unwrap();
            let prompt = prepared.prompt();
            let visual = prepared.pictures();
            let visual = (!visual.is_empty()).then(|| network.encode(visual, &cancel).unwrap());
            let prefill = |prompt: &EncodedPrompt, capacity| {
                let state = network
                    .prefill_to_decision(prompt, visual.as_ref(), Start::Dense, capacity, &cancel)
                    .unwrap();
                network.prefill_rest(state, &schedule, &cancel).unwrap()
            };
            let more = [5, 9, 11];
            let (_, mut state) = prefill(prompt, prompt.n_text() + more.len());
            let steps = more.map(|id| network.decode_step(&mut state, id).unwrap());
            let longer = prompt.continued(&more);
            let (at_once, _) = prefill(&longer, longer.n_text());
            assert!(apart(&steps[2].0, &at_once.0) < 2e-5, "{name}, {pictures:?}");
        }
    }
}

#[test]
fn a_row_of_a_batch_equals_the_question_alone_in_every_family() {
    for name in ALL {
        let model = model(name);
        let alone: Vec<_> = PROMPTS.map(|p| model.ask(question(p)).unwrap().token_ids).into();
        let batch = PROMPTS.map(|pictures| model.prepare(question(pictures)).unwrap());
        let batch = runner(&model).answer_batch(batch.into());
        let batch: Vec<_> = batch.into_iter().map(|answer| answer.unwrap().token_ids).collect();
        assert_eq!(batch, alone, "{name}");
    }
}

#[test]
fn pictures_of_equal_pixels_that_lie_otherwise_are_not_taken_for_one() {
    // A plain ground stays plain at every size: only what is padding differs.
    let model = model("llava-onevision");
    let plain = |width: u32, height: u32| {
        let rgb = vec![0; (width * height * 3) as usize];
        visor::Picture::from_rgb(width, height, rgb).unwrap()
    };
    let ask = |width, height| question(&[]).picture(plain(width, height));
    let sizes = [(60, 40), (60, 44)];
    let alone = sizes.map(|(w, h)| model.ask(ask(w, h)).unwrap());
    assert_ne!(alone[0].visual_tokens, alone[1].visual_tokens);
    let batch = sizes.map(|(w, h)| model.prepare(ask(w, h)).unwrap());
    let batch = runner(&model).answer_batch(batch.into());
    for (alone, together) in alone.iter().zip(batch) {
        assert_eq!(together.unwrap().token_ids, alone.token_ids);
    }
}
