//! `visor bench`: budgets measured against each other.

pub(crate) mod bar;
mod compare;
mod serve;

use anyhow::Result;
use clap::Subcommand;

/// Measure budgets against each other
#[derive(Subcommand)]
pub(crate) enum Bench {
    Compare(Box<compare::Compare>),
    Serve(Box<serve::Serve>),
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Compare(compare) => compare.run(),
            Self::Serve(serve) => serve.run(),
        }
    }
}
