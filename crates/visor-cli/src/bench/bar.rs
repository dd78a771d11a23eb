//! How far a measurement is, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let template = "{msg} {bar:30} {pos} of {len}, {eta} left";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(1).with_style(style))
    }

    pub(crate) fn tell(&self, what: &str, done: usize, all: usize) {
        self.0.set_message(what.to_owned());
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
