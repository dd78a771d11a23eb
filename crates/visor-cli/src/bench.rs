//! `visor bench`: budgets measured against each other, and stages against the clock.

pub(crate) mod bar;
mod compare;
pub(crate) mod format;
mod point;
mod selection;
mod serve;
mod speed;

use anyhow::Result;
use clap::Subcommand;

/// Measure budgets against each other, and how long they take
#[derive(Subcommand)]
pub(crate) enum Bench {
    Compare(Box<compare::Compare>),
    Point(Box<point::Point>),
    Speed(Box<speed::Speed>),
    Serve(Box<serve::Serve>),
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Compare(compare) => compare.run(),
            Self::Point(point) => point.run(),
            Self::Speed(speed) => speed.run(),
            Self::Serve(serve) => serve.run(),
        }
    }
}
