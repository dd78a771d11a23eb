//! `visor devices`: what this binary can compute on, on this machine.

use crate::output;
use anyhow::Result;
use clap::Args;

/// List the devices that can be asked for on this machine
#[derive(Args)]
pub(crate) struct Devices {}

impl Devices {
    pub(crate) fn run(&self) -> Result<()> {
        let devices = visor::devices();
        let width = devices.iter().map(|info| info.request.to_string().len()).max().unwrap_or(0);
        for info in devices {
            let name = info.request.to_string();
            output::answer(&format!("{name:<width$}  {}", info.description))?;
        }
        Ok(())
    }
}
