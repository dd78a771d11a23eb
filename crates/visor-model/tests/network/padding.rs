//! Rows and keys that are filled up, as on devices that compile kernels for their number, give what
//! rows and keys as they are give.

use crate::answers::{SHAPE, request, requests, runner_of};
use crate::batch::{Case, assert_same, cases, run};
use crate::selection::{answer, patches, random};
use crate::support::*;
use visor_core::cost::{Flops, Looks};
use visor_core::{BudgetRequest, Padding, Patches, PositionScheme};
use visor_model::counter::count;
use visor_model::{VisorModel, weights};
use visor_processor::ProcessedPicture;
use visor_runtime::{Backbone, Outcome, Runner};

const TOLERANCE: f32 = 1e-5;
/// Over several of the sizes that keys are filled up to: 6, 8, 12, 16, 24.
const STEPS: usize = 14;

fn padded(model: VisorModel) -> VisorModel {
    model.with_padding(Padding::Steps)
}

/// Prompts of several lengths around the sizes that rows are filled up to, without and with a
/// picture.
fn lengths() -> impl Iterator<Item = (Vec<u32>, Vec<ProcessedPicture>)> {
    [1, 2, 3, 5, 7, 8, 11, 12, 16].into_iter().flat_map(|n: u32| {
        let text: Vec<u32> = (0..n).map(|i| 3 + (5 * i) % 19).collect();
        let shown = [&[IMAGE], text.as_slice()].concat();
        [(text, vec![]), (shown, vec![picture(u64::from(n))])]
    })
}

#[test]
fn prefill_and_steps_over_blocks_give_the_scores_of_what_is_not_filled_up_at_every_level() {
    for positions in [PositionScheme::STOCK, SCRATCH] {
        let (plain, padded) = (model(positions, 7), padded(model(positions, 7)));
        for (ids, pictures) in prompts() {
            for way in ways() {
                let capacity = prompt(&ids).n_text() + STEPS;
                let run = |model| prefill(model, &ids, &pictures, way, capacity);
                let ((mut want, mut one), (mut got, mut other)) = (run(&plain), run(&padded));
                for step in 0..STEPS {
                    assert_close(&got, &want, TOLERANCE);
                    assert_eq!(best(&got), best(&want), "step {step}, {way:?}, {ids:?}");
                    let token = best(&want);
                    want = plain.decode_step(&mut one, token).unwrap().0;
                    got = padded.decode_step(&mut other, token).unwrap().0;
                }
                assert_close(&got, &want, TOLERANCE);
            }
        }
    }
}

#[test]
fn prompts_of_any_length_give_the_scores_of_what_is_not_filled_up() {
    let (plain, padded) = (model(SCRATCH, 7), padded(model(SCRATCH, 7)));
    for (ids, pictures) in lengths() {
        for way in ways() {
            let capacity = prompt(&ids).n_text() + 1;
            let run = |model: &VisorModel| {
                let (mut scores, mut state) = prefill(model, &ids, &pictures, way, capacity);
                scores.extend(model.decode_step(&mut state, 5).unwrap().0);
                scores
            };
            assert_close(&run(&padded), &run(&plain), TOLERANCE);
        }
    }
}

#[test]
fn every_seam_is_that_of_what_is_not_filled_up() {
    let (plain, padded) = (model(SCRATCH, 7), padded(model(SCRATCH, 7)));
    for (ids, pictures) in prompts() {
        let seams = |model: &VisorModel| model.seams(&pictures, &prompt(&ids)).unwrap();
        let (got, want) = (seams(&padded), seams(&plain));
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(&want) {
            assert_eq!((&got.name, got.width), (&want.name, want.width));
            assert_close(&got.values, &want.values, TOLERANCE);
        }
    }
}

#[test]
fn filled_up_batches_of_any_lengths_and_rungs_equal_their_samples_as_they_are() {
    let (plain, padded) = (model(SCRATCH, 7), padded(model(SCRATCH, 7)));
    let cases = cases(&plain);
    let alone: Vec<_> = cases.iter().map(|case| run(&plain, &[case]).remove(0)).collect();
    for size in [1, 2, 3, 5, 7] {
        for (batch, alone) in cases.chunks(size).zip(alone.chunks(size)) {
            let batch: Vec<&Case> = batch.iter().collect();
            for (got, want) in run(&padded, &batch).iter().zip(alone) {
                assert_same(got, want, TOLERANCE);
            }
        }
    }
}

#[test]
fn chosen_patches_are_the_same_and_answer_the_same_filled_up() {
    let (plain, padded) = (selecting_model(7), padded(selecting_model(7)));
    for (ids, pictures) in prompts() {
        let shown = !pictures.is_empty();
        for asked in [patches(1), patches(3), patches(4), Patches::Auto, random(3, 5)] {
            for rung in ladder().ids().filter(|_| shown) {
                let run = |model: &VisorModel| {
                    let (mut scores, selection, mut state) =
                        answer(model, &ids, &pictures, rung, asked);
                    scores.extend(model.decode_step(&mut state, 5).unwrap().0);
                    (scores, selection.unwrap().patches)
                };
                let ((got, executed), (want, expected)) =
                    (count(|| run(&padded)), count(|| run(&plain)));
                assert_eq!(got.1, want.1, "{asked}, {ids:?}");
                assert_close(&got.0, &want.0, TOLERANCE);
                assert_flops(executed, expected, &format!("{asked}, {ids:?}"));
            }
        }
    }
}

#[test]
fn what_caches_hold_is_what_the_formula_says_filled_up_and_not() {
    for padding in [Padding::None, Padding::Steps] {
        let model = model(SCRATCH, 7).with_padding(padding);
        let decoder = model.card().shape.decoder;
        for (ids, pictures) in prompts() {
            let (n_text, n_visual) = (prompt(&ids).n_text(), prompt(&ids).n_visual());
            for way in ways() {
                let bytes = |n_text| {
                    let looks = Looks::alike(n_visual);
                    decoder.kv_bytes(&way.schedule(), n_text, n_visual, looks, 4, padding)
                };
                let (_, mut state) = prefill(&model, &ids, &pictures, way, n_text + STEPS);
                assert_eq!(state.kv_bytes(), bytes(n_text), "{padding:?}, {way:?}, {ids:?}");
                for _ in 0..STEPS {
                    model.decode_step(&mut state, 5).unwrap();
                    assert!(state.kv_bytes() <= bytes(n_text + STEPS), "{padding:?}, {way:?}");
                }
            }
        }
    }
}

fn runner(padding: Padding) -> Runner<VisorModel> {
    runner_of(model(SCRATCH, 7).with_padding(padding))
}

#[track_caller]
fn assert_same_answer(got: &Outcome, want: &Outcome) {
    assert_eq!((&got.text, &got.token_ids), (&want.text, &want.token_ids));
    assert_eq!((got.decided.level, &got.decided.name), (want.decided.level, &want.decided.name));
    assert_eq!((got.cost.cold, got.cost.decode), (want.cost.cold, want.cost.decode));
    let probabilities = |outcome: &Outcome| -> Vec<f32> {
        outcome.decided.probabilities.iter().map(|(_, probability)| *probability).collect()
    };
    assert_close(&probabilities(got), &probabilities(want), TOLERANCE);
}

#[test]
fn a_filled_up_batch_of_answers_executes_what_its_rows_cost_and_no_padding() {
    let (plain, padded) = (runner(Padding::None), runner(Padding::Steps));
    let prepare = |runner: &Runner<VisorModel>| -> Vec<_> {
        requests().into_iter().map(|request| runner.prepare(request).unwrap()).collect()
    };
    let (answers, executed) = count(|| padded.answer_batch(prepare(&padded)));
    let mut formula = Flops(0);
    for (answer, want) in answers.into_iter().zip(plain.answer_batch(prepare(&plain))) {
        let (answer, want) = (answer.unwrap(), want.unwrap());
        assert_same_answer(&answer, &want);
        assert!(answer.cost.kv_bytes > want.cost.kv_bytes);
        formula += answer.cost.spent + answer.cost.decode;
        // The head of this policy is no matrix product.
        let by_policy = answer.requested == Some(BudgetRequest::Auto);
        formula = formula - if by_policy { SHAPE.decision() } else { Flops(0) };
    }
    assert_flops(executed, formula, "a batch of answers");
}

#[test]
fn a_second_question_about_a_kept_picture_is_answered_filled_up_as_it_is() {
    for first in ["sa0", "sa3", "dense"] {
        for second in ["sa0", "sa2", "sa3", "auto", "dense"] {
            let ask = |padding| {
                let runner = runner(padding).with_picture_cache(1 << 24);
                let ask = |request| runner.generate(runner.prepare(request).unwrap()).finish();
                ask(request("what colour ?", &[1], first, 3)).unwrap();
                let again = request("where is the circle ?", &[1], second, 9);
                let (answer, executed) = count(|| ask(again).unwrap());
                assert_eq!(answer.pictures.cached, 1);
                (answer, executed)
            };
            let ((got, executed), (want, expected)) = (ask(Padding::Steps), ask(Padding::None));
            assert_same_answer(&got, &want);
            assert_eq!(got.cost.spent, want.cost.spent);
            assert_flops(executed, expected, &format!("{first}, then {second}"));
        }
    }
}

#[test]
fn what_reads_the_same_rows_gives_and_costs_as_one_product_what_it_does_apart() {
    let (apart, joined) = (padded(model(SCRATCH, 7)), padded(model(SCRATCH, 7)).for_running());
    assert_eq!(weights::named(joined.network()), weights::named(apart.network()));
    let cases = cases(&apart);
    for batch in cases.chunks(1).chain(cases.chunks(5)) {
        let batch: Vec<&Case> = batch.iter().collect();
        let (want, expected) = count(|| run(&apart, &batch));
        let (got, executed) = count(|| run(&joined, &batch));
        for (got, want) in got.iter().zip(&want) {
            assert_same(got, want, TOLERANCE);
        }
        assert_flops(executed, expected, "as one product");
    }
}
