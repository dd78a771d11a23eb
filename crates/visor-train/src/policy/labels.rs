//! What every rung answers to every question: made once, kept on disk.

use crate::data::Dataset;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use visor_core::BudgetRequest;
use visor_model::VisorModel;
use visor_runtime::{GenerationSettings, Request, Runner};

/// What one question's answers are worth, one score a rung, cheapest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The question.
    pub id: String,
    /// From 0 to 1.
    pub scores: Vec<f32>,
}

/// What the labels of a file depend on: its first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema_version: u32,
    backbone_sha256: Option<String>,
    /// What chooses the patches of pairs, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selector_sha256: Option<String>,
    rungs: Vec<String>,
    data_sha256: String,
    max_new_tokens: usize,
}

/// The labels of a dataset, in its order.
pub type Labels = Vec<Label>;

/// Runs every rung over a dataset, from where `cache` was left.
///
/// `tell` hears of each question that is done, by number. Raised, `stop` ends the work after the
/// question at hand; what is done is kept.
///
/// # Errors
/// If a question cannot be asked, the cache was made by other settings or cannot be written, or
/// [`TrainError::LabelsStopped`].
pub fn labels(
    runner: &Runner<VisorModel>,
    data: &Dataset,
    max_new_tokens: NonZeroUsize,
    cache: &Path,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(usize),
) -> Result<Labels, TrainError> {
    let card = runner.card();
    let Some(ladder) = &card.ladder else { return Err(TrainError::NoLadder) };
    let header = Header {
        schema_version: 1,
        backbone_sha256: card.sha256.clone(),
        selector_sha256: card.selector_sha256.clone().filter(|_| !ladder.pairs().is_empty()),
        rungs: ladder.rungs().iter().map(|rung| rung.name().to_owned()).collect(),
        data_sha256: data.digest(),
        max_new_tokens: max_new_tokens.get(),
    };
    let mut done = resume(cache, &header)?;
    let failed = |source| TrainError::File { path: cache.to_owned(), source };
    let mut file = OpenOptions::new().append(true).open(cache).map_err(failed)?;
    for item in data.items.iter().skip(done.len()) {
        if stop.load(Ordering::Relaxed) {
            return Err(TrainError::LabelsStopped { done: done.len() });
        }
        let settings =
            GenerationSettings { max_new_tokens: Some(max_new_tokens), ..Default::default() };
        let request = Request { settings, ..item.request()? };
        let scores = header.rungs.iter().map(|rung| {
            let budget = Some(BudgetRequest::Rung(rung.clone()));
            let asked = |because| TrainError::Question { id: item.id.clone(), because };
            let prepared = runner.prepare(Request { budget, ..request.clone() }).map_err(asked)?;
            let answer = runner.generate(prepared).finish().map_err(asked)?;
            Ok(item.score(&answer.text))
        });
        let label =
            Label { id: item.id.clone(), scores: scores.collect::<Result<_, TrainError>>()? };
        writeln!(file, "{}", json(&label, cache)?).map_err(failed)?;
        done.push(label);
        tell(done.len());
    }
    Ok(done)
}

/// The labels that are there already; makes the file where there is none, and drops a line that a
/// kill cut short.
fn resume(cache: &Path, header: &Header) -> Result<Labels, TrainError> {
    let failed = |source| TrainError::File { path: cache.to_owned(), source };
    if !cache.exists() {
        fs::write(cache, format!("{}\n", json(header, cache)?)).map_err(failed)?;
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(cache).map_err(failed)?;
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let first = lines.next().unwrap_or_default();
    let other =
        |because: &str| TrainError::State { path: cache.to_owned(), because: because.to_owned() };
    let found: Header =
        serde_json::from_str(first).map_err(|_| other("its first line says no settings"))?;
    for (differs, what) in [
        (found.backbone_sha256 != header.backbone_sha256, "it holds labels of another model"),
        (found.rungs != header.rungs, "it holds labels of another ladder"),
        (found.selector_sha256 != header.selector_sha256, "it holds labels of another selector"),
        (found.data_sha256 != header.data_sha256, "it holds labels of other questions"),
        (found != *header, "it was made by other settings"),
    ] {
        if differs {
            return Err(other(&format!("{what}; choose a new folder")));
        }
    }
    let mut kept = first.len();
    let mut labels = Vec::new();
    for line in lines {
        let label: Label = serde_json::from_str(line)
            .map_err(|error| other(&format!("line {}: {error}", labels.len() + 2)))?;
        kept += line.len();
        labels.push(label);
    }
    if kept < text.len() {
        let file = OpenOptions::new().write(true).open(cache).map_err(failed)?;
        file.set_len(kept as u64).map_err(failed)?;
    }
    Ok(labels)
}

fn json(value: &impl Serialize, path: &Path) -> Result<String, TrainError> {
    serde_json::to_string(value)
        .map_err(|source| TrainError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(data: &str) -> Header {
        Header {
            schema_version: 1,
            backbone_sha256: Some("b".to_owned()),
            selector_sha256: None,
            rungs: vec!["sa0".to_owned(), "sa1".to_owned()],
            data_sha256: data.to_owned(),
            max_new_tokens: 8,
        }
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_other_settings_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("labels.jsonl");
        assert_eq!(resume(&cache, &header("d")).expect("a new file"), []);
        let label = Label { id: "q".to_owned(), scores: vec![0.0, 1.0] };
        let whole =
            fs::read_to_string(&cache).expect("read") + &json(&label, &cache).expect("json") + "\n";
        fs::write(&cache, format!("{whole}{{\"id\": \"r\", \"sco")).expect("written");
        assert_eq!(resume(&cache, &header("d")).expect("resumed"), [label]);
        assert_eq!(fs::read_to_string(&cache).expect("read"), whole);
        let error = resume(&cache, &header("e")).expect_err("other data").to_string();
        assert!(error.contains("other questions"), "{error}");
        let with =
            |selector: &str| Header { selector_sha256: Some(selector.to_owned()), ..header("d") };
        let error = resume(&cache, &with("s")).expect_err("pairs").to_string();
        assert!(error.contains("another selector"), "{error}");
        assert_eq!(fs::read_to_string(&cache).expect("read"), whole, "nothing is overwritten");
        let pairs = folder.path().join("pairs.jsonl");
        resume(&pairs, &with("s")).expect("a new file");
        resume(&pairs, &with("s")).expect("the same selector");
        let error = resume(&pairs, &with("t")).expect_err("another").to_string();
        assert!(error.contains("another selector"), "{error}");
    }
}
