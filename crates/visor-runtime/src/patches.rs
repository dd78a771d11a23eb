//! What cross-attention will read of a prompt, as far as it is known before anything runs.

use crate::budget::{Level, Resolved};
use crate::card::ModelCard;
use crate::error::RunError;
use visor_core::cost::{Keys, Prompt};
use visor_core::{Ladder, Patches, RungId};
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
        Patches::Random { .. } if n_visual == 0 => return Ok(Keys::All),
        Patches::Random { one_in, .. } => {
            let n_keys = Patches::drawn(one_in, n_visual);
            return Ok(Keys::Selected { n_keys, from: 0, selector: None });
        }
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
    Ok(Keys::Selected { n_keys, from: 0, selector: Some(selector.shape) })
}

/// What cross-attention reads at a rung: what the prompt's request says, or what a pair says. A
/// picture with no more patches than a pair reads is read whole, and nothing chooses.
pub(crate) fn at(card: &ModelCard, ladder: &Ladder, rung: RungId, prompt: Prompt) -> Keys {
    match (ladder.rung(rung).patches(), card.selector) {
        (Some(most), Some(selector)) if most.get() < prompt.n_visual => Keys::Selected {
            n_keys: most.get(),
            from: ladder.decision_layer().0,
            selector: Some(selector.shape),
        },
        _ => prompt.keys,
    }
}

/// Nothing cross-attends at the dense level, so nothing is left out there; and a pair says itself
/// how many patches are read.
pub(crate) fn expect_readers(
    card: &ModelCard,
    resolved: Resolved,
    patches: Patches,
) -> Result<(), RunError> {
    if patches == Patches::All {
        return Ok(());
    }
    let asked = patches;
    let pair = |ladder: &Ladder, rung: RungId| {
        ladder.rung(rung).patches().map(|_| ladder.rung(rung).name().to_owned())
    };
    let name = match (resolved, &card.ladder) {
        (Resolved::Decided { level: Level::Dense, .. }, _) => {
            return Err(RunError::DensePatches { asked });
        }
        (Resolved::Decided { level: Level::Rung(rung), .. }, Some(ladder)) => pair(ladder, rung),
        (Resolved::ByPolicy { highest }, Some(ladder)) => {
            ladder.ids().take_while(|id| *id <= highest).find_map(|id| pair(ladder, id))
        }
        (_, None) => None,
    };
    name.map_or(Ok(()), |name| Err(RunError::PairPatches { asked, name }))
}
