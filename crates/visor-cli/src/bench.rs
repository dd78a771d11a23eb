//! `visor bench`: budgets measured against each other, and stages against the clock.

pub(crate) mod bar;
mod compare;
mod serve;
mod speed;

use anyhow::Result;
use clap::Subcommand;

/// Measure budgets against each other, and how long they take
#[derive(Subcommand)]
pub(crate) enum Bench {
    Compare(Box<compare::Compare>),
    Speed(Box<speed::Speed>),
    Serve(Box<serve::Serve>),
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Compare(compare) => compare.run(),
            Self::Speed(speed) => speed.run(),
            Self::Serve(serve) => serve.run(),
        }
    }
}
