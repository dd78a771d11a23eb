//! What cross-attention will read of a prompt, as far as it is known before anything runs.

use crate::budget::{Level, Resolved};
use crate::card::ModelCard;
use crate::error::RunError;
use visor_core::Patches;
use visor_core::cost::Keys;
use visor_processor::EncodedPrompt;

/// Holds the patches that are asked for against model and prompt. Where the selector says how many,
/// it is counted with as many as it may choose.
pub(crate) fn keys(
    card: &ModelCard,
    patches: Patches,
    prompt: &EncodedPrompt,
) -> Result<Keys, RunError> {
    let n_visual = prompt.n_visual();
    let selector = match patches {
        Patches::All => return Ok(Keys::All),
        asked => card.selector.ok_or(RunError::NoSelector { asked })?,
    };
    let n_keys = match patches {
        Patches::Count(asked) if asked.get() > n_visual => {
            return Err(RunError::Patches { asked: asked.get(), n_visual });
        }
        Patches::Count(asked) => asked.get(),
        // Without a picture there is nothing to choose from.
        _ if n_visual == 0 => return Ok(Keys::All),
        _ => selector.range_of(n_visual).1,
    };
    Ok(Keys::Selected { n_keys, n_question: prompt.question().len(), selector: selector.shape })
}

/// Nothing cross-attends at the dense level, so nothing is left out there.
pub(crate) fn expect_readers(resolved: Resolved, patches: Patches) -> Result<(), RunError> {
    match (resolved, patches) {
        (Resolved::Decided { level: Level::Dense, .. }, Patches::Auto | Patches::Count(_)) => {
            Err(RunError::DensePatches { asked: patches })
        }
        _ => Ok(()),
    }
}
