//! Requests that are answered together.

use crate::scripted::*;
use std::num::NonZeroUsize;
use visor_core::cost::Flops;
use visor_core::{BudgetError, BudgetRequest};
use visor_runtime::{
    Cancel, FinishReason, GenerationSettings, PictureInput, Prepared, Request, RunError, Runner,
    StopString,
};

const WHITE: u8 = 255;

fn request(shades: &[u8], tokens: usize) -> Request {
    let settings =
        GenerationSettings { max_new_tokens: NonZeroUsize::new(tokens), ..Default::default() };
    Request {
        pictures: shades.iter().map(|&value| PictureInput::Decoded(shade(value))).collect(),
        settings,
        ..Request::new("what")
    }
}

fn prepared<const N: usize>(runner: &Runner<Scripted>, requests: [Request; N]) -> Vec<Prepared> {
    requests.map(|request| runner.prepare(request).unwrap()).into()
}

fn count(runner: &Runner<Scripted>, what: &str) -> usize {
    log(runner).iter().filter(|note| note.starts_with(what)).count()
}

#[test]
fn a_finished_sample_leaves_the_batch() {
    let runner = runner(&["red", "green", "blue"]);
    let stop = StopString::new("green").unwrap();
    let settings = GenerationSettings { stop: vec![stop], ..GenerationSettings::default() };
    let batch = [request(&[7], 1), Request { settings, ..request(&[7], 9) }, request(&[], 9)];
    let answers = runner.answer_batch(prepared(&runner, batch));
    let expected = [
        ("red", FinishReason::Length),
        ("red ", FinishReason::Stop),
        ("red green blue", FinishReason::Eos),
    ];
    for (answer, expected) in answers.iter().zip(expected) {
        let answer = answer.as_ref().unwrap();
        assert_eq!((answer.text.as_str(), answer.finish_reason), expected);
    }
    let steps: Vec<String> =
        log(&runner).into_iter().filter(|note| note.starts_with("step")).collect();
    let step = |word| format!("step {}", id(word));
    assert_eq!(steps, [step("red"), step("red"), step("green"), step("blue")]);
}

#[test]
fn samples_of_a_batch_run_stage_by_stage() {
    let runner = runner(&["red"]);
    let named =
        |budget: &str| Request { budget: Some(budget.parse().unwrap()), ..request(&[7], 2) };
    runner.answer_batch(prepared(&runner, [named("sa0"), named("dense"), named("sa2")]));
    let expected = [
        "encode 1".to_owned(),
        "budgeted 6 tokens, 1 pictures, room 3".to_owned(),
        "dense 6 tokens, 1 pictures, room 3".to_owned(),
        "budgeted 6 tokens, 1 pictures, room 3".to_owned(),
        "rest 0".to_owned(),
        "rest 4".to_owned(),
        "rest 2".to_owned(),
    ];
    assert_eq!(log(&runner)[..7], expected);
}

#[test]
fn pictures_of_a_batch_are_encoded_together_each_once_and_paid_by_the_first_who_shows_it() {
    let runner = runner(&["red"]);
    let batch = [request(&[7], 2), request(&[7, 9], 2), request(&[9, 9, 8], 2), request(&[], 2)];
    let answers = runner.answer_batch(prepared(&runner, batch));
    assert_eq!((count(&runner, "encode"), count(&runner, "encode 3")), (1, 1));
    let picture = card().shape.vision(1);
    for (answer, shared) in answers.iter().zip([0, 1, 2, 0]) {
        let cost = answer.as_ref().unwrap().cost;
        assert_eq!(cost.spent + picture * shared, cost.cold.end_to_end);
    }
}

#[test]
fn a_picture_that_cannot_be_encoded_fails_those_who_show_it_and_no_other() {
    let runner = runner(&["red"]);
    let batch = [request(&[WHITE], 2), request(&[7], 2), request(&[7, WHITE], 2)];
    let answers = runner.answer_batch(prepared(&runner, batch));
    assert!(matches!(answers[0], Err(RunError::Backbone(_))));
    assert!(answers[1].is_ok());
    assert!(matches!(answers[2], Err(RunError::Backbone(_))));
    assert_eq!(count(&runner, "budgeted"), 1);
}

#[test]
fn a_shared_picture_is_encoded_for_those_who_still_want_it() {
    let runner = runner(&["red"]);
    let cancel = Cancel::new();
    let first = Request { cancel: cancel.clone(), ..request(&[7], 2) };
    let batch = prepared(&runner, [first, request(&[7], 2)]);
    runner.model().calls_off.replace(Some(cancel));
    let answers = runner.answer_batch(batch);
    assert!(matches!(answers[0], Err(RunError::Cancelled(_))));
    assert_eq!(answers[1].as_ref().unwrap().text, "red");
    assert_eq!(count(&runner, "encode"), 1);
}

#[test]
fn a_sample_that_is_called_off_before_it_begins_costs_nothing() {
    let runner = runner(&["red"]);
    let batch = prepared(&runner, [request(&[7], 2), request(&[8], 2)]);
    batch[1].cancel().cancel();
    let answers = runner.answer_batch(batch);
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(RunError::Cancelled(_))));
    assert_eq!((count(&runner, "encode"), count(&runner, "budgeted")), (1, 1));
}

#[test]
fn a_seed_draws_the_same_tokens_in_a_batch_and_alone() {
    let runner = runner_with(card(), &[0; 20]);
    let drawn = |seed| {
        let mut request = request(&[7], 12);
        request.settings.sampling = visor_runtime::Sampling::Random {
            temperature: visor_runtime::Temperature::new(2.0).unwrap(),
            top_p: None,
            top_k: None,
            seed,
        };
        request
    };
    let batch = prepared(&runner, [drawn(1), drawn(2), drawn(1)]);
    let alone: Vec<_> =
        batch.iter().map(|one| runner.generate(one.clone()).finish().unwrap().token_ids).collect();
    let together = runner.answer_batch(batch);
    let together: Vec<_> = together.into_iter().map(|answer| answer.unwrap().token_ids).collect();
    assert_eq!(together, alone);
    assert_ne!(alone[0], alone[1]);
}

#[test]
fn times_of_a_batched_sample_are_those_of_the_stages_of_the_batch() {
    let runner = runner(&["red", "green"]);
    let answers = runner.answer_batch(prepared(&runner, [request(&[7], 1), request(&[], 3)]));
    let timing = |index: usize| answers[index].as_ref().unwrap().timing;
    let (short, long) = (timing(0), timing(1));
    assert_eq!((short.encode, short.prefill), (long.encode, long.prefill));
    for timing in [short, long] {
        assert_eq!(timing.first_token, timing.preprocess + timing.encode + timing.prefill);
        assert_eq!(timing.total, timing.first_token + timing.decode);
    }
    assert!(short.decode.is_zero());
}

#[test]
fn a_prepared_request_can_be_had_at_another_budget() {
    let runner = runner(&["red"]);
    let budget = |word: &str| word.parse::<BudgetRequest>().unwrap();
    let ceiling = {
        let prepared = runner.prepare(request(&[7], 2)).unwrap();
        let costs = prepared.costs();
        Some(
            costs
                .of(runner.with_budget(&prepared, budget("sa1")).unwrap().dearest())
                .scopes
                .end_to_end,
        )
    };
    let prepared = runner.prepare(Request { ceiling, ..request(&[7], 2) }).unwrap();
    for name in ["sa0", "sa1"] {
        let same = Request { ceiling, budget: Some(budget(name)), ..request(&[7], 2) };
        let same = runner.generate(runner.prepare(same).unwrap()).finish().unwrap();
        let other = runner.with_budget(&prepared, budget(name)).unwrap();
        assert_eq!(other.decided().map(|decided| decided.name).as_deref(), Some(name));
        let other = runner.generate(other).finish().unwrap();
        assert_eq!((other.requested, other.decided), (same.requested, same.decided));
        assert_eq!((other.cost, other.token_ids), (same.cost, same.token_ids));
    }
    let above = runner.with_budget(&prepared, budget("sa2")).unwrap_err();
    assert!(matches!(above, RunError::AboveCeiling { .. }), "{above}");
    let unknown = runner.with_budget(&prepared, budget("sa9")).unwrap_err();
    assert!(matches!(unknown, RunError::Budget(BudgetError::Unknown { .. })), "{unknown}");
    let least = runner.with_budget(&prepared, BudgetRequest::AtMost(Flops(1))).unwrap_err();
    assert!(matches!(least, RunError::Budget(_)), "{least}");
}

#[test]
fn a_warm_up_runs_every_way_in_as_many_lengths_as_the_context_has_room_for() {
    let runner = runner(&["red"]);
    let levels = runner.card().ladder.as_ref().unwrap().rungs().len() + 1;
    let lengths = runner.warm_up(&Cancel::new()).unwrap() / levels;
    assert!((1..=4).contains(&lengths));
    assert_eq!(count(&runner, "rest"), levels * lengths);
    assert_eq!(count(&runner, "dense"), lengths);
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(runner.warm_up(&cancel), Err(RunError::Cancelled(_))));
}
