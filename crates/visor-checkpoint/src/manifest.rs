//! What `visor.json` says about a checkpoint (method, sections 1, 2 and 5; design, section 4).

use crate::wire::{RawManifest, RawVersion};
use crate::{CheckpointError, Sha256Sum, files};
use std::collections::BTreeMap;
use visor_core::{Ladder, Layout, PositionScheme};

/// The generation of `visor.json` that is read and written.
pub const SCHEMA_VERSION: u32 = 1;

/// Deeper decoders are refused, before anything is allocated for each layer.
pub(crate) const MAX_LAYERS: usize = 1024;

/// The shape of the cross-attention blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossAttentionManifest {
    /// Heads of keys and values, at least 1.
    pub n_kv_heads: usize,
    /// Whether the projections of queries, keys and values have biases.
    pub bias: bool,
    /// Whether a text token can attend to nothing.
    pub null_key: bool,
}

/// Whether the checkpoint can also run as the dense reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenseMode {
    /// The weights still are, or were trained from, a stock model's and dense is that model.
    Stock,
    /// Dense was one of the layouts that were trained.
    Trained,
    /// Dense was never trained; asking for it is an error.
    None,
}

/// Widths of the patch selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorManifest {
    /// Width of the space in which question and patches meet, at least 1.
    pub d_select: usize,
    /// Number of salience pools over the question, at least 1.
    pub n_pools: usize,
    /// Fewest patches it may choose, at least 1.
    pub k_min: usize,
    /// Most patches it may choose, at least `k_min`.
    pub k_max: usize,
}

/// What has become of a selector's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorTraining {
    /// They are as they were added: what they choose means nothing.
    Untrained,
    /// They were trained, and the backbone has learned on since.
    Outdated,
    /// They were trained on the backbone that is there.
    Trained,
}

/// The note of the provenance that says what a selector was told. An untrained one has none.
const SELECTOR_NOTE: &str = "selector";
const OUTDATED: &str = "outdated";

/// Where the weights come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Version of the program that wrote the checkpoint.
    pub visor_version: String,
    /// When, as the writer formats it.
    pub created: Option<String>,
    /// Name or description of the training recipe or the conversion.
    pub recipe: String,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps taken.
    pub steps: u64,
    /// What it was trained on.
    pub data: String,
    /// Anything else, by name.
    pub notes: BTreeMap<String, String>,
}

/// The content of `visor.json`: what turns a stock checkpoint into a universal one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The trained budgets, with the layout that they switch.
    pub ladder: Ladder,
    /// Masks and rotary positions.
    pub positions: PositionScheme,
    /// The cross-attention blocks.
    pub cross: CrossAttentionManifest,
    /// The dense reference.
    pub dense: DenseMode,
    /// The patch selector, where the checkpoint has one.
    pub selector: Option<SelectorManifest>,
    /// The policy to use when none is named.
    pub default_policy: Option<String>,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// SHA-256 of the other files. Filled in by [`save_checkpoint`](crate::save_checkpoint).
    pub files: BTreeMap<String, Sha256Sum>,
}

impl Manifest {
    /// A manifest of a checkpoint without selector, policy and files, which may be set afterwards.
    pub fn new(
        ladder: Ladder,
        positions: PositionScheme,
        cross: CrossAttentionManifest,
        dense: DenseMode,
        provenance: Provenance,
    ) -> Self {
        Self {
            ladder,
            positions,
            cross,
            dense,
            selector: None,
            default_policy: None,
            provenance,
            files: BTreeMap::new(),
        }
    }

    /// What the provenance notes about the selector; `None` without one.
    pub fn selector_training(&self) -> Option<SelectorTraining> {
        self.selector.as_ref()?;
        Some(match self.provenance.notes.get(SELECTOR_NOTE).map(String::as_str) {
            None => SelectorTraining::Untrained,
            Some(OUTDATED) => SelectorTraining::Outdated,
            Some(_) => SelectorTraining::Trained,
        })
    }

    /// Notes that the selector was trained on the backbone as it is, and what it was told.
    pub fn note_selector_trained(&mut self, told: &str) {
        self.provenance.notes.insert(SELECTOR_NOTE.to_owned(), told.to_owned());
    }

    /// Notes that the backbone has learned without the selector.
    pub fn note_backbone_trained(&mut self) {
        if self.selector_training() == Some(SelectorTraining::Trained) {
            self.note_selector_trained(OUTDATED);
        }
    }

    /// Reads the text of a `visor.json`.
    ///
    /// # Errors
    /// If it is not JSON, has an unknown, missing or repeated field or another schema version, or
    /// if what it says is impossible: see [`CheckpointError`].
    pub fn parse(json: &[u8]) -> Result<Self, CheckpointError> {
        // First of all, since another version may have other fields.
        let RawVersion { schema_version } =
            serde_json::from_slice(json).map_err(CheckpointError::json(files::MANIFEST))?;
        if schema_version != u64::from(SCHEMA_VERSION) {
            return Err(CheckpointError::SchemaVersion { got: schema_version });
        }
        let raw: RawManifest =
            serde_json::from_slice(json).map_err(CheckpointError::json(files::MANIFEST))?;
        raw.try_into()
    }

    /// The text of a `visor.json`: fields always in the same order, one on a line.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(&RawManifest::from(self))
            .expect("a manifest consists of strings, numbers and lists");
        json.push('\n');
        json
    }

    /// Cross-attention layers and self-attention capable layers.
    pub fn layout(&self) -> &Layout {
        self.ladder.layout()
    }

    /// Depth of the decoder.
    pub fn n_layers(&self) -> usize {
        self.layout().n_layers()
    }
}
