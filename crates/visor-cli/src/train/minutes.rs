//! Wall time of a run over all its resumptions, as far as it is known.

use crate::files;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Name of the file in a run's folder.
pub(crate) const FILE: &str = "minutes.json";

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spent {
    /// Steps that the minutes cover.
    steps: u64,
    minutes: f64,
}

/// Counts while a run goes on.
#[derive(Debug)]
pub(crate) struct Minutes {
    path: PathBuf,
    /// Minutes before this start; `None` if some of them were not counted.
    before: Option<f64>,
    start: Instant,
    /// Why they could not be written; the first time.
    unsaved: Option<anyhow::Error>,
}

impl Minutes {
    /// Begins to count in a run that starts at, or goes on from, a step.
    pub(crate) fn start(folder: &Path, from: u64) -> Self {
        let path = folder.join(FILE);
        let read = || serde_json::from_slice::<Spent>(&std::fs::read(&path).ok()?).ok();
        let before = match from {
            0 => Some(0.0),
            _ => read().filter(|spent| spent.steps >= from).map(|spent| spent.minutes),
        };
        Self { path, before, start: Instant::now(), unsaved: None }
    }

    /// Notes them down beside a state. Where that fails the run goes on, to save its state or to fail
    /// for the same reason, and [`Minutes::end`] says so.
    pub(crate) fn note(&mut self, steps: u64) {
        if let Err(error) = self.save(steps) {
            self.unsaved.get_or_insert(error);
        }
    }

    /// All minutes of a run that has ended.
    ///
    /// # Errors
    /// If they could not be written.
    pub(crate) fn end(self) -> Result<Option<f64>> {
        let total = self.total();
        self.unsaved.map_or(Ok(total), Err)
    }

    /// All minutes until now.
    fn total(&self) -> Option<f64> {
        self.before.map(|before| before + self.start.elapsed().as_secs_f64() / 60.0)
    }

    fn save(&self, steps: u64) -> Result<()> {
        let Some(minutes) = self.total() else { return Ok(()) };
        files::write(&self.path, &serde_json::to_vec(&Spent { steps, minutes })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_add_up_over_resumptions_and_gaps_make_them_unknown() {
        let root = tempfile::TempDir::new().expect("a folder");
        let first = Minutes { before: Some(7.0), ..Minutes::start(root.path(), 0) };
        first.save(20).expect("written");
        for from in [10, 20] {
            assert!(Minutes::start(root.path(), from).total().is_some_and(|sum| sum >= 7.0));
        }
        assert_eq!(Minutes::start(root.path(), 21).total(), None);
        assert!(Minutes::start(root.path(), 0).total().is_some_and(|sum| sum < 1.0));
        std::fs::write(root.path().join(FILE), b"{").expect("written");
        assert_eq!(Minutes::start(root.path(), 10).total(), None);
    }
}
