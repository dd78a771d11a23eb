//! `visor models`: what is shipped in the binary.

use crate::output;
use crate::table::aligned;
use anyhow::Result;
use clap::Args;
use visor::{ModelInfo, ModelRef, shipped_models};

/// List the models in this binary, the default first
#[derive(Args)]
pub(crate) struct Models {}

impl Models {
    pub(crate) fn run(&self) -> Result<()> {
        let mut rows =
            vec![["model", "parameters", "budgets", "policy"].map(str::to_owned).to_vec()];
        for name in shipped_models() {
            let info = ModelInfo::open(&ModelRef::Shipped(name))?;
            let rungs = info.card().ladder.iter().flat_map(visor::Ladder::rungs);
            let budgets: Vec<&str> = rungs.map(visor::Rung::name).collect();
            let parameters = info.card().parameters.to_string();
            let policy = info.card().default_policy.as_deref().unwrap_or("none").to_owned();
            rows.push(vec![name.to_owned(), parameters, budgets.join(" "), policy]);
        }
        if rows.len() == 1 {
            output::note("this build ships no model: name a folder with `--model`");
            return Ok(());
        }
        output::answer(&aligned(&rows))
    }
}
