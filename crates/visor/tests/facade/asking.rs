//! Questions and answers.

use crate::support::*;
use std::num::NonZeroUsize;
use visor::{
    Basis, BudgetRequest, DeviceRequest, Dtype, Error, Event, FinishReason, Flops,
    GenerationSettings, LoadOptions, Model, ModelRef, Question, RunError, fixture,
};

fn at(rung: &str) -> BudgetRequest {
    rung.parse().unwrap()
}

#[test]
fn a_checkpoint_answers_at_every_rung_and_says_what_it_cost() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let mut before = Flops(0);
    let mut answers = Vec::new();
    for rung in fixture::RUNGS {
        let answer = model.ask(question().budget(at(rung))).unwrap();
        assert_eq!((answer.decided.name.as_str(), answer.decided.basis), (rung, Basis::Requested));
        assert!(answer.cost.cold.end_to_end > before);
        assert!(answer.cost.saving() > 1.0);
        before = answer.cost.cold.end_to_end;
        assert_eq!(answer.visual_tokens, 16);
        answers.push(answer.token_ids);
    }
    assert_eq!(answers[3], model.ask(question()).unwrap().token_ids, "the default is the largest");
    answers.dedup();
    assert!(answers.len() > 1, "random weights answer alike at every rung: {answers:?}");
}

#[test]
fn the_same_question_has_the_same_answer_from_a_file_from_bytes_and_after_loading_again() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let file = png(&folder.path(), 1);
    let ask = |question: Question| model.ask(question).unwrap().token_ids;
    let expected = ask(question());
    assert_eq!(ask(Question::new(fixture::QUESTION).picture_file(&file)), expected);
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(ask(Question::new(fixture::QUESTION).picture_bytes(bytes)), expected);
    let rendered = format!("<image> {} <a>", fixture::QUESTION);
    assert_eq!(ask(Question::rendered(rendered).picture(picture(1))), expected);
    std::fs::remove_file(file).unwrap();
    assert_eq!(folder.load().unwrap().ask(question()).unwrap().token_ids, expected);
}

#[test]
fn pictures_and_their_order_make_a_difference() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let ask = |seeds: &[u8]| {
        let question = Question::new(fixture::QUESTION);
        let question = seeds.iter().fold(question, |q, &seed| q.picture(picture(seed)));
        let answer = model.ask(question).unwrap();
        assert_eq!(answer.visual_tokens, 16 * seeds.len());
        answer.token_ids
    };
    let all = [ask(&[]), ask(&[1]), ask(&[9]), ask(&[1, 9]), ask(&[9, 1])];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{i}: {one:?}");
    }
}

#[test]
fn a_stream_brings_the_same_answer_piece_by_piece() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let whole = model.ask(question()).unwrap();
    let mut text = String::new();
    for event in model.stream(question()).unwrap() {
        match event.unwrap() {
            Event::Token { text: piece, .. } => text.push_str(&piece),
            Event::Finished(outcome) => assert_eq!(outcome.token_ids, whole.token_ids),
            _ => {}
        }
    }
    assert_eq!(text, whole.text);
}

#[test]
fn a_stock_checkpoint_answers_dense_alone() {
    let folder = Folder::stock();
    let model = folder.load().unwrap();
    let answer = model.ask(question()).unwrap();
    assert_eq!(answer.decided.name, "dense");
    assert_eq!(answer.cost.saving(), 1.0);
    let error = model.ask(question().budget(at("sa0"))).unwrap_err().to_string();
    assert!(error.contains("this model has `dense`"), "{error}");
}

#[test]
fn dense_of_a_model_that_was_not_trained_for_it_is_an_error_that_lists_the_legal_budgets() {
    let folder = Folder::universal();
    let error = folder.load().unwrap().ask(question().budget(BudgetRequest::Dense)).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("no dense mode") && error.contains("`sa0`, `sa1`"), "{error}");
}

#[test]
fn words_that_the_model_does_not_know_are_named_and_the_answer_comes_all_the_same() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let question = Question::new("hue at r2 c3 please ?").picture(picture(1));
    let prepared = model.prepare(question).unwrap();
    assert_eq!(prepared.unknown_words(), ["hue", "please"]);
    assert!(model.generate(prepared).finish().is_ok());
}

#[test]
fn a_picture_file_that_cannot_be_read_is_named() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let ask = |file: &str| {
        let path = folder.path().join(file);
        model.ask(Question::new(fixture::QUESTION).picture(picture(1)).picture_file(path))
    };
    let error = ask("nowhere.png").unwrap_err();
    assert!(matches!(error, Error::PictureFile { .. }), "{error}");
    assert!(error.to_string().contains("nowhere.png"), "{error}");
    let error = ask("config.json").unwrap_err();
    assert!(matches!(error, Error::Picture { .. }), "{error}");
    assert!(error.to_string().contains("config.json"), "{error}");
    let error = model.ask(question().picture_bytes(vec![1, 2, 3])).unwrap_err();
    assert!(matches!(error, Error::Run(RunError::Picture { index: 1, .. })), "{error}");
}

#[test]
fn a_prompt_beyond_the_context_is_an_error() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let long = Question::new(["r2"; 200].join(" ")).picture(picture(1));
    let error = model.ask(long).unwrap_err().to_string();
    assert!(error.contains("217 tokens, of which 16 are visual"), "{error}");
    let settings = GenerationSettings {
        max_new_tokens: NonZeroUsize::new(1000),
        ..GenerationSettings::default()
    };
    let error = model.ask(question().settings(settings)).unwrap_err().to_string();
    assert!(error.contains("1000 new ones"), "{error}");
}

#[test]
fn an_answer_of_one_token_needs_no_step() {
    let folder = Folder::universal();
    let settings = GenerationSettings {
        max_new_tokens: NonZeroUsize::new(1),
        ..GenerationSettings::default()
    };
    let answer = folder.load().unwrap().ask(question().settings(settings)).unwrap();
    assert_eq!(answer.token_ids.len(), 1);
    assert_eq!(answer.cost.decode, Flops(0));
    if answer.finish_reason != FinishReason::Eos {
        assert_eq!(answer.finish_reason, FinishReason::Length);
    }
}

#[test]
fn every_shipped_model_loads_by_its_name_and_answers() {
    for name in visor::shipped_models() {
        let model_ref: ModelRef = name.parse().unwrap();
        assert_eq!(model_ref, ModelRef::Shipped(name));
        let model = Model::load(&model_ref, &LoadOptions::default()).unwrap();
        assert_eq!(model.card().name, name);
        let answer = model.ask(Question::new("colour at r2 c3 ?").picture(picture(1))).unwrap();
        assert!(!answer.text.is_empty());
    }
    let best = ModelRef::best_shipped().ok();
    assert_eq!(best, visor::shipped_models().next().map(ModelRef::Shipped));
}

#[test]
fn one_model_answers_on_several_threads() {
    let folder = Folder::universal();
    let model = folder.load().unwrap();
    let expected = model.ask(question()).unwrap().token_ids;
    std::thread::scope(|scope| {
        let ask = || model.ask(question()).unwrap().token_ids;
        let answers: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        for answer in answers {
            assert_eq!(answer.join().unwrap(), expected);
        }
    });
}

#[test]
fn number_formats_and_devices_that_cannot_be_had_are_errors() {
    let folder = Folder::universal();
    let load = |options| Model::load(&folder.model_ref(), &options).unwrap_err().to_string();
    for dtype in [Dtype::BF16, Dtype::Int8] {
        let error = load(LoadOptions::default().dtype(dtype).device(DeviceRequest::Wgpu));
        assert!(error.contains(&format!("weights in {dtype} cannot be had on wgpu")), "{error}");
        assert!(error.contains("f32, bf16, f16, int8 on cpu"), "{error}");
    }
    let error = load(LoadOptions::default().device(DeviceRequest::Cuda(77)));
    assert!(error.contains("cuda"), "{error}");
}
