//! A wall around other people's parsers, which read strangers' bytes and sometimes panic.

use std::panic::{self, AssertUnwindSafe};

/// Runs `parse`; `None` if it panicked.
///
/// Only for work that owns what it changes: nothing half-changed may be seen afterwards.
pub(crate) fn shielded<T>(parse: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(parse)).ok()
}
