//! Two records cell by cell: what changed, and whether anything became worse past a threshold.
//!
//! Accuracies and FLOPs are compared as they are, times and memory as ratios to a row of the same
//! record, so that two machines can be compared. Rungs, routed rows and baselines are judged;
//! changes of controls are only told, and references follow from the others.

mod cells;
mod report;

use super::observation::Group;
use super::record::CompareRecord;
use thiserror::Error;

/// How much worse a cell may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Loss of accuracy, as a share: 0.01 is a percentage point.
    pub accuracy: f64,
    /// Growth of FLOPs, as a share of the old ones.
    pub cost: f64,
    /// Growth of a time or of memory relative to the reference row's, as a share of the old ratio.
    pub time: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { accuracy: 0.01, cost: 0.01, time: 0.10 }
    }
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A mean score from 0 to 1: more is better.
    Accuracy,
    /// GFLOPs: less is better.
    Cost,
    /// A time or memory over that of the reference row: less is better.
    Ratio,
}

/// What to think of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Better, or worse by no more than the threshold.
    Passed,
    /// Worse past the threshold.
    Worse,
    /// Not judged: a control.
    Told,
}

/// A cell that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The row.
    pub row: String,
    /// The column, as `accuracy`, `accuracy of chain`, `end_to_end`, `first_token`.
    pub cell: String,
    /// What it holds.
    pub quantity: Quantity,
    /// The old value.
    pub old: f64,
    /// The new value.
    pub new: f64,
    /// What to think of it.
    pub judgement: Judgement,
}

/// The result of a comparison of two records.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Cells that changed, in the order of the rows.
    pub changes: Vec<Change>,
    /// Cells that both records have.
    pub compared: usize,
    /// Rows of the old record that the new one lacks: each is a regression.
    pub gone: Vec<String>,
    /// Rows that only the new one has.
    pub added: Vec<String>,
    /// Settings and machines that differ, which may explain changes.
    pub circumstances: Vec<Difference>,
    /// The row that times are relative to, where both records have times.
    pub times_relative_to: Option<String>,
}

/// Something that differs between two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub what: String,
    /// In the old record.
    pub old: String,
    /// In the new one.
    pub new: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was `{}` and is `{}`", self.what, self.old, self.new)
    }
}

/// Why two records cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GateError {
    /// They are of different things.
    #[error(
        "the records are of different things: {}; compare records of one model on one suite",
        .differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Different {
        /// What differs.
        differences: Vec<Difference>,
    },
}

/// Compares a new record with an old one.
///
/// # Errors
/// [`GateError::Different`], where suite, data, model, policy or ladder are not the same.
pub fn gate(
    old: &CompareRecord,
    new: &CompareRecord,
    thresholds: Thresholds,
) -> Result<Verdict, GateError> {
    let differences = subject(old, new);
    if !differences.is_empty() {
        return Err(GateError::Different { differences });
    }
    let reference = cells::time_reference(old, new);
    let (mut changes, mut compared, mut gone) = (Vec::new(), 0, Vec::new());
    for row in old.rows.iter().filter(|row| row.group != Group::Reference) {
        let Some(now) = new.row(&row.name) else {
            gone.push(row.name.clone());
            continue;
        };
        let before = cells::cells(old, row, reference.as_deref());
        let after = cells::cells(new, now, reference.as_deref());
        for (cell, quantity, was) in before {
            let Some((.., is)) = after.iter().find(|(other, ..)| *other == cell) else { continue };
            compared += 1;
            if was != *is {
                let judgement = match row.group {
                    Group::Control => Judgement::Told,
                    _ => thresholds.judge(quantity, was, *is),
                };
                let row = row.name.clone();
                changes.push(Change { row, cell, quantity, old: was, new: *is, judgement });
            }
        }
    }
    let added = new.rows.iter().filter(|row| old.row(&row.name).is_none());
    Ok(Verdict {
        changes,
        compared,
        gone,
        added: added.map(|row| row.name.clone()).collect(),
        circumstances: circumstances(old, new),
        times_relative_to: reference,
    })
}

impl Thresholds {
    fn judge(&self, quantity: Quantity, old: f64, new: f64) -> Judgement {
        // Records have six digits: a change of exactly the threshold must not fail by rounding.
        const ROUNDING: f64 = 1e-9;
        let (worse_by, at_most) = match quantity {
            Quantity::Accuracy => (old - new, self.accuracy),
            Quantity::Cost => (new / old - 1.0, self.cost),
            Quantity::Ratio => (new / old - 1.0, self.time),
        };
        if worse_by > at_most + ROUNDING { Judgement::Worse } else { Judgement::Passed }
    }
}

impl Verdict {
    /// Whether anything is worse past its threshold, or gone.
    pub fn regressed(&self) -> bool {
        !self.gone.is_empty() || self.worse().next().is_some()
    }

    /// The changes past their threshold.
    pub fn worse(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.judgement == Judgement::Worse)
    }

    /// For people, as Markdown.
    pub fn markdown(&self) -> String {
        report::markdown(self)
    }
}

/// What makes two records incomparable.
fn subject(old: &CompareRecord, new: &CompareRecord) -> Vec<Difference> {
    let policy = |record: &CompareRecord| {
        record.policy.as_ref().map_or("none".to_owned(), |policy| policy.sha256.clone())
    };
    let pairs = [
        ("the suite", old.suite.name.clone(), new.suite.name.clone()),
        ("the split", old.suite.split.clone(), new.suite.split.clone()),
        ("the data", old.suite.sha256.clone(), new.suite.sha256.clone()),
        ("the number of questions", old.items.to_string(), new.items.to_string()),
        ("the model", old.model.name.clone(), new.model.name.clone()),
        ("the model's digest", old.model.sha256.clone(), new.model.sha256.clone()),
        ("the policy's digest", policy(old), policy(new)),
        ("the ladder", old.ladder.join(", "), new.ladder.join(", ")),
    ];
    differing(pairs.map(|(what, old, new)| (what.to_owned(), old, new)))
}

fn circumstances(old: &CompareRecord, new: &CompareRecord) -> Vec<Difference> {
    let (a, b) = (&old.environment, &new.environment);
    let mut pairs = vec![
        ("the processor".to_owned(), a.cpu.clone(), b.cpu.clone()),
        ("the platform".to_owned(), a.platform.clone(), b.platform.clone()),
        ("visor".to_owned(), a.visor.clone(), b.visor.clone()),
        ("burn".to_owned(), a.burn.clone(), b.burn.clone()),
    ];
    let mut names: Vec<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    names.sort();
    names.dedup();
    let value = |record: &CompareRecord, name: &String| {
        record.settings.get(name).cloned().unwrap_or_else(|| "not set".to_owned())
    };
    pairs.extend(names.into_iter().map(|name| (name.clone(), value(old, name), value(new, name))));
    differing(pairs)
}

fn differing(pairs: impl IntoIterator<Item = (String, String, String)>) -> Vec<Difference> {
    let differing = pairs.into_iter().filter(|(_, old, new)| old != new);
    differing.map(|(what, old, new)| Difference { what, old, new }).collect()
}
