//! A warning where patches are chosen by what has not learned to choose on this model.

use crate::output;
use anyhow::Result;
use visor::{ModelInfo, ModelRef, SelectorTraining};

/// Says on standard error what is wrong with the model's selector, if it has one and anything is.
///
/// # Errors
/// If the small files of the model cannot be read.
pub(crate) fn warn(model: &ModelRef) -> Result<()> {
    if let Some(flaw) = flaw(&ModelInfo::open(model)?) {
        output::note(&format!("warning: {flaw}"));
    }
    Ok(())
}

/// What is wrong with the selector of a model.
pub(crate) fn flaw(info: &ModelInfo) -> Option<&'static str> {
    match info.manifest()?.selector_training()? {
        SelectorTraining::Trained => None,
        SelectorTraining::Untrained => Some(
            "the selector is untrained, what it chooses means nothing; train it with `visor train \
             selector`",
        ),
        SelectorTraining::Outdated => Some(
            "the backbone has learned on since the selector was trained; train it anew with `visor \
             train selector`",
        ),
    }
}
