//! `visor train`: networks of this project's own.

mod minutes;
mod options;
mod progress;
mod report;
mod run_folder;
mod universal;

use anyhow::Result;
use clap::Subcommand;

/// Train a network on the generated task suite
#[derive(Subcommand)]
pub(crate) enum Train {
    Universal(Box<universal::Universal>),
}

impl Train {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Universal(universal) => universal.run(),
        }
    }
}
