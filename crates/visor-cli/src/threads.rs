//! How many threads compute.

use anyhow::{Context, Result};
use clap::Args;

/// More is a slip of the finger.
const MAX: i64 = 1024;

#[derive(Args, Debug)]
pub(crate) struct Threads {
    /// Threads that compute on the processor [default: one for each hardware thread]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX))]
    threads: Option<u16>,
}

impl Threads {
    /// Starts the threads, if their number was given; else they start when they are needed.
    ///
    /// # Errors
    /// If the system has no room for so many.
    pub(crate) fn start(&self) -> Result<()> {
        let Some(threads) = self.threads else { return Ok(()) };
        rayon::ThreadPoolBuilder::new()
            .num_threads(usize::from(threads))
            .build_global()
            .with_context(|| format!("cannot start {threads} threads"))
    }
}
