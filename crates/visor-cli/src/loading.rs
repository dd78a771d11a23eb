//! Loading a model: a bar where that takes a while, and a word about what was not understood.

use crate::download::bar;
use crate::output;
use indicatif::ProgressBar;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use visor::{Error, LoadOptions, Model, ModelInfo, ModelRef, Reading, ReadingStage, Remark, Watch};

/// What is smaller is there before somebody could look.
const SHOWN_FROM: u64 = 300 << 20;

/// Loads a model, and says which fields of its configuration nothing here knows and what else its
/// files ask for that is not done.
///
/// # Errors
/// As [`Model::load`].
pub(crate) fn load(model: &ModelRef, options: &LoadOptions) -> Result<Model, Error> {
    let model = load_quietly(model, options)?;
    note(model.unknown_fields(), model.remarks());
    Ok(model)
}

/// The same for those who say the fields in their own way.
///
/// # Errors
/// As [`Model::load`].
pub(crate) fn load_quietly(model: &ModelRef, options: &LoadOptions) -> Result<Model, Error> {
    watched(|watch| Model::load_watched(model, options, watch))
}

/// Shows the same bar while weights are read in another way.
pub(crate) fn watched<T>(read: impl FnOnce(Watch) -> T) -> T {
    let seen = Arc::new(Seen::default());
    let told = Arc::clone(&seen);
    let loaded = read(Watch::new(move |reading| told.tell(reading)));
    seen.clear();
    loaded
}

/// Says the same of a model whose network is read in another way.
pub(crate) fn note_of(model: &ModelRef) {
    // What is wrong with its files is said by who needs them.
    if let Ok(info) = ModelInfo::open(model) {
        note(info.unknown_fields(), info.remarks());
    }
}

fn note(unknown_fields: &[String], remarks: &[Remark]) {
    if let Some(warning) = not_understood(unknown_fields) {
        output::note(&warning);
    }
    for remark in remarks {
        output::note(&format!("warning: {remark}"));
    }
}

/// What to say of fields of `config.json` that may ask for what is not done.
pub(crate) fn not_understood(fields: &[String]) -> Option<String> {
    let fields = (!fields.is_empty()).then(|| fields.join(", "))?;
    Some(format!("warning: config.json has fields that are not understood: {fields}"))
}

/// The bar of the stage that runs, on a terminal: elsewhere it is not drawn.
#[derive(Default)]
struct Seen(Mutex<Option<(ReadingStage, ProgressBar)>>);

impl Seen {
    fn bar(&self) -> MutexGuard<'_, Option<(ReadingStage, ProgressBar)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, Reading { stage, done, bytes }: Reading) {
        if bytes < SHOWN_FROM {
            return;
        }
        let mut shown = self.bar();
        if shown.as_ref().is_none_or(|(known, _)| *known != stage) {
            let does = match stage {
                ReadingStage::Verify => "verifying weights",
                ReadingStage::Load => "loading weights",
            };
            if let Some((_, before)) = shown.replace((stage, bar(does, bytes))) {
                before.finish_and_clear();
            }
        }
        if let Some((_, bar)) = &*shown {
            bar.set_position(done);
        }
    }

    fn clear(&self) {
        if let Some((_, bar)) = self.bar().take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_has_no_bar_and_what_is_large_has_one_a_stage() {
        let seen = Seen::default();
        let shown = |seen: &Seen| {
            let bar = seen.bar();
            bar.as_ref().map(|(stage, bar)| (*stage, bar.position(), bar.length()))
        };
        let (verify, load) = (ReadingStage::Verify, ReadingStage::Load);
        seen.tell(Reading { stage: load, done: 5, bytes: SHOWN_FROM - 1 });
        assert_eq!(shown(&seen), None);
        seen.tell(Reading { stage: verify, done: 5, bytes: SHOWN_FROM });
        seen.tell(Reading { stage: verify, done: 9, bytes: SHOWN_FROM });
        assert_eq!(shown(&seen), Some((verify, 9, Some(SHOWN_FROM))));
        seen.tell(Reading { stage: load, done: 1, bytes: 2 * SHOWN_FROM });
        assert_eq!(shown(&seen), Some((load, 1, Some(2 * SHOWN_FROM))));
        seen.clear();
        assert_eq!(shown(&seen), None);
    }
}
