//! Control-C: once to end in good order, twice to end at once.

use crate::output::note;
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised by the first Control-C.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for Control-C from now on; `first` is called at the first one.
    ///
    /// # Errors
    /// If the system does not let it.
    pub(crate) fn watch(first: impl Fn() + Send + 'static) -> Result<Self> {
        let raised = Self(Arc::new(AtomicBool::new(false)));
        let shared = raised.clone();
        ctrlc::set_handler(move || {
            if shared.0.swap(true, Ordering::Relaxed) {
                end_at_once();
            }
            first();
        })
        .context("cannot watch for Control-C")?;
        Ok(raised)
    }

    /// The flag itself.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Whether there was one.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For use between two steps of work; `left` says what has become of it.
    ///
    /// # Errors
    /// After the first Control-C.
    pub(crate) fn check(&self, left: &str) -> Result<()> {
        if self.is_raised() {
            bail!("interrupted; {left}");
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "asked for a second time, nothing is cleaned up")]
fn end_at_once() -> ! {
    std::process::exit(1)
}

/// What to say at the first Control-C of a command that ends in good order.
pub(crate) fn stopping() {
    note("stopping; press Control-C again to stop at once");
}
