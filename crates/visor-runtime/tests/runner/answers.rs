//! How an answer comes out.

use crate::scripted::*;
use std::num::NonZeroUsize;
use visor_core::cost::{Decode, Flops, Looks};
use visor_core::{Basis, BudgetRequest, Schedule};
use visor_runtime::{
    Event, FinishReason, GenerationSettings, PictureInput, Request, RunError, Sampling, StopString,
    Temperature,
};

fn request() -> Request {
    let pictures = vec![PictureInput::Decoded(picture())];
    Request { pictures, ..Request::new("what colour ?") }
}

fn with_settings(settings: GenerationSettings) -> Request {
    Request { settings, ..request() }
}

fn tokens(n: usize) -> GenerationSettings {
    GenerationSettings { max_new_tokens: NonZeroUsize::new(n), ..GenerationSettings::default() }
}

fn stop(text: &str) -> GenerationSettings {
    GenerationSettings {
        stop: vec![StopString::new(text).unwrap()],
        ..GenerationSettings::default()
    }
}

#[test]
fn an_answer_comes_as_a_decision_then_tokens_then_an_outcome() {
    let runner = runner(&["red", "green"]);
    let events = events(&runner, request());
    let [Event::Decided(decided), tokens @ .., Event::Finished(outcome)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((decided.name.as_str(), decided.basis), ("sa2", Basis::Default));
    assert_eq!(decided.self_attention_layers, [1, 2]);
    let pieces: Vec<(u32, &str)> = tokens
        .iter()
        .map(|event| match event {
            Event::Token { id, text } => (*id, text.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pieces, [(id("red"), "red"), (id("green"), " green"), (EOS, "")]);
    assert_eq!(outcome.text, "red green");
    assert_eq!(outcome.token_ids, [id("red"), id("green"), EOS]);
    assert_eq!(outcome.finish_reason, FinishReason::Eos);
    assert_eq!((outcome.prompt_tokens, outcome.visual_tokens), (8, 4));
    assert_eq!(outcome.decided, *decided);
    let expected = [
        "encode 1".to_owned(),
        // Four text tokens and room for all that may be generated but the last.
        format!("budgeted 8 tokens, 1 pictures, room {}", 4 + 24 - 1),
        "rest 2".to_owned(),
        format!("step {}", id("red")),
        format!("step {}", id("green")),
    ];
    assert_eq!(log(&runner), expected);
}

#[test]
fn an_answer_ends_when_it_has_as_many_tokens_as_were_asked_for() {
    for n in 1..4 {
        let runner = runner(&["red"; 9]);
        let outcome = ask(&runner, with_settings(tokens(n))).unwrap();
        assert_eq!(outcome.token_ids.len(), n);
        assert_eq!(outcome.finish_reason, FinishReason::Length);
        assert_eq!(outcome.text, vec!["red"; n].join(" "));
        assert_eq!(outcome.tokens_per_second().is_some(), n > 1);
    }
}

#[test]
fn a_stop_string_ends_the_answer_and_is_no_part_of_it() {
    let runner = runner(&["red", "green", "blue", "red"]);
    let outcome = ask(&runner, with_settings(stop("n blue"))).unwrap();
    assert_eq!((outcome.text.as_str(), outcome.finish_reason), ("red gree", FinishReason::Stop));
    assert_eq!(outcome.token_ids.len(), 3);
}

#[test]
fn what_was_held_back_for_a_stop_string_comes_with_the_last_token() {
    let runner = runner(&["red", "green"]);
    let events = events(&runner, with_settings(stop("green red")));
    let pieces: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Token { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, ["red", " ", "green"]);
}

#[test]
fn two_answers_of_one_runner_are_independent() {
    let runner = runner(&["red", "green", "blue"]);
    let prepare = || runner.prepare(request()).unwrap();
    let (mut one, mut other) = (runner.generate(prepare()), runner.generate(prepare()));
    let mut text = [String::new(), String::new()];
    loop {
        let pair = [one.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        for (text, event) in text.iter_mut().zip(pair) {
            if let Some(Ok(Event::Token { text: piece, .. })) = event {
                text.push_str(&piece);
            }
        }
    }
    assert_eq!(text, ["red green blue", "red green blue"]);
}

#[test]
fn a_cancelled_answer_ends_with_an_error_and_nothing_after_it() {
    let runner = runner(&["red"; 9]);
    let prepared = runner.prepare(request()).unwrap();
    let cancel = prepared.cancel().clone();
    let mut generation = runner.generate(prepared);
    for _ in 0..3 {
        generation.next().unwrap().unwrap();
    }
    cancel.cancel();
    assert!(matches!(generation.next(), Some(Err(RunError::Cancelled(_)))));
    assert!(generation.next().is_none());
    let cancelled = Request { cancel, ..request() };
    assert!(matches!(runner.prepare(cancelled), Err(RunError::Cancelled(_))));
}

#[test]
fn scores_that_are_not_numbers_are_an_error_that_names_the_token() {
    let runner = runner_with(card(), &[id("red"), 99]);
    let error = ask(&runner, request()).unwrap_err();
    assert!(matches!(error, RunError::NonFinite { step: 2 }), "{error}");
}

#[test]
fn a_seed_repeats_a_drawn_answer() {
    let runner = runner_with(card(), &[0; 20]);
    let answer = |seed| {
        let sampling = Sampling::Random {
            temperature: Temperature::new(2.0).unwrap(),
            top_p: None,
            top_k: None,
            seed,
        };
        let settings = GenerationSettings { sampling, ..tokens(12) };
        ask(&runner, with_settings(settings)).unwrap().token_ids
    };
    assert_eq!(answer(1), answer(1));
    assert_ne!(answer(1), answer(2));
}

#[test]
fn an_outcome_holds_what_was_asked_decided_predicted_and_measured() {
    let runner = runner(&["red", "green"]);
    let budget: BudgetRequest = "sa1".parse().unwrap();
    let prepared = runner.prepare(Request { budget: Some(budget.clone()), ..request() }).unwrap();
    let predicted = prepared.costs().clone();
    let decided = prepared.decided().unwrap();
    let outcome = runner.generate(prepared).finish().unwrap();
    assert_eq!(outcome.requested, Some(budget));
    assert_eq!(outcome.decided, decided);
    assert_eq!((decided.name.as_str(), decided.basis), ("sa1", Basis::Requested));
    let level = predicted.of(decided.level);
    assert_eq!(outcome.cost.cold, level.scopes);
    assert_eq!(outcome.cost.spent, level.scopes.end_to_end);
    assert_eq!(outcome.cost.dense, predicted.dense.scopes);
    assert_eq!(outcome.cost.kv_bytes, level.kv_bytes);
    assert_eq!(outcome.cost.saving(), predicted.saving(decided.level));
    assert!(giga(level.scopes.end_to_end) > 0.0);
    // Two steps: after the first token and after the second.
    let schedule = ladder().schedule(ladder().by_name("sa1").unwrap());
    let step = |context| {
        let at = Decode { context, n_visual: 4, looks: Looks::alike(4) };
        card().shape.decoder.decode_step(&schedule, at)
    };
    assert_eq!(outcome.cost.decode, step(5) + step(6));
    assert_eq!(level.scopes.decode_step, step(5));
    let timing = outcome.timing;
    assert_eq!(timing.first_token, timing.preprocess + timing.encode + timing.prefill);
    assert_eq!(timing.total, timing.first_token + timing.decode);
}

#[test]
fn dense_runs_without_a_ladder() {
    let runner = runner(&["red"]);
    let budget = Some(BudgetRequest::Dense);
    let outcome = ask(&runner, Request { budget, ..request() }).unwrap();
    assert_eq!(outcome.decided.self_attention_layers, [0, 1, 2, 3]);
    assert_eq!(outcome.cost.cold, outcome.cost.dense);
    assert_eq!(log(&runner)[1..3], ["dense 8 tokens, 1 pictures, room 27", "rest 4"]);
    assert_eq!(Schedule::dense(4).modes().len(), 4);
    assert!(outcome.cost.decode > Flops(0));
}
