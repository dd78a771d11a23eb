//! Cross-attention that reads the patches that a question chose.

use super::support::*;
use burn::tensor::{Tensor, TensorData};
use std::num::NonZeroUsize;
use visor_core::cost::{Keys, Prompt};
use visor_core::{Ladder, Patches, RungId, Schedule};
use visor_model::counter::count;
use visor_model::{ModelError, VisorModel};
use visor_processor::ProcessedPicture;
use visor_runtime::{
    Backbone, BackboneError, Cancel, Logits, Prefill, RoutingToken, Selection, Start,
};

pub(crate) fn patches(count: usize) -> Patches {
    Patches::Count(NonZeroUsize::new(count).unwrap())
}

pub(crate) fn random(one_in: usize, draw: u64) -> Patches {
    Patches::Random { one_in: NonZeroUsize::new(one_in).unwrap(), draw }
}

/// The whole prefill of one request, with what was chosen.
pub(crate) fn answer(
    model: &VisorModel,
    ids: &[u32],
    pictures: &[ProcessedPicture],
    rung: RungId,
    patches: Patches,
) -> (Vec<f32>, Option<Selection>, <VisorModel as Backbone>::Decoding) {
    let (cancel, ladder) = (Cancel::new(), ladder());
    let visual = (!pictures.is_empty()).then(|| model.encode(pictures, &cancel).unwrap());
    let start = Start::Budgeted { ladder: &ladder, routing: None, patches };
    let state =
        model.prefill_to_decision(&prompt(ids), visual.as_ref(), start, 20, &cancel).unwrap();
    let selection = model.selection(&state).cloned();
    let (Logits(logits), decoding) =
        model.prefill_rest(state, &ladder.schedule(rung), &cancel).unwrap();
    (logits, selection, decoding)
}

fn cheapest() -> (Ladder, Schedule) {
    let ladder = ladder();
    let schedule = ladder.schedule(ladder.cheapest());
    (ladder, schedule)
}

#[test]
fn all_patches_chosen_answer_as_no_choice_at_every_rung() {
    let model = selecting_model(7);
    for (ids, pictures) in prompts() {
        let n_visual = prompt(&ids).n_visual();
        let Some(all) = NonZeroUsize::new(n_visual) else { continue };
        for rung in ladder().ids() {
            let (whole, none, _) = answer(&model, &ids, &pictures, rung, Patches::All);
            let (chosen, selection, _) = answer(&model, &ids, &pictures, rung, Patches::Count(all));
            assert!(none.is_none());
            assert_eq!(selection.unwrap().patches, (0..n_visual).collect::<Vec<_>>());
            assert_close(&whole, &chosen, 1e-5);
        }
    }
}

#[test]
fn gathered_patches_answer_as_masked_ones_at_every_rung() {
    let model = selecting_model(7);
    let (network, device) = (model.network(), cpu());
    for (ids, pictures) in prompts().into_iter().filter(|(_, pictures)| !pictures.is_empty()) {
        let n_visual = prompt(&ids).n_visual();
        for rung in ladder().ids() {
            let (gathered, selection, _) = answer(&model, &ids, &pictures, rung, patches(4));
            let chosen = selection.unwrap().patches;
            assert_eq!(chosen.len(), 4);
            let streams = streams(network, &ids, &pictures, Way::Rung(rung));
            let [_, n_text, _] = streams.text.dims();
            let row: Vec<f32> = (0..=n_visual)
                .map(|key| if key == 0 || chosen.contains(&(key - 1)) { 1.0 } else { 0.0 })
                .collect();
            let mask =
                Tensor::<4>::from_data(TensorData::new(row, [1, 1, 1, n_visual + 1]), &device)
                    .expand([1, 1, n_text, n_visual + 1]);
            let at = placement(&[map(&ids)], SCRATCH).with_mask(mask);
            let text = one_pass(network, streams, &ladder().schedule(rung), &at).text;
            let masked = logits(network, text);
            assert_close(&gathered, &masked[n_text - 1], 1e-5);
        }
    }
}

#[test]
fn at_the_lowest_rung_what_was_not_chosen_changes_no_bit_of_the_scores() {
    let model = selecting_model(7);
    let network = model.network();
    let (_, schedule) = cheapest();
    let (ids, pictures) = (vec![IMAGE, 5, 9, 11, 3], vec![picture(1)]);
    let (_, selection, _) = answer(&model, &ids, &pictures, ladder().cheapest(), patches(3));
    let chosen = selection.unwrap().patches;
    let at = placement(&[map(&ids)], SCRATCH).with_patches(&chosen, &cpu());
    let scores = |spoil: f32| {
        let mut streams = streams(network, &ids, &pictures, Way::Rung(ladder().cheapest()));
        streams.visual = streams.visual.map(|visual| {
            let [_, v, e] = visual.dims();
            let noise = (0..v * e)
                .map(|i| if chosen.contains(&(i / e)) { 0.0 } else { spoil * (i as f32).sin() });
            let noise: Vec<f32> = noise.collect();
            visual + Tensor::from_data(TensorData::new(noise, [1, v, e]), &cpu())
        });
        let text = one_pass(network, streams, &schedule, &at).text;
        values(text).into_iter().map(f32::to_bits).collect::<Vec<u32>>()
    };
    assert_eq!(scores(0.0), scores(100.0));
}

#[test]
fn a_choice_executes_what_the_formula_says_at_every_rung() {
    let (model, cancel, ladder) = (selecting_model(7), Cancel::new(), ladder());
    let card = model.card();
    let selector = card.selector.unwrap();
    for (ids, pictures) in prompts().into_iter().filter(|(_, pictures)| !pictures.is_empty()) {
        let prompt = prompt(&ids).with_question(1..3);
        let visual = model.encode(&pictures, &cancel).unwrap();
        for asked in [patches(4), Patches::Auto, random(3, 5)] {
            for rung in ladder.ids() {
                let schedule = ladder.schedule(rung);
                let start = Start::Budgeted { ladder: &ladder, routing: None, patches: asked };
                let (n_keys, flops) = count(|| {
                    let state = model
                        .prefill_to_decision(&prompt, Some(&visual), start, 9, &cancel)
                        .unwrap();
                    let n_keys = model.selection(&state).unwrap().patches.len();
                    model.prefill_rest(state, &schedule, &cancel).unwrap();
                    n_keys
                });
                let selector = match asked {
                    Patches::Random { .. } => None,
                    _ => Some(selector.shape),
                };
                let keys = Keys::Selected { n_keys, from: 0, selector };
                let (n_text, n_visual) = (prompt.n_text(), prompt.n_visual());
                let n_tiles = pictures.len();
                let sizes = Prompt { n_text, n_question: 2, n_visual, n_tiles, keys };
                let formula = card.shape.scopes(&schedule, sizes, None);
                let expected = formula.lm_prefill + sizes.selection();
                assert_flops(flops, expected, &format!("{asked}, {ids:?}"));
            }
        }
    }
}

#[test]
fn patches_at_random_need_no_selector_and_are_the_same_for_the_same_draw() {
    let model = model(SCRATCH, 7);
    let (ids, pictures) = (vec![IMAGE, 5, 9, 11, 3], vec![picture(1)]);
    let n_visual = prompt(&ids).n_visual();
    for rung in ladder().ids() {
        let draw = |one_in, draw| answer(&model, &ids, &pictures, rung, random(one_in, draw));
        let (first, selection, _) = draw(3, 5);
        let patches = selection.unwrap().patches;
        assert_eq!(patches.len(), n_visual.div_ceil(3));
        let (again, selection, _) = draw(3, 5);
        assert_eq!((again, selection.unwrap().patches), (first, patches.clone()));
        assert!((0..9).any(|other| draw(3, other).1.unwrap().patches != patches));
        let (whole, ..) = answer(&model, &ids, &pictures, rung, Patches::All);
        assert_close(&draw(1, 5).0, &whole, 1e-5);
    }
}

#[test]
fn decoding_reads_what_was_chosen_and_equals_a_longer_prompt_with_the_same_choice() {
    let model = selecting_model(7);
    let network = model.network();
    let (ids, pictures) = (vec![IMAGE, 5, 9, 11, 3], vec![picture(1)]);
    for rung in ladder().ids() {
        let (_, selection, mut decoding) = answer(&model, &ids, &pictures, rung, patches(3));
        let chosen = selection.unwrap().patches;
        let Logits(step) = model.decode_step(&mut decoding, 8).unwrap();
        let longer = [ids.clone(), vec![8]].concat();
        let at = placement(&[map(&longer)], SCRATCH).with_patches(&chosen, &cpu());
        let streams = streams(network, &longer, &pictures, Way::Rung(rung));
        let text = one_pass(network, streams, &ladder().schedule(rung), &at).text;
        let whole = logits(network, text);
        assert_close(&step, &whole[longer.len() - 2], 1e-5);
    }
}

#[test]
fn a_row_of_a_batch_chooses_as_the_sample_alone() {
    let (model, cancel, ladder) = (selecting_model(7), Cancel::new(), ladder());
    let routing = RoutingToken(value(3, "routing", &[32]));
    let asked = [Patches::Auto, Patches::All, patches(2), Patches::Auto];
    let prompts: Vec<_> = prompts().into_iter().zip(asked).collect();
    let encoded: Vec<_> = prompts
        .iter()
        .map(|((_, pictures), _)| {
            (!pictures.is_empty()).then(|| model.encode(pictures, &cancel).unwrap())
        })
        .collect();
    let texts: Vec<_> = prompts.iter().map(|((ids, _), _)| prompt(ids)).collect();
    let samples: Vec<_> = prompts
        .iter()
        .zip(&texts)
        .zip(&encoded)
        .map(|(((_, patches), prompt), visual)| Prefill {
            prompt,
            visual: visual.iter().collect(),
            start: Start::Budgeted { ladder: &ladder, routing: Some(&routing), patches: *patches },
            capacity: 20,
            cancel: &cancel,
        })
        .collect();
    let together = model.prefill_to_decision_batch(&samples);
    for (sample, state) in samples.iter().zip(together) {
        let state = state.unwrap();
        let alone = model.prefill_to_decision_batch(std::slice::from_ref(sample));
        let alone = alone.into_iter().next().unwrap().unwrap();
        let chosen = |state| model.selection(state).map(|selection| selection.patches.clone());
        assert_eq!(chosen(&state), chosen(&alone));
        let token = |state| model.routing_state(state).token.unwrap();
        assert_close(&token(&state), &token(&alone), 1e-5);
    }
}

#[test]
fn more_patches_than_there_are_and_a_model_without_selector_are_errors() {
    let (ids, pictures, cancel, ladder) =
        (vec![IMAGE, 5, 3], vec![picture(1)], Cancel::new(), ladder());
    let error = |model: &VisorModel, patches| {
        let visual = model.encode(&pictures, &cancel).unwrap();
        let start = Start::Budgeted { ladder: &ladder, routing: None, patches };
        let result = model.prefill_to_decision(&prompt(&ids), Some(&visual), start, 9, &cancel);
        match result.map(|_| ()).unwrap_err() {
            BackboneError::Failed(error) => error.downcast_ref::<ModelError>().unwrap().to_string(),
            other => panic!("{other}"),
        }
    };
    let message = error(&selecting_model(7), patches(10));
    assert!(message.contains("10 patches") && message.contains("have 9"), "{message}");
    let message = error(&model(SCRATCH, 7), Patches::Auto);
    assert!(message.contains("no patch selector"), "{message}");
}
