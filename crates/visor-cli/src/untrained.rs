//! A warning where patches are chosen by what has not learned to choose on this model.

use crate::output;
use visor::{Model, Patches, SelectorTraining};

/// What is wrong with the selector of a loaded model: said on standard error, once, when it is first
/// asked to choose.
pub(crate) struct Warning(Option<&'static str>);

impl Warning {
    /// Of a model. Where some of its budgets choose patches, the selector is asked by any request.
    pub(crate) fn of(model: &Model) -> Self {
        let ladder = model.card().ladder.as_ref();
        let mut warning = Self(flaw(model.selector_training()));
        if ladder.is_some_and(|ladder| !ladder.pairs().is_empty()) {
            warning.say();
        }
        warning
    }

    /// Hears which patches are asked for. No selector runs for all of them, or for random ones.
    pub(crate) fn hear(&mut self, patches: Patches) {
        match patches {
            Patches::Auto | Patches::Count(_) => self.say(),
            Patches::All | Patches::Random { .. } => {}
        }
    }

    fn say(&mut self) {
        if let Some(flaw) = self.0.take() {
            output::note(&format!("warning: {flaw}"));
        }
    }
}

/// The same where all that is asked for is known.
pub(crate) fn warn(model: &Model, asked: impl IntoIterator<Item = Patches>) {
    let mut warning = Warning::of(model);
    asked.into_iter().for_each(|patches| warning.hear(patches));
}

/// What is wrong with a selector that was trained so far.
pub(crate) fn flaw(training: Option<SelectorTraining>) -> Option<&'static str> {
    match training? {
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
