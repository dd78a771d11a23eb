//! `visor convert`: a stock checkpoint as a universal one, ready to be trained.

use crate::model::Network;
use crate::output;
use crate::table::layers;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use visor_train::convert::convert;

/// Turn a stock checkpoint into a universal one that is still to be trained
#[derive(Args)]
pub(crate) struct Convert {
    /// The stock checkpoint: a folder, or an id on the hub, OWNER/NAME or OWNER/NAME@REVISION
    #[arg(long, value_name = "MODEL")]
    model: String,

    #[command(flatten)]
    network: Network,

    /// The folder to write: new, empty, or a checkpoint's own
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Seed of the weights that are added
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl Convert {
    pub(crate) fn run(&self) -> Result<()> {
        let checkpoint = self.network.find(&self.model)?.checkpoint()?;
        let ladder = convert(&checkpoint, self.seed, &self.out)?;
        for rung in ladder.rungs() {
            output::answer(&format!("{}: {}", rung.name(), layers(&rung.active_layers())))?;
        }
        output::note(
            "dense is the stock model; the rungs are not trained yet and answer from text alone \
             where no self-attention layer is on",
        );
        Ok(())
    }
}
