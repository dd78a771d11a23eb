//! Pictures that are encoded once for many questions.

use crate::scripted::*;
use std::num::NonZeroUsize;
use visor_processor::Setting;
use visor_runtime::{
    Cancel, Event, Outcome, PictureInput, PreparedImage, Request, RunError, Runner,
};

fn request(shades: &[u8]) -> Request {
    let pictures = shades.iter().map(|&value| PictureInput::Decoded(shade(value))).collect();
    Request { pictures, ..Request::new("what") }
}

fn encoded(runner: &Runner<Scripted>) -> usize {
    log(runner).iter().filter(|note| note.starts_with("encode")).count()
}

fn prepare(runner: &Runner<Scripted>, value: u8) -> Result<PreparedImage, RunError> {
    let input = PictureInput::Decoded(shade(value));
    runner.prepare_image(&input, Setting::default(), &Cancel::new())
}

/// What a cache must not change.
fn told(outcome: Outcome) -> (String, Vec<u32>, usize) {
    (outcome.text, outcome.token_ids, outcome.visual_tokens)
}

#[test]
fn a_second_question_about_a_picture_that_is_kept_costs_no_pass_of_the_encoder() {
    let cold = runner(&["red"]);
    let warm = runner(&["red"]).with_picture_cache(1 << 20);
    let (first, second) = (ask(&warm, request(&[7])).unwrap(), ask(&warm, request(&[7])).unwrap());
    assert_eq!(encoded(&warm), 1);
    assert_eq!((first.pictures.cached, second.pictures.cached), (0, 1));
    assert_eq!(first.cost.spent, first.cost.cold.end_to_end);
    assert_eq!(second.cost.spent + card().shape.vision(1), second.cost.cold.end_to_end);
    assert_eq!(second.cost.cold, first.cost.cold);
    assert_eq!(told(second), told(ask(&cold, request(&[7])).unwrap()));
    let stats = warm.picture_cache().unwrap();
    assert_eq!((stats.hits, stats.misses, stats.entries), (1, 1, 1));
    // Another picture is another one.
    assert_eq!(ask(&warm, request(&[8])).unwrap().pictures.cached, 0);
    assert_eq!(encoded(&warm), 2);
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let runner = runner(&["red"]);
    for _ in 0..2 {
        assert_eq!(ask(&runner, request(&[7])).unwrap().pictures.cached, 0);
    }
    assert_eq!(encoded(&runner), 2);
    assert_eq!(runner.picture_cache(), None);
}

#[test]
fn once_a_picture_is_encoded_a_request_holds_it_so_and_can_be_started_again_without_its_pixels() {
    let runner = runner(&["red"]);
    let mut sample = runner.start(runner.prepare(request(&[7, 8])).unwrap());
    assert_eq!(sample.prepared().pictures().len(), 2);
    runner.advance(std::slice::from_mut(&mut sample));
    assert!(sample.prepared().pictures().is_empty());
    let again = runner.generate(sample.prepared().clone()).finish().unwrap();
    assert_eq!((again.text.as_str(), again.visual_tokens), ("red", 8));
    let passes = encoded(&runner);
    runner.generate(sample.prepared().clone()).finish().unwrap();
    assert_eq!(encoded(&runner), passes, "it was encoded again");
}

#[test]
fn a_picture_that_was_put_aside_is_encoded_anew_and_the_answer_is_the_same() {
    let runner = runner(&["red"]).with_picture_cache(PICTURE_BYTES * 3 / 2);
    let first = ask(&runner, request(&[7])).unwrap();
    ask(&runner, request(&[8])).unwrap();
    let again = ask(&runner, request(&[7])).unwrap();
    assert_eq!(encoded(&runner), 3);
    assert_eq!(told(first), told(again));
    assert_eq!(runner.picture_cache().unwrap().evictions, 2);
}

#[test]
fn a_request_that_was_prepared_keeps_the_picture_that_it_found() {
    let runner = runner(&["red"]).with_picture_cache(PICTURE_BYTES * 3 / 2);
    ask(&runner, request(&[7])).unwrap();
    let prepared = runner.prepare(request(&[7])).unwrap();
    ask(&runner, request(&[8])).unwrap();
    assert_eq!(runner.generate(prepared).finish().unwrap().pictures.cached, 1);
    assert_eq!(encoded(&runner), 2);
}

#[test]
fn what_was_prepared_before_the_picture_was_kept_finds_it_when_it_runs() {
    let runner = runner(&["red"]).with_picture_cache(1 << 20);
    let prepared = [7, 7].map(|value| runner.prepare(request(&[value])).unwrap());
    let cached = prepared.map(|one| runner.generate(one).finish().unwrap().pictures.cached);
    assert_eq!((cached, encoded(&runner)), ([0, 1], 1));
}

#[test]
fn a_failed_or_cancelled_picture_is_not_kept() {
    let runner = runner(&["red"]).with_picture_cache(1 << 20);
    let cancel = Cancel::new();
    runner.model().calls_off.replace(Some(cancel.clone()));
    let called_off = Request { cancel, ..request(&[7]) };
    assert!(matches!(ask(&runner, called_off), Err(RunError::Cancelled(_))));
    assert!(matches!(ask(&runner, request(&[255])), Err(RunError::Backbone(_))));
    assert_eq!(runner.picture_cache().unwrap().entries, 0);
}

#[test]
fn a_prepared_image_is_asked_about_without_its_pixels() {
    let runner = runner(&["red"]);
    let image = prepare(&runner, 7).unwrap();
    assert_eq!((image.tiles(), image.bytes()), (1, PICTURE_BYTES));
    for _ in 0..2 {
        let pictures = vec![PictureInput::Prepared(image.clone())];
        let answer = ask(&runner, Request { pictures, ..Request::new("what") }).unwrap();
        assert_eq!(answer.pictures.cached, 1);
        assert_eq!(told(answer), told(ask(&runner, request(&[7])).unwrap()));
    }
    assert_eq!(encoded(&runner), 3);
}

#[test]
fn a_prepared_image_is_shared_with_the_cache_both_ways() {
    let runner = runner(&["red"]).with_picture_cache(1 << 20);
    prepare(&runner, 7).unwrap();
    assert_eq!(ask(&runner, request(&[7])).unwrap().pictures.cached, 1);
    ask(&runner, request(&[8])).unwrap();
    prepare(&runner, 8).unwrap();
    assert_eq!(encoded(&runner), 2);
}

#[test]
fn a_prepared_image_of_another_runner_is_an_error() {
    let (ours, theirs) = (runner(&["red"]), runner(&["red"]));
    let pictures = vec![PictureInput::Prepared(prepare(&theirs, 7).unwrap())];
    let error = ask(&ours, Request { pictures, ..Request::new("what") }).unwrap_err();
    assert!(matches!(error, RunError::ForeignImage { index: 0 }), "{error}");
    assert!(error.to_string().contains("picture 1 was prepared by another model"), "{error}");
}

#[test]
fn a_batch_shares_what_is_kept_and_encodes_the_rest_once() {
    let runner = runner(&["red"]).with_picture_cache(1 << 20);
    ask(&runner, request(&[7])).unwrap();
    let batch = [&[7, 8][..], &[8, 7], &[9]].map(|shades| runner.prepare(request(shades)).unwrap());
    let answers = runner.answer_batch(batch.into());
    let cached: Vec<usize> = answers.into_iter().map(|a| a.unwrap().pictures.cached).collect();
    assert_eq!((cached, encoded(&runner)), (vec![1, 2, 0], 2));
    assert!(log(&runner).contains(&"encode 2".to_owned()));
}

#[test]
fn what_is_kept_does_not_depend_on_what_was_asked() {
    let runner = runner(&["red", "green"]).with_picture_cache(1 << 20);
    let one = NonZeroUsize::new(1);
    let mut short = request(&[7]);
    short.settings.max_new_tokens = one;
    short.budget = Some("sa0".parse().unwrap());
    ask(&runner, short).unwrap();
    let events = events(&runner, request(&[7]));
    let Some(Event::Finished(outcome)) = events.last() else { panic!("{events:?}") };
    assert_eq!((outcome.text.as_str(), outcome.decided.name.as_str()), ("red green", "sa2"));
    assert_eq!(outcome.pictures.cached, 1);
}
