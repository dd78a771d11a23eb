//! Words that a model does not know, and questions that it does.

use visor::{ModelInfo, ModelRef};
use visor_tasks::{Split, Suite, SuiteName};

/// What a trainer of generated worlds writes into a checkpoint as its data, before suite and version.
const GENERATED: &str = "visor-tasks ";

/// A warning that names the words, with examples of what can be asked; `None` without such words.
pub(crate) fn warning(unknown: &[String], model: &ModelRef) -> Option<String> {
    if unknown.is_empty() {
        return None;
    }
    let words = quoted(unknown);
    let mut warning = format!("warning: the model does not know {words} and did not read it");
    if let Some(examples) = examples(model) {
        warning.push_str(&format!("\nquestions that it can answer: {}", quoted(&examples)));
    }
    Some(warning)
}

/// A question of each family that the model was trained on, where that was a generated suite.
fn examples(model: &ModelRef) -> Option<Vec<String>> {
    let info = ModelInfo::open(model).ok()?;
    let data = &info.manifest()?.provenance.data;
    let name = data.strip_prefix(GENERATED)?.split(' ').next()?;
    let suite = Suite::new(name.parse::<SuiteName>().ok()?);
    let question = |family| {
        let sample = suite.sample(Split::Test, family, 0);
        sample.questions.into_iter().next().map(|question| question.text)
    };
    Some(suite.families().iter().copied().filter_map(question).collect())
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}
