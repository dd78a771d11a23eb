//! What a model is and what its budgets cost, before any weight is read.

use crate::error::Error;
use crate::model_ref::ModelRef;
use crate::policy::{self, PolicyInfo};
use crate::policy_ref::PolicyRef;
use visor_checkpoint::{Checkpoint, Manifest};
use visor_core::cost::{Flops, Keys, PolicyShape, Prompt};
use visor_core::{Ladder, Layout};
use visor_model::Blueprint;
use visor_runtime::{CostTable, ModelCard};

/// The size of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What `config.json` and `visor.json` say about a model.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    model: ModelRef,
    card: ModelCard,
    manifest: Option<Manifest>,
}

impl ModelInfo {
    /// Reads the small files of a model.
    ///
    /// # Errors
    /// If there is no such model or its small files cannot be used.
    pub fn open(model: &ModelRef) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(model.source()?)?;
        let mut card = Blueprint::read(&checkpoint)?.card;
        if let ModelRef::Shipped(name) = model {
            card.name = (*name).to_owned();
        }
        let (model, manifest) = (model.clone(), checkpoint.manifest().cloned());
        Ok(Self { model, card, manifest })
    }

    /// Sizes, budgets, names.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// What `visor.json` says; `None` for a stock model.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Which layers read the picture and which may refine it.
    pub fn layout(&self) -> Layout {
        let stock = || Layout::stock(self.card.shape.decoder.n_layers);
        self.card.ladder.as_ref().map(Ladder::layout).cloned().unwrap_or_else(stock)
    }

    /// What every budget costs for a prompt of so many text tokens about pictures of these sizes.
    pub fn costs(&self, text_tokens: usize, pictures: &[PictureSize]) -> CostTable {
        costs(&self.card, text_tokens, pictures, None)
    }

    /// What is known about a policy for this model, usually [`PolicyRef::Default`], without its
    /// weights; `None` if none is meant.
    ///
    /// # Errors
    /// If there is no such policy, its `policy.json` cannot be used, or it was trained for a model
    /// of other widths or another ladder. Whether the weights are the ones that it was trained for
    /// shows when both are loaded.
    pub fn policy(&self, policy: &PolicyRef) -> Result<Option<PolicyInfo>, Error> {
        policy::inspect(policy, &self.model, &self.card)
    }

    /// What it costs to ask a policy about a prompt: its row through the layers before the
    /// decision, and its head. The same on every rung; zero for a stock model.
    pub fn overhead(
        &self,
        policy: &PolicyInfo,
        text_tokens: usize,
        pictures: &[PictureSize],
    ) -> Flops {
        let cheapest = |shape| {
            let costs = costs(&self.card, text_tokens, pictures, shape);
            costs.rungs.first().map_or(Flops(0), |rung| rung.scopes.end_to_end)
        };
        cheapest(Some(policy.shape)) - cheapest(None)
    }
}

/// What every budget of a model costs for a prompt, with a policy's cost where one is asked.
pub(crate) fn costs(
    card: &ModelCard,
    n_text: usize,
    pictures: &[PictureSize],
    policy: Option<PolicyShape>,
) -> CostTable {
    // Every family so far takes a picture whole, whatever its size: one tile each.
    let n_tiles = pictures.len();
    let n_visual = n_tiles * card.tile_tokens.rows * card.tile_tokens.cols;
    CostTable::new(card, Prompt { n_text, n_visual, n_tiles, keys: Keys::All }, policy)
}
