//! `visor train`: networks from nothing and converted ones.

mod conversations;
mod material;
mod minutes;
mod options;
mod own_policy;
mod policy;
mod progress;
mod report;
mod run_folder;
pub(crate) mod selector;
mod selector_data;
mod selector_watch;
mod universal;

use anyhow::Result;
use clap::Subcommand;

/// Train a network, its patch selector or its policy
#[derive(Subcommand)]
pub(crate) enum Train {
    Universal(Box<universal::Universal>),
    Selector(Box<selector::TrainSelector>),
    Policy(Box<policy::TrainPolicy>),
}

impl Train {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Universal(universal) => universal.run(),
            Self::Selector(selector) => selector.run(),
            Self::Policy(policy) => policy.run(),
        }
    }
}
