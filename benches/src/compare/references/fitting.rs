//! What a look-up by family is fitted on, and why references cannot be computed.

use super::Choices;
use crate::compare::observation::Observations;
use std::collections::BTreeMap;
use thiserror::Error;

/// What cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// There are no rungs to choose from.
    #[error("there are no rungs to choose from: run at least one fixed budget")]
    NoLadder,
    /// No item was answered by all rungs.
    #[error("no item was answered by all rungs")]
    NoItems,
    /// A row that does not choose among the rungs.
    #[error("row `{row}` does not route: it names no rung for item {item}")]
    NotRouted {
        /// The row.
        row: String,
        /// The item's number.
        item: usize,
    },
    /// A family of which the fitting data knows nothing.
    #[error("the fitting data has no items of family `{family}`")]
    UnknownFamily {
        /// The family.
        family: String,
    },
    /// Fitting data of another ladder.
    #[error("the fitting data has {found} rungs, the ladder {expected}")]
    OtherLadder {
        /// Rungs of the fitting data.
        found: usize,
        /// Rungs of the ladder.
        expected: usize,
    },
}

/// Mean score of every rung on the items of each family: all that a look-up is fitted on.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyScores {
    pub(super) by_family: BTreeMap<String, Vec<f64>>,
    pub(super) rungs: usize,
}

impl FamilyScores {
    /// From a family and the scores of all rungs, an entry an item.
    ///
    /// # Errors
    /// Of no items, and of items with different numbers of rungs.
    pub fn new<'a>(
        items: impl IntoIterator<Item = (&'a str, &'a [f64])>,
    ) -> Result<Self, ReferenceError> {
        let mut sums: BTreeMap<String, (Vec<f64>, f64)> = BTreeMap::new();
        let mut rungs = None;
        for (family, scores) in items {
            let (found, expected) = (scores.len(), *rungs.get_or_insert(scores.len()));
            if found != expected {
                return Err(ReferenceError::OtherLadder { found, expected });
            }
            let entry = sums.entry(family.to_owned());
            let (sum, n) = entry.or_insert_with(|| (vec![0.0; expected], 0.0));
            sum.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
            *n += 1.0;
        }
        let mean = |(sum, n): (Vec<f64>, f64)| sum.into_iter().map(|sum| sum / n).collect();
        let by_family = sums.into_iter().map(|(family, sums)| (family, mean(sums))).collect();
        Ok(Self { by_family, rungs: rungs.ok_or(ReferenceError::NoItems)? })
    }

    /// From other observations of the same ladder, as those on a validation split.
    ///
    /// # Errors
    /// As [`Choices::new`].
    pub fn of(fitting: &Observations) -> Result<Self, ReferenceError> {
        Ok(Choices::new(fitting)?.family_scores())
    }
}
