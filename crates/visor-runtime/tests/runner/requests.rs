//! What is found wrong before the model runs.

use crate::scripted::*;
use std::num::NonZeroUsize;
use visor_core::cost::Flops;
use visor_core::{BudgetError, BudgetRequest};
use visor_processor::PromptError;
use visor_runtime::{
    DEFAULT_MAX_NEW_TOKENS, GenerationSettings, ModelCard, PictureInput, Request, RunError, Wording,
};

fn pictures(n: usize) -> Vec<PictureInput> {
    vec![PictureInput::Decoded(picture()); n]
}

fn new_tokens(n: usize) -> GenerationSettings {
    GenerationSettings { max_new_tokens: NonZeroUsize::new(n), ..GenerationSettings::default() }
}

#[test]
fn words_that_the_vocabulary_lacks_are_reported() {
    let prepared = runner(&[]).prepare(Request::new("what hue ? Hue red")).unwrap();
    assert_eq!(prepared.unknown_words(), ["hue"]);
    let prepared = runner(&[]).prepare(Request::new("what colour ?")).unwrap();
    assert!(prepared.unknown_words().is_empty());
}

#[test]
fn prompt_and_answer_must_fit_the_context_together() {
    let runner = runner(&[]);
    // A picture gives 4 tokens, the question 3 and its end 1, of 32.
    let ask = |n| {
        let settings = new_tokens(n);
        let request = Request { pictures: pictures(1), settings, ..Request::new("what colour ?") };
        runner.prepare(request)
    };
    assert_eq!(ask(24).unwrap().max_new_tokens(), 24);
    let error = ask(25).unwrap_err();
    assert!(
        matches!(error, RunError::Context { prompt: 8, visual: 4, new: 25, context: 32 }),
        "{error}"
    );
    assert!(error.to_string().contains("at most 24"), "{error}");
}

/// A file whose head says what follows, and nothing follows.
fn head_without_pixels(width: u32, height: u32) -> PictureInput {
    let info = [40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0];
    let head = [0, 0, 54].into_iter().chain(info);
    let bytes = b"BM".iter().copied().chain(head.flat_map(u32::to_le_bytes));
    PictureInput::Bytes(bytes.collect())
}

#[test]
fn a_request_is_held_against_context_and_budget_before_a_picture_is_decoded() {
    let runner = runner(&[]);
    let request = |n, budget: &str| Request {
        pictures: vec![head_without_pixels(5, 3), PictureInput::Decoded(picture())],
        settings: new_tokens(n),
        budget: Some(budget.parse().unwrap()),
        ..Request::new("what colour ?")
    };
    assert!(matches!(runner.prepare(request(25, "sa0")), Err(RunError::Context { .. })));
    assert!(matches!(runner.prepare(request(1, "sa9")), Err(RunError::Budget(_))));
    let planned = runner.plan(request(1, "sa0")).unwrap();
    // Two tiles of 4 x 4 pixels in three channels.
    assert_eq!(planned.pixel_bytes(), 2 * 4 * 4 * 3 * 4);
    let error = runner.lay_out(planned).unwrap_err();
    assert!(matches!(error, RunError::Picture { index: 0, .. }), "{error}");
}

#[test]
fn a_request_that_is_called_off_is_planned_and_laid_out_no_further() {
    let runner = runner(&[]);
    let request = Request { pictures: pictures(1), ..Request::new("what") };
    let planned = runner.plan(request.clone()).unwrap();
    request.cancel.cancel();
    assert!(matches!(runner.lay_out(planned), Err(RunError::Cancelled(_))));
    let text_alone = Request { pictures: Vec::new(), ..request };
    assert!(matches!(runner.plan(text_alone), Err(RunError::Cancelled(_))));
}

#[test]
fn without_a_number_the_answer_gets_what_the_context_has_room_for() {
    let room = |context| {
        let runner = runner_with(ModelCard { context, ..card() }, &[]);
        runner.prepare(Request::new("what colour ?")).map(|prepared| prepared.max_new_tokens())
    };
    assert_eq!(room(32).unwrap(), 28);
    assert_eq!(room(4096).unwrap(), DEFAULT_MAX_NEW_TOKENS);
    assert_eq!(room(5).unwrap(), 1);
    for context in [0, 3, 4] {
        let error = room(context).unwrap_err();
        assert!(matches!(error, RunError::Prompt(PromptError::TooLong { .. })), "{error}");
    }
}

#[test]
fn a_picture_that_cannot_be_read_is_named_by_its_number() {
    let mut pictures = pictures(1);
    pictures.push(PictureInput::Bytes(b"no picture".to_vec()));
    let error = runner(&[]).prepare(Request { pictures, ..Request::new("what") }).unwrap_err();
    assert!(error.to_string().starts_with("picture 2 cannot be read: unknown"), "{error}");
}

#[test]
fn an_empty_question_and_a_reserved_token_are_errors() {
    for (question, expected) in [("  ", "empty"), ("what <a>", "reserved"), ("<image>", "reserved")]
    {
        let error = runner(&[]).prepare(Request::new(question)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_rendered_prompt_is_taken_as_it_is() {
    let rendered = |prompt: &str, n| Request {
        wording: Wording::Rendered(prompt.to_owned()),
        pictures: pictures(n),
        ..Request::new("")
    };
    let runner = runner(&["red"]);
    let prepared = runner.prepare(rendered("what <image> colour <image> <a>", 2)).unwrap();
    assert_eq!(prepared.prompt().text_positions(), [0, 5, 10]);
    assert_eq!(prepared.prompt().len(), 11);
    let error = runner.prepare(rendered("what <image>", 2)).unwrap_err();
    assert!(matches!(error, RunError::Prompt(PromptError::ImageCount { markers: 1, pictures: 2 })));
}

#[test]
fn budgets_are_refused_before_the_model_runs() {
    let runner = runner(&["red"]);
    let ask = |budget: Option<&str>, ceiling| {
        let budget = budget.map(|word| word.parse::<BudgetRequest>().unwrap());
        runner.prepare(Request { pictures: pictures(1), budget, ceiling, ..Request::new("what") })
    };
    let unknown = ask(Some("sa9"), None).unwrap_err().to_string();
    assert!(unknown.contains("`sa0`, `sa1`, `sa2`, `dense`"), "{unknown}");
    let low = ask(None, Some(Flops(10))).unwrap_err();
    assert!(matches!(low, RunError::Budget(BudgetError::BelowCheapest { .. })), "{low}");
    let zero = ask(Some("sa0"), Some(Flops(0))).unwrap_err();
    assert!(matches!(zero, RunError::Budget(BudgetError::Ceiling { .. })), "{zero}");
    assert!(log(&runner).is_empty());
}

#[test]
fn costs_are_known_for_every_level_before_the_model_runs() {
    let runner = runner(&["red"]);
    let request = Request { pictures: pictures(2), ..Request::new("what colour ?") };
    let prepared = runner.prepare(request).unwrap();
    let costs = prepared.costs();
    assert_eq!(costs.rungs.len(), 3);
    for pair in costs.rungs.windows(2) {
        assert!(pair[0].scopes.end_to_end < pair[1].scopes.end_to_end);
        assert!(pair[0].kv_bytes < pair[1].kv_bytes);
        assert!(costs.saving(pair[0].level) > costs.saving(pair[1].level));
    }
    assert_eq!(costs.saving(costs.dense.level), 1.0);
    assert_eq!(costs.dense.self_attention_layers, [0, 1, 2, 3]);
    // Two heads' worth of one KV head of width 4, in single precision, for 4 + 8 tokens.
    assert_eq!(costs.dense.kv_bytes, 2 * 4 * 4 * 4 * 12);
    assert!(log(&runner).is_empty());
}

#[test]
fn keys_and_values_are_counted_for_the_whole_answer_at_whatever_a_request_may_run_at() {
    let runner = runner(&["red"]);
    let prepared = |budget: Option<&str>, n| {
        let (settings, budget) = (new_tokens(n), budget.map(|word| word.parse().unwrap()));
        let request = Request { pictures: pictures(2), settings, budget, ..Request::new("what ?") };
        runner.prepare(request).unwrap()
    };
    // One KV head of width 4, in single precision, of 4 layers.
    let token = 2 * 4 * 4 * 4;
    let dense = prepared(Some("dense"), 7);
    assert_eq!(dense.kv_bytes(), token * (dense.prompt().len() as u64 + 6));
    let (one, open) = (prepared(Some("sa1"), 1), prepared(None, 3));
    assert_eq!(one.kv_bytes(), one.costs().rungs[1].kv_bytes);
    assert_eq!(open.kv_bytes(), open.costs().rungs[2].kv_bytes + 2 * token);
}
