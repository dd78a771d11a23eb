//! Compares the budgets of nano on its sample pictures: right answers, mean cost, saving.
//!
//! `cargo run --release -p visor --example compare_budgets`

use serde_json::Value;
use visor::{LoadOptions, Model, Question};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano/samples");

#[expect(clippy::print_stdout, reason = "an example shows what comes out")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::load(&"nano".parse()?, &LoadOptions::default())?;
    let lines = std::fs::read_to_string(format!("{SAMPLES}/samples.jsonl"))?;
    let samples = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    for budget in ["sa0", "sa1", "sa2", "sa3", "auto"] {
        let (mut right, mut cost, mut dense) = (0, 0.0, 0.0);
        for sample in &samples {
            let text = |field: &str| sample[field].as_str().unwrap_or_default();
            let question = Question::new(text("question")).budget(budget.parse()?);
            let picture = format!("{SAMPLES}/{}", text("image"));
            let answer = model.ask(question.picture_file(picture))?;
            right += usize::from(answer.text == text("answer"));
            cost += answer.cost.cold.end_to_end.giga();
            dense += answer.cost.dense.end_to_end.giga();
        }
        println!("{budget}: {right} of {} right, saving {:.2}x", samples.len(), dense / cost);
    }
    Ok(())
}
