//! The folder of a run: only ever a run's own, and of one run at a time.

use crate::files::UNFINISHED;
use crate::train::minutes;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use visor_train::{run, state};

/// The trained network, in the folder of its run.
const CHECKPOINT: &str = "checkpoint";
/// What it was found to be able to do.
const RECORD: &str = "record.json";
/// Its answers on the standard mix, question by question.
const OUTCOMES: &str = "outcomes.json";

/// What a frozen encoder made of pictures.
const FEATURES: &str = "features";

/// A trained policy.
const POLICY: &str = "policy";
/// What every rung answers to its questions.
const LABELS: &str = "labels.jsonl";

/// A folder that no other run writes to, for as long as this lives.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Locked where the system can lock folders.
    _lock: Option<File>,
}

impl RunFolder {
    /// Takes a folder that is new, empty, or a run's own.
    ///
    /// # Errors
    /// If it holds other things or another run uses it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        // What a run leaves that was killed before it saved its state for the first time.
        Self::marked(path, state::FILE, &[run::LOG, minutes::FILE, FEATURES])
    }

    /// The same for the training of a policy, whose state is its labels.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn take_for_policy(path: &Path) -> Result<Self> {
        Self::marked(path, LABELS, &[])
    }

    /// Takes a folder that holds the file `mark`, or nothing but `early` ones.
    fn marked(path: &Path, mark: &str, early: &[&str]) -> Result<Self> {
        let cannot = || format!("cannot use `{}` as the folder of a run", path.display());
        fs::create_dir_all(path).with_context(cannot)?;
        let lock = File::open(path).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
            bail!("`{}` is in use by another run", path.display());
        }
        if !path.join(mark).exists() {
            for entry in fs::read_dir(path).with_context(cannot)? {
                let name = entry.with_context(cannot)?.file_name().to_string_lossy().into_owned();
                if !early.contains(&name.as_str()) && !name.starts_with(UNFINISHED) {
                    bail!(
                        "`{}` holds `{name}` and no `{mark}` of a run: choose a new folder",
                        path.display()
                    );
                }
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    pub(crate) fn features(&self) -> PathBuf {
        self.path.join(FEATURES)
    }

    pub(crate) fn outcomes(&self) -> PathBuf {
        self.path.join(OUTCOMES)
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.path.join(RECORD)
    }

    pub(crate) fn labels(&self) -> PathBuf {
        self.path.join(LABELS)
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.path.join(POLICY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_other_things_is_left_alone() {
        let root = tempfile::TempDir::new().expect("a folder");
        fs::write(root.path().join("log.jsonl"), b"").expect("written");
        drop(RunFolder::take(root.path()).expect("a log alone is a run's"));
        fs::write(root.path().join("thesis.tex"), b"").expect("written");
        let error = RunFolder::take(root.path()).expect_err("not a run's").to_string();
        assert!(error.contains("`thesis.tex`"), "{error}");
        fs::write(root.path().join(state::FILE), b"").expect("written");
        RunFolder::take(root.path()).expect("a run's own");
        let error = RunFolder::take_for_policy(root.path()).expect_err("another's").to_string();
        assert!(error.contains("no `labels.jsonl` of a run"), "{error}");
        fs::write(root.path().join(LABELS), b"").expect("written");
        RunFolder::take_for_policy(root.path()).expect("a policy's own");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_one_runs_at_a_time() {
        let root = tempfile::TempDir::new().expect("a folder");
        let first = RunFolder::take(root.path()).expect("nobody's");
        let error = RunFolder::take(root.path()).expect_err("the first one's").to_string();
        assert!(error.contains("in use by another run"), "{error}");
        drop(first);
        RunFolder::take(root.path()).expect("nobody's again");
    }
}
