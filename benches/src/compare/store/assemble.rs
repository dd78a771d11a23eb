//! Entries become rows: what may follow what, and what a run is made of.

use super::{Entry, OrderError};
use crate::compare::observation::{Item, ObservationError, Observations, Row, Suite};

/// What the entries so far amount to.
#[derive(Debug, Default)]
pub(super) struct Parts {
    items: Option<Vec<Item>>,
    rows: Vec<Row>,
}

impl Parts {
    pub(super) fn has_items(&self) -> bool {
        self.items.is_some()
    }

    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.head.name == name)
    }

    /// Whether an entry follows from those before it.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), OrderError> {
        let declared = |name: &String| {
            self.row(name).ok_or_else(|| OrderError::Undeclared { row: name.clone() })
        };
        match entry {
            Entry::Items(_) if self.has_items() => Err(OrderError::Items),
            Entry::Items(_) => Ok(()),
            Entry::Row(head) => match self.row(&head.name) {
                Some(row) => Err(OrderError::Repeated { row: row.head.name.clone() }),
                None => Ok(()),
            },
            Entry::Answers(part) => {
                let items = self.items.as_ref().ok_or(OrderError::Items)?.len();
                let expected = declared(&part.row)?.answers.len();
                let range = part.items();
                if range.start == expected && range.end <= items {
                    return Ok(());
                }
                Err(OrderError::Answers {
                    row: part.row.clone(),
                    expected,
                    items,
                    first: range.start,
                    last: range.end.saturating_sub(1),
                })
            }
            Entry::Timing { row, .. } | Entry::PeakMemory { row, .. } => declared(row).map(|_| ()),
        }
    }

    /// Takes an entry in.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), OrderError> {
        self.check(&entry)?;
        match entry {
            Entry::Items(items) => self.items = Some(items),
            Entry::Row(head) => self.rows.push(Row {
                head,
                answers: Vec::new(),
                timing: Vec::new(),
                peak_rss_bytes: None,
            }),
            Entry::Answers(part) => self.change(&part.row, |row| row.answers.extend(&part.answers)),
            Entry::Timing { row, samples } => self.change(&row, |row| row.timing.extend(samples)),
            Entry::PeakMemory { row, bytes } => {
                self.change(&row, |row| row.peak_rss_bytes = Some(bytes));
            }
        }
        Ok(())
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.head.name == name) {
            change(row);
        }
    }

    pub(super) fn observations(&self, suite: &Suite) -> Result<Observations, ObservationError> {
        let items = self.items.clone().unwrap_or_default();
        Observations::new(suite.clone(), items, self.rows.clone())
    }
}
