//! A walk through the library: costs before loading, loading, asking, streaming, calling off.
//!
//! `cargo run --release -p visor --example library_tour -- MODEL PICTURE QUESTION`

#![expect(clippy::print_stdout, reason = "an example shows what comes out")]

use std::error::Error;
use std::num::NonZeroUsize;
use visor::{
    BudgetRequest, Cancel, DeviceRequest, Event, GenerationSettings, LoadOptions, Model, ModelInfo,
    ModelRef, Picture, PictureLimits, PictureSize, Question, RunError, Sampling, StopString,
    Temperature, TopP,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, picture, question] = arguments.as_slice() else {
        return Err("expected MODEL PICTURE QUESTION".into());
    };
    let model_ref: ModelRef = model.parse()?;
    let bytes = std::fs::read(picture)?;
    let picture = Picture::decode(&bytes, &PictureLimits::default())?;

    before_loading(&model_ref, &picture)?;
    let options = LoadOptions::default().device(DeviceRequest::Cpu);
    let model = Model::load(&model_ref, &options)?;
    every_budget(&model, question, &picture)?;
    below_a_ceiling(&model, question, &picture)?;
    piece_by_piece(&model, question, bytes)?;
    drawn_at_random(&model, question, &picture)?;
    called_off(&model, question, &picture)
}

/// What every budget would cost, from two small files.
fn before_loading(model: &ModelRef, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let info = ModelInfo::open(model)?;
    let card = info.card();
    println!("{}: {} weights, context {}", card.name, card.parameters, card.context);
    let size = PictureSize { width: picture.width(), height: picture.height() };
    let costs = info.costs(8, &[size]);
    for level in costs.rungs.iter().chain([&costs.dense]) {
        let (name, layers) = (&level.name, &level.self_attention_layers);
        let saving = costs.saving(level.level);
        println!("  {name} {layers:?}: {}, {saving:.2}x", level.scopes.end_to_end);
    }
    for device in visor::devices() {
        println!("  {}: {}", device.request, device.description);
    }
    Ok(())
}

/// One model serves any number of questions, each at its own budget.
fn every_budget(model: &Model, question: &str, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let rungs = model.card().ladder.iter().flat_map(|ladder| ladder.rungs());
    for rung in rungs {
        let budget = BudgetRequest::Rung(rung.name().to_owned());
        let question = Question::new(question).picture(picture.clone()).budget(budget);
        let answer = model.ask(question)?;
        println!("{}: {} ({:?})", rung.name(), answer.text, answer.timing.total);
    }
    Ok(())
}

/// The dearest budget that a number of FLOPs allows; too few are an error that says what would do.
fn below_a_ceiling(model: &Model, question: &str, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let ask = || Question::new(question).picture(picture.clone());
    let prepared = model.prepare(ask())?;
    let all = prepared.costs().of(prepared.dearest()).scopes.end_to_end;
    let answer = model.ask(ask().ceiling(all))?;
    println!("below {all}: {}, {}", answer.decided.name, answer.decided.basis.word());
    let error = model.ask(ask().ceiling(visor::Flops(1))).expect_err("nothing is so cheap");
    println!("below 1 FLOP: {error}");
    Ok(())
}

/// An answer while it grows, and what is known before it begins.
fn piece_by_piece(model: &Model, question: &str, file: Vec<u8>) -> Result<(), Box<dyn Error>> {
    let prepared = model.prepare(Question::new(question).picture_bytes(file))?;
    println!("unknown words: {:?}", prepared.unknown_words());
    for event in model.generate(prepared) {
        match event? {
            Event::Decided(decided) => print!("at {}:", decided.name),
            Event::Token { text, .. } => print!(" {}", text.trim()),
            Event::Finished(outcome) => println!(" [{}]", outcome.finish_reason.word()),
            _ => {}
        }
    }
    Ok(())
}

/// Sampling, stop strings and a limit; the same seed gives the same answer.
fn drawn_at_random(model: &Model, question: &str, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let settings = GenerationSettings {
        max_new_tokens: NonZeroUsize::new(4),
        sampling: Sampling::Random {
            temperature: Temperature::new(0.8)?,
            top_p: Some(TopP::new(0.9)?),
            top_k: None,
            seed: 7,
        },
        stop: vec![StopString::new(".")?],
    };
    let ask = || Question::new(question).picture(picture.clone()).settings(settings.clone());
    let (one, other) = (model.ask(ask())?, model.ask(ask())?);
    println!("drawn: {} (again: {})", one.text, one.text == other.text);
    Ok(())
}

/// A question that another thread, or a signal, calls off.
fn called_off(model: &Model, question: &str, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let cancel = Cancel::new();
    let question = Question::new(question).picture(picture.clone()).cancel(cancel.clone());
    let mut answer = model.stream(question)?;
    let first = answer.next().transpose()?;
    println!("decided: {}", matches!(first, Some(Event::Decided(_))));
    std::thread::spawn(move || cancel.cancel()).join().map_err(|_| "the thread panicked")?;
    let called_off = matches!(answer.next(), Some(Err(RunError::Cancelled(_))));
    println!("called off: {called_off}");
    Ok(())
}
