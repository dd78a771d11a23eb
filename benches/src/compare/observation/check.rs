//! What rows and items may not be together.

use super::{Group, Item, Kind, Row, TimingSample};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// What observations cannot be.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ObservationError {
    /// There is nothing to compute with.
    #[error("no {what} were observed")]
    Nothing {
        /// What is missing.
        what: &'static str,
    },
    /// Two of them cannot be told apart.
    #[error("two {what}s are called `{name}`")]
    Repeated {
        /// What they are.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// A family in two of the means.
    #[error("family `{family}` is {} in one item and {} in another", .kinds.0.word(), .kinds.1.word())]
    KindOfFamily {
        /// The family.
        family: String,
        /// What it is said to be.
        kinds: (Kind, Kind),
    },
    /// A row that has not answered everything; the run has to go on.
    #[error("row `{row}` has {found} of {expected} answers")]
    Incomplete {
        /// The row.
        row: String,
        /// Its answers.
        found: usize,
        /// The items.
        expected: usize,
    },
    /// A score outside of 0 to 1.
    #[error("row `{row}` scores {score} on item `{item}`; a score is from 0 to 1")]
    Score {
        /// The row.
        row: String,
        /// The item.
        item: String,
        /// The score.
        score: f32,
    },
    /// A choice that is no rung of the ladder.
    #[error("row `{row}` chose rung {rung} on item `{item}`; the ladder has {rungs} rungs")]
    Rung {
        /// The row.
        row: String,
        /// The item.
        item: String,
        /// The place in the ladder.
        rung: u16,
        /// Rungs of the ladder.
        rungs: usize,
    },
    /// A row of [`Group::Auto`] that does not say what it chose.
    #[error("row `{row}` routes, but does not say which rung it chose on item `{item}`")]
    NoChoice {
        /// The row.
        row: String,
        /// The item.
        item: String,
    },
    /// A time of an item that is not there.
    #[error("row `{row}` was timed on item {item} of {items}")]
    TimedItem {
        /// The row.
        row: String,
        /// The item's number.
        item: u64,
        /// Number of items.
        items: usize,
    },
}

/// Whether rows and items make a run.
pub(super) fn check(items: &[Item], rows: &[Row]) -> Result<(), ObservationError> {
    for (what, is_empty) in [("items", items.is_empty()), ("rows", rows.is_empty())] {
        if is_empty {
            return Err(ObservationError::Nothing { what });
        }
    }
    unique("item", items.iter().map(|item| &item.id))?;
    unique("row", rows.iter().map(|row| &row.head.name))?;
    let mut kinds = BTreeMap::new();
    for item in items {
        let kind = *kinds.entry(&item.family).or_insert(item.kind);
        if kind != item.kind {
            let (family, kinds) = (item.family.clone(), (kind, item.kind));
            return Err(ObservationError::KindOfFamily { family, kinds });
        }
    }
    let rungs = rows.iter().filter(|row| row.head.group == Group::Rung).count();
    rows.iter().try_for_each(|row| check_row(row, items, rungs))
}

fn unique<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), ObservationError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ObservationError::Repeated { what, name: name.clone() });
        }
    }
    Ok(())
}

fn check_row(row: &Row, items: &[Item], rungs: usize) -> Result<(), ObservationError> {
    let name = || row.head.name.clone();
    if row.answers.len() != items.len() {
        let (found, expected) = (row.answers.len(), items.len());
        return Err(ObservationError::Incomplete { row: name(), found, expected });
    }
    for (answer, item) in row.answers.iter().zip(items) {
        let item = || item.id.clone();
        if let Some(score) = answer.score
            && !(0.0..=1.0).contains(&score)
        {
            return Err(ObservationError::Score { row: name(), item: item(), score });
        }
        match answer.rung {
            Some(rung) if usize::from(rung) >= rungs => {
                return Err(ObservationError::Rung { row: name(), item: item(), rung, rungs });
            }
            None if row.head.group == Group::Auto => {
                return Err(ObservationError::NoChoice { row: name(), item: item() });
            }
            _ => {}
        }
    }
    match row.timing.iter().find(|sample| sample.item >= items.len() as u64) {
        Some(TimingSample { item, .. }) => {
            Err(ObservationError::TimedItem { row: name(), item: *item, items: items.len() })
        }
        None => Ok(()),
    }
}
