//! What a person sees of a selector's training, and the minutes that it takes.

use super::minutes::Minutes;
use crate::interrupt::Interrupt;
use crate::output;
use anyhow::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;
use visor_train::selector::Progress;

/// Hears of every step.
pub(super) struct Watch<'a> {
    bar: ProgressBar,
    folder: &'a Path,
    save: u64,
    interrupt: &'a Interrupt,
    minutes: Option<Minutes>,
}

impl<'a> Watch<'a> {
    /// Of a training of so many steps, with a state in `folder` every `save` of them.
    pub(super) fn new(steps: u64, save: u64, folder: &'a Path, interrupt: &'a Interrupt) -> Self {
        let template = "learning {bar:30} {pos} of {len}, {eta} left {msg}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(steps).with_style(style);
        Self { bar, folder, save, interrupt, minutes: None }
    }

    pub(super) fn hear(&mut self, news: Progress) {
        let total = self.bar.length().unwrap_or_default();
        match news {
            Progress::Started { from } => {
                self.bar.set_position(from);
                self.bar.reset_eta();
                self.minutes = Some(Minutes::start(self.folder, from));
                match from {
                    0 => {}
                    _ if from == total => output::note(&format!("all {total} steps are done")),
                    _ => output::note(&format!("going on from step {from} of {total}")),
                }
            }
            Progress::Stepped(done) => {
                self.bar.set_position(done.step);
                let (answers, patches) = (done.answers, done.patches);
                self.bar.set_message(format!("answers {answers:.3}, {patches:.1} patches"));
                let last = done.step == total;
                if last || done.step.is_multiple_of(self.save) || self.interrupt.is_raised() {
                    self.minutes.iter_mut().for_each(|minutes| minutes.note(done.step));
                }
            }
        }
    }

    /// What the training gave, with the minutes of all its parts, as far as they are known.
    ///
    /// # Errors
    /// Those of the training, or of minutes that could not be written.
    pub(super) fn end<T, E: Into<Error>>(self, result: Result<T, E>) -> Result<(T, Option<f64>)> {
        self.bar.finish_and_clear();
        let value = result.map_err(Into::into)?;
        Ok((value, self.minutes.map_or(Ok(None), Minutes::end)?))
    }
}
