//! Answers of networks that were trained for comparison, question by question, as their runs left
//! them: they cannot be had from the compared checkpoint.

use super::MeasureError;
use crate::compare::observation::{Answer, Flops, Group, Part, RowHead};
use crate::compare::store::{Entry, Store};
use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;
use visor_train::data::Dataset;
use visor_train::outcomes::{BudgetOutcomes, Outcomes, SCHEMA_VERSION};

/// What is wrong with a file of answers.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BaselinesError {
    /// It cannot be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{}: not the answers of a training run", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It contradicts itself.
    #[error("{}: {because}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        because: String,
    },
}

/// The answers of some networks.
#[derive(Debug, Default)]
pub struct Baselines {
    all: Vec<Outcomes>,
}

impl Baselines {
    /// Reads all `*.json` of a folder, in the order of their names.
    ///
    /// # Errors
    /// Of files that cannot be read or hold something else.
    pub fn read(folder: &Path) -> Result<Self, BaselinesError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| BaselinesError::Io { path, source }
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(io(folder))? {
            let path = entry.map_err(io(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let all = paths.iter().map(|path| outcomes(path)).collect::<Result<_, _>>()?;
        Ok(Self { all })
    }

    /// Those that answered the questions of `data`, or more that begin with them.
    #[must_use]
    pub fn about(self, questions_sha256: &str) -> Self {
        let fits = |outcomes: &Outcomes| outcomes.questions_sha256 == questions_sha256;
        Self { all: self.all.into_iter().filter(fits).collect() }
    }

    /// Arm and seed of each network.
    pub fn names(&self) -> Vec<String> {
        self.all.iter().map(|outcomes| format!("{}-{}", outcomes.arm, outcomes.seed)).collect()
    }

    /// A row for each budget of each network.
    pub(super) fn rows(&self, store: &mut Store, data: &Dataset) -> Result<(), MeasureError> {
        for outcomes in &self.all {
            for budget in &outcomes.budgets {
                let name = row_name(outcomes, budget);
                if !store.has_row(&name) {
                    store.append(Entry::Row(head(&name, outcomes, budget)))?;
                }
                let first = store.answered(&name);
                if first < data.items.len() {
                    let answers =
                        (first..data.items.len()).map(|index| answer(budget, index)).collect();
                    store.append(Entry::Answers(Part { row: name, first, answers }))?;
                }
            }
        }
        Ok(())
    }
}

fn outcomes(path: &Path) -> Result<Outcomes, BaselinesError> {
    let text =
        fs::read(path).map_err(|source| BaselinesError::Io { path: path.to_owned(), source })?;
    let outcomes: Outcomes = serde_json::from_slice(&text)
        .map_err(|source| BaselinesError::Json { path: path.to_owned(), source })?;
    let wrong = |because| BaselinesError::Content { path: path.to_owned(), because };
    if outcomes.schema_version != SCHEMA_VERSION {
        return Err(wrong(format!("schema version {}", outcomes.schema_version)));
    }
    for budget in &outcomes.budgets {
        let digits = budget.right.bytes().filter(|byte| matches!(byte, b'0' | b'1')).count();
        if digits != outcomes.n || budget.right.len() != outcomes.n {
            let because = format!("{} has not {} answers of 0 or 1", budget.name, outcomes.n);
            return Err(wrong(because));
        }
    }
    Ok(outcomes)
}

fn row_name(outcomes: &Outcomes, budget: &BudgetOutcomes) -> String {
    if budget.name == outcomes.arm || budget.name.starts_with(&outcomes.arm) {
        return budget.name.clone();
    }
    format!("{}/{}", outcomes.arm, budget.name)
}

fn head(name: &str, outcomes: &Outcomes, budget: &BudgetOutcomes) -> RowHead {
    let layers = budget.self_attention_layers.len();
    RowHead {
        name: name.to_owned(),
        group: Group::Baseline,
        about: format!("the arm {}, {layers} self-attention layers", outcomes.arm),
        network: Some(format!(
            "{}, seed {}, {} steps, {} parameters",
            outcomes.arm, outcomes.seed, outcomes.steps, outcomes.parameters
        )),
        visual_tokens: u32::try_from(budget.visual_tokens).ok(),
    }
}

/// The cost of each question is the mean: prompts differ by a token or two.
fn answer(budget: &BudgetOutcomes, index: usize) -> Answer {
    let [vision_side, lm_prefill, end_to_end, decode_step] = budget.mean_flops;
    let right = budget.right.as_bytes().get(index) == Some(&b'1');
    Answer {
        score: Some(if right { 1.0 } else { 0.0 }),
        rung: None,
        flops: Flops { end_to_end, lm_prefill, vision_side, decode_step },
        self_attention_layers: budget.self_attention_layers.len() as u16,
    }
}
