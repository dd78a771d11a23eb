//! Loads a checkpoint, asks one question at a fixed budget and prints the answer. No policy is
//! loaded or run.
//!
//! `cargo run --release -p visor --example fixed_budget -- MODEL BUDGET PICTURE QUESTION`

use visor::{LoadOptions, Model, Question};

#[expect(clippy::print_stdout, reason = "an example shows what comes out")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, budget, picture, question] = arguments.as_slice() else {
        return Err("expected MODEL BUDGET PICTURE QUESTION".into());
    };
    let model = Model::load(&model.parse()?, &LoadOptions::default())?;
    let question = Question::new(question).picture_file(picture).budget(budget.parse()?);
    let answer = model.ask(question)?;
    println!("{} [{}, {}]", answer.text, answer.decided.name, answer.cost.cold.end_to_end);
    Ok(())
}
