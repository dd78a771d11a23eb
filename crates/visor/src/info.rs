//! What a model is and what its budgets cost, before any weight is read.

use crate::error::Error;
use crate::model_ref::ModelRef;
use visor_checkpoint::{Checkpoint, Manifest};
use visor_core::cost::Prompt;
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
        Ok(Self { card, manifest: checkpoint.manifest().cloned() })
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
        costs(&self.card, text_tokens, pictures)
    }
}

/// What every budget of a model costs for a prompt.
pub(crate) fn costs(card: &ModelCard, n_text: usize, pictures: &[PictureSize]) -> CostTable {
    // Every family so far takes a picture whole, whatever its size: one tile each.
    let n_tiles = pictures.len();
    let n_visual = n_tiles * card.tile_tokens.rows * card.tile_tokens.cols;
    CostTable::new(card, Prompt { n_text, n_visual, n_tiles, n_keys: n_visual }, None)
}
