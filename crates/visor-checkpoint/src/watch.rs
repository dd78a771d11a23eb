//! Who is told how far the reading of a checkpoint is.

use std::fmt;
use std::sync::Arc;

/// What the large files of a checkpoint are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadingStage {
    /// To be held against their hashes, where no stamp vouches for them.
    Verify,
    /// For their tensors.
    Load,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The stage.
    pub stage: ReadingStage,
    /// Bytes that it has read.
    pub done: u64,
    /// Bytes that it reads at most.
    pub bytes: u64,
}

/// Somebody who is told of every piece that has been read, by the thread that reads.
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn(Reading) + Send + Sync>);

impl Watch {
    /// Tells it to `tell`.
    pub fn new(tell: impl Fn(Reading) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Counts what a stage reads.
#[derive(Debug)]
pub(crate) struct Tally {
    watch: Option<Watch>,
    reading: Reading,
}

impl Tally {
    /// A stage that reads so many bytes, which nobody need know of.
    pub(crate) fn new(watch: Option<Watch>, stage: ReadingStage, bytes: u64) -> Self {
        Self { watch, reading: Reading { stage, done: 0, bytes } }
    }

    /// Who is told.
    pub(crate) fn watch(&self) -> Option<Watch> {
        self.watch.clone()
    }

    /// So many more have been read. A tensor that is taken twice is read twice, and counts once.
    pub(crate) fn add(&mut self, bytes: usize) {
        let Reading { done, bytes: all, .. } = &mut self.reading;
        *done = done.saturating_add(bytes as u64).min(*all);
        if let Some(Watch(tell)) = &self.watch {
            tell(self.reading);
        }
    }
}
