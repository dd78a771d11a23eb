//! A recipe for one model of the hub: which layers become what, and how it is trained.

use super::settings::Settings;
use crate::convert::{Plan, SelectorPlan};
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use visor_model::config::ModelConfig;

/// What stands in a recipe file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// The model on the hub.
    pub model: String,
    /// The decoder that it is meant for.
    pub decoder: DecoderSizes,
    /// How it is converted.
    pub conversion: Conversion,
    /// How it is trained.
    pub training: Settings,
}

/// Sizes of a decoder, which a checkpoint must have for a recipe to be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderSizes {
    /// Number of layers.
    pub n_layers: usize,
    /// Width of a token.
    pub d_model: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
}

/// Which layers become what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// Cross-attention layers, ascending.
    pub cross_attention: Vec<usize>,
    /// Self-attention capable layers, ascending.
    pub self_attention: Vec<usize>,
    /// Active layers of each rung, cheapest first.
    pub rungs: Vec<Vec<usize>>,
    /// Whether a patch selector is added.
    pub selector: bool,
}

impl ModelRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// If it cannot be read, is no recipe, or cannot be followed by any model.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text =
            fs::read(path).map_err(|source| TrainError::File { path: path.to_owned(), source })?;
        let recipe: Self = serde_json::from_slice(&text)
            .map_err(|source| TrainError::Json { path: path.to_owned(), source })?;
        recipe.plan().ladder(recipe.decoder.n_layers)?;
        recipe.training.check()?;
        Ok(recipe)
    }

    /// How a checkpoint is converted.
    pub fn plan(&self) -> Plan {
        let Conversion { cross_attention, self_attention, rungs, selector } = &self.conversion;
        Plan {
            cross: Some(cross_attention.clone()),
            self_capable: Some(self_attention.clone()),
            rungs: Some(rungs.clone()),
            decision: None,
            selector: if *selector { SelectorPlan::Fresh } else { SelectorPlan::Without },
        }
    }

    /// Whether a model is of the sizes that the recipe is for.
    ///
    /// # Errors
    /// [`TrainError::OtherModel`].
    pub fn expect(&self, config: &ModelConfig) -> Result<(), TrainError> {
        let text = &config.text;
        let (expected, got) = (
            self.decoder,
            DecoderSizes {
                n_layers: text.n_layers,
                d_model: text.d_model,
                n_heads: text.n_heads,
                n_kv_heads: text.n_kv_heads,
            },
        );
        match got == expected {
            true => Ok(()),
            false => Err(TrainError::OtherModel {
                model: self.model.clone(),
                expected: format!("{expected:?}"),
                got: format!("{got:?}"),
            }),
        }
    }
}
