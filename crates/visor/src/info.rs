//! What a model is and what its budgets cost, before any weight is read.

use crate::error::Error;
use crate::model_ref::ModelRef;
use crate::policy::{self, PolicyInfo};
use crate::policy_ref::PolicyRef;
use crate::preprocessor;
use crate::remark::Remark;
use visor_checkpoint::{Checkpoint, Manifest};
use visor_core::cost::{Flops, Keys, PolicyShape, Prompt};
use visor_core::{Ladder, Layout};
use visor_model::Blueprint;
use visor_processor::{Arrangement, ImageProcessor, PixelSize, Setting};
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
    image_processor: ImageProcessor,
    unknown_fields: Vec<String>,
    remarks: Vec<Remark>,
}

impl ModelInfo {
    /// Reads the small files of a model.
    ///
    /// # Errors
    /// If there is no such model or its small files cannot be used.
    pub fn open(model: &ModelRef) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(model.source()?)?;
        let blueprint = Blueprint::read(&checkpoint)?;
        let remarks = Remark::of(&blueprint).into_iter().collect();
        let Blueprint { config, mut card, unknown_fields, .. } = blueprint;
        let image_processor = preprocessor::read(&checkpoint, &model.to_string(), &config)?;
        if let Some(name) = model.own_name() {
            card.name = name;
        }
        let (model, manifest) = (model.clone(), checkpoint.manifest().cloned());
        Ok(Self { model, card, manifest, image_processor, unknown_fields, remarks })
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
        costs(&self.card, &self.image_processor, text_tokens, pictures, None)
    }

    /// Fields of `config.json` that nothing here knows: they may ask for what is not done.
    pub fn unknown_fields(&self) -> &[String] {
        &self.unknown_fields
    }

    /// What `generation_config.json` asks for that is not done.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// How many tiles and visual tokens pictures of these sizes give together.
    pub fn visual(&self, pictures: &[PictureSize]) -> (usize, usize) {
        let Prompt { n_tiles, n_visual, .. } =
            prompt(&self.card, &self.image_processor, 0, pictures);
        (n_tiles, n_visual)
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
            let costs = costs(&self.card, &self.image_processor, text_tokens, pictures, shape);
            costs.rungs.first().map_or(Flops(0), |rung| rung.scopes.end_to_end)
        };
        cheapest(Some(policy.shape)) - cheapest(None)
    }
}

/// What every budget of a model costs for a prompt, with a policy's cost where one is asked.
pub(crate) fn costs(
    card: &ModelCard,
    image_processor: &ImageProcessor,
    n_text: usize,
    pictures: &[PictureSize],
    policy: Option<PolicyShape>,
) -> CostTable {
    CostTable::new(card, prompt(card, image_processor, n_text, pictures), policy)
}

/// The sizes of a prompt about pictures of these sizes; words that stand around tiles are added to
/// the text.
fn prompt(
    card: &ModelCard,
    image_processor: &ImageProcessor,
    n_text: usize,
    pictures: &[PictureSize],
) -> Prompt {
    let setting = Setting { pictures: pictures.len(), max_tiles: None };
    let arranged: Vec<Arrangement> = pictures
        .iter()
        .map(|&PictureSize { width, height }| {
            image_processor.arrange(PixelSize { width, height }, setting)
        })
        .collect();
    let places = arranged.iter().flat_map(|picture| picture.places(card.tile_tokens));
    let n_visual = places.map(|place| place.rows * place.cols).sum();
    let words: usize = arranged.iter().map(|picture| picture.word_tokens()).sum();
    let n_tiles = arranged.iter().map(|picture| picture.tiles()).sum();
    let keys = Keys::All;
    Prompt { n_text: n_text + words, n_question: n_text, n_visual, n_tiles, keys }
}
