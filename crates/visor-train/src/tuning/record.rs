//! The record of a run on a user's data: what was trained on what, and what each rung knows.

use super::material::Material;
use super::settings::Settings;
use super::tuner::{RungScore, Tuner};
use serde::{Deserialize, Serialize};
use visor_core::Ladder;

/// Version of the fields.
pub const SCHEMA_VERSION: u32 = 1;

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuningRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The model that was trained.
    pub model: String,
    /// The digest of its backbone.
    pub model_sha256: String,
    /// What it learned from.
    pub learned: DataRecord,
    /// What it was checked on in the end.
    pub checked: DataRecord,
    /// How it was trained.
    pub settings: Settings,
    /// Steps done.
    pub steps: u64,
    /// Wall minutes, where they were measured.
    pub minutes: Option<f64>,
    /// What each rung knows, cheapest first.
    pub rungs: Vec<RungRecord>,
}

/// Examples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// SHA-256 of conversations and pictures.
    pub sha256: String,
    /// Sequences.
    pub sequences: usize,
    /// Tokens of answers.
    pub answer_tokens: usize,
}

impl DataRecord {
    /// Of examples.
    pub fn of(material: &Material) -> Self {
        Self {
            sha256: material.sha256.clone(),
            sequences: material.examples.len(),
            answer_tokens: material.n_targets(),
        }
    }
}

/// What a rung knows of what was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RungRecord {
    /// The rung.
    pub name: String,
    /// Its self-attention layers.
    pub self_attention_layers: Vec<usize>,
    /// Mean cross-entropy of a token.
    pub loss: f64,
    /// Sequences whose answers are all right.
    pub right: usize,
    /// Sequences.
    pub n: usize,
}

impl TuningRecord {
    /// Of a run that has ended.
    pub fn new(
        tuner: &Tuner,
        (learned, checked): (&Material, &Material),
        scores: &[RungScore],
        minutes: Option<f64>,
    ) -> Self {
        let card = tuner.card();
        let layers = |name: &str| {
            let rungs = card.ladder.iter().flat_map(Ladder::rungs);
            let mut rungs = rungs.filter(|rung| rung.name() == name);
            rungs.next().map(|rung| rung.active_layers()).unwrap_or_default()
        };
        let rung = |score: &RungScore| RungRecord {
            name: score.name.clone(),
            self_attention_layers: layers(&score.name),
            loss: score.loss,
            right: score.right,
            n: score.n,
        };
        Self {
            schema_version: SCHEMA_VERSION,
            model: card.name.clone(),
            model_sha256: card.sha256.clone().unwrap_or_default(),
            learned: DataRecord::of(learned),
            checked: DataRecord::of(checked),
            settings: tuner.settings().clone(),
            steps: tuner.steps_done(),
            minutes,
            rungs: scores.iter().map(rung).collect(),
        }
    }
}
