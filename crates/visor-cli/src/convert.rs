//! `visor convert`: a stock checkpoint as a universal one, ready to be trained, or any checkpoint in
//! eight bits.

use crate::model::Network;
use crate::table::layers;
use crate::{loading, output};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;
use visor_train::convert::{Plan, SelectorPlan, convert};
use visor_train::tuning::ModelRecipe;
use visor_train::{int8, model_config};

/// Turn a stock checkpoint into a universal one that is still to be trained, or store one in int8
///
/// Dense stays the stock model to the bit. Weights are copied one tensor at a time. With `--dtype
/// int8` a checkpoint stays what it is, stock or universal, and its matrices take a quarter.
#[derive(Args)]
pub(crate) struct Convert {
    /// The checkpoint: a folder, or an id on the hub, OWNER/NAME or OWNER/NAME@REVISION
    #[arg(long, value_name = "MODEL")]
    model: String,

    #[command(flatten)]
    network: Network,

    /// The folder to write: new, empty, or a checkpoint's own
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// A file of `models/recipes`: layers, rungs and selector for this very model
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cross_attention", "self_attention",
          "rungs", "decision_layer", "selector"])]
    recipe: Option<PathBuf>,

    #[command(flatten)]
    layers: Layers,

    /// Add a patch selector, untrained: what it chooses are visual tokens, each of which is a square
    /// of the encoder's patches where the connector shuffles pixels
    #[arg(long)]
    selector: bool,

    /// Store the matrices of any checkpoint in this number format, and convert nothing else: int8
    #[arg(long, value_name = "FORMAT", value_parser = ["int8"], conflicts_with_all = ["recipe",
          "cross_attention", "self_attention", "rungs", "decision_layer", "selector", "seed"])]
    dtype: Option<String>,

    /// Seed of the weights that are added
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Which layers become what.
#[derive(Args)]
struct Layers {
    /// Layers that read the picture, as `1,4,6` [default: by depth, where it is 24, 28, 30 or 32]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cross_attention: Option<Vec<usize>>,

    /// Layers that may refine the picture, as `2,3,5` [default: by depth]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    self_attention: Option<Vec<usize>>,

    /// The refining layers of each rung, cheapest first, as `2;2,3;2,3,5`; the rung without any is
    /// always there [default: nested, 1, 2, 4, .. and all of them, the middle ones first]
    #[arg(long, value_name = "LISTS")]
    rungs: Option<Rungs>,

    /// The layer in front of which a budget is decided; rungs agree on those before it [default: the
    /// first that may refine]
    #[arg(long, value_name = "N")]
    decision_layer: Option<usize>,
}

/// Lists of layers with semicolons between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rungs(Vec<Vec<usize>>);

impl FromStr for Rungs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let layer = |word: &str| {
            word.trim().parse::<usize>().map_err(|_| {
                format!("`{word}` is no layer: expected lists of layers, as in 2;2,3;2,3,5")
            })
        };
        let rung = |list: &str| match list.trim() {
            "" => Ok(Vec::new()),
            list => list.split(',').map(layer).collect(),
        };
        text.split(';').map(rung).collect::<Result<_, _>>().map(Self)
    }
}

impl Convert {
    pub(crate) fn run(&self) -> Result<()> {
        let model = self.network.find(&self.model)?;
        let checkpoint = model.checkpoint()?;
        loading::note_of(&model);
        if self.dtype.is_some() {
            return Ok(int8::store(&checkpoint, &self.out)?);
        }
        let plan = match &self.recipe {
            None => self.plan(),
            Some(path) => {
                let recipe = ModelRecipe::read(path)?;
                recipe.expect(&model_config(&checkpoint)?)?;
                recipe.plan()
            }
        };
        let ladder = convert(&checkpoint, &plan, self.seed, &self.out)?;
        for rung in ladder.rungs() {
            output::answer(&format!("{}: {}", rung.name(), layers(&rung.active_layers())))?;
        }
        output::note(
            "dense is the stock model; the rungs are not trained yet and answer from text alone \
             where no self-attention layer is on",
        );
        Ok(())
    }

    fn plan(&self) -> Plan {
        let Layers { cross_attention, self_attention, rungs, decision_layer } = &self.layers;
        Plan {
            cross: cross_attention.clone(),
            self_capable: self_attention.clone(),
            rungs: rungs.as_ref().map(|Rungs(rungs)| rungs.clone()),
            decision: *decision_layer,
            selector: match self.selector {
                true => SelectorPlan::Fresh,
                false => SelectorPlan::Without,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_lists_of_layers_and_nothing_else_is() {
        let expected = Rungs(vec![vec![], vec![2], vec![2, 13]]);
        assert_eq!(" ;2; 2, 13".parse(), Ok(expected));
        for text in ["2;x", "2,;3", "-1", "2:3"] {
            assert!(text.parse::<Rungs>().expect_err(text).contains("as in 2;2,3"), "{text}");
        }
    }
}
