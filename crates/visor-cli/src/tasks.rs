//! `visor tasks`: the generated suite as files.

mod generate;
mod selection;
mod show;

use anyhow::Result;
use clap::Subcommand;

/// Write pictures and questions of the generated task suite
#[derive(Subcommand)]
pub(crate) enum Tasks {
    Generate(generate::Generate),
    Show(show::Show),
}

impl Tasks {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Generate(generate) => generate.run(),
            Self::Show(show) => show.run(),
        }
    }
}
