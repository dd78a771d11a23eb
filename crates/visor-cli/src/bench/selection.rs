//! What the patches that questions choose are worth: asked with the questions of a comparison, and
//! kept beside its answers.

use crate::files;
use crate::train::selector::mixture;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use visor::{Model, Patches};
use visor_tasks::{Split, StandardMix, Suite, SuiteName};
use visor_train::selector::{Selection, World, controlled, selection};
use visor_train::vocabulary::Vocabulary;

const FILE: &str = "selection.json";

/// The chosen patches and what they are held against, at every rung, on the first `questions` of the
/// standard mix; `None` of none, of a model without a selector, or with other words than the suite's.
/// What was asked before for this folder is read from there.
pub(super) fn asked(
    model: &Model,
    suite: SuiteName,
    questions: u64,
    patches: &[Patches],
    folder: &Path,
    stop: &AtomicBool,
) -> Result<Option<Selection>> {
    let network = model.runner().model();
    let Some(selector) = network.network().selector() else { return Ok(None) };
    let vocabulary = Vocabulary::new(&Suite::new(suite));
    if questions == 0 || patches.is_empty() || vocabulary.len() != model.card().vocab {
        return Ok(None);
    }
    let path = folder.join(FILE);
    if path.exists() {
        let read = || anyhow::Ok(serde_json::from_str::<Selection>(&fs::read_to_string(&path)?)?);
        let kept = read().with_context(|| format!("cannot use `{}`", path.display()))?;
        let of: u64 = kept.families.values().map(|family| u64::from(family.n)).sum();
        if of == questions {
            return Ok(Some(kept));
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
    let found = selection(&world, selector, &samples, &controlled(patches), stop)?;
    files::write(&path, &serde_json::to_vec(&found)?)?;
    Ok(Some(found))
}
