//! Lets the model's policy choose the budget for a question, and prints the answer, the budget that
//! was chosen and what it saves.
//!
//! `cargo run --release -p visor --example dynamic_policy -- [MODEL PICTURE QUESTION]`

use visor::{BudgetRequest, LoadOptions, Model, Question};

/// What is asked where nothing else is.
const NANO: [&str; 3] = [
    "nano",
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano/samples/00000.png"),
    "colour at r4 c5 ?",
];

#[expect(clippy::print_stdout, reason = "an example shows what comes out")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let arguments = if given.is_empty() { NANO.as_slice() } else { &given };
    let &[model, picture, question] = arguments else {
        return Err("expected MODEL PICTURE QUESTION, or nothing".into());
    };
    let model = Model::load(&model.parse()?, &LoadOptions::default())?;
    let question = Question::new(question).picture_file(picture).budget(BudgetRequest::Auto);
    let answer = model.ask(question)?;
    println!("{} [{}, saving {:.2}x]", answer.text, answer.decided.name, answer.cost.saving());
    Ok(())
}
