//! What the patches that questions choose are worth: asked with the questions of a comparison, and
//! kept beside its answers.

use crate::files;
use crate::train::selector::mixture;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use visor::Model;
use visor_benches::compare::store;
use visor_benches::measure::Plan;
use visor_tasks::{Split, StandardMix, Suite, SuiteName};
use visor_train::selector::{Selection, World, controlled, selection};
use visor_train::vocabulary::Vocabulary;

const FILE: &str = "selection.json";

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Of the settings of the comparison, model and selector among them.
    settings_sha256: String,
    /// How many were asked.
    questions: u64,
    selection: Selection,
}

/// The chosen patches and what they are held against, at every rung, on the first `questions` of the
/// standard mix; `None` of none, of a model without a selector, or with other words than the suite's.
/// What was asked before for this folder is read from there; what was asked with other settings is an
/// error.
pub(super) fn asked(
    model: &Model,
    suite: SuiteName,
    questions: u64,
    plan: &Plan<'_>,
    folder: &Path,
    stop: &AtomicBool,
) -> Result<Option<Selection>> {
    let network = model.runner().model();
    let Some(selector) = network.network().selector() else { return Ok(None) };
    let vocabulary = Vocabulary::new(&Suite::new(suite));
    if questions == 0 || plan.patches.is_empty() || vocabulary.len() != model.card().vocab {
        return Ok(None);
    }
    let path = folder.join(FILE);
    let settings_sha256 = store::digest(&plan.suite(), &plan.settings());
    if path.exists() {
        let read = || anyhow::Ok(serde_json::from_str::<Kept>(&fs::read_to_string(&path)?)?);
        let kept = read().with_context(|| format!("cannot use `{}`", path.display()))?;
        if kept.settings_sha256 != settings_sha256 {
            bail!(
                "`{}` was made with other settings; use the same settings or another folder",
                path.display()
            );
        }
        if kept.questions == questions {
            return Ok(Some(kept.selection));
        }
    }
    let world = World {
        model: network,
        backbone: String::new(),
        suite: Suite::new(suite),
        vocabulary,
        mixture: mixture(suite, 1)?,
    };
    let mix = StandardMix::new(world.suite, &[])?;
    let samples: Vec<_> = (0..questions).map(|i| mix.sample(Split::Test, i)).collect();
    let selection = selection(&world, selector, &samples, &controlled(&plan.patches), stop)?;
    let kept = Kept { settings_sha256, questions, selection };
    files::write(&path, &serde_json::to_vec(&kept)?)?;
    Ok(Some(kept.selection))
}
