//! The record of an analysis: all that tables and pictures are made from.
//!
//! A part is there where its figure was asked for. Floats have six significant digits, so that the
//! same observations give the same bytes.

mod build;

pub use build::{Context, Seen};

use crate::Environment;
use crate::compare::observation::Suite;
use crate::compare::record::{FamilyHead, Identity};
use crate::compare::statistics::Estimate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Version of the fields.
pub const SCHEMA_VERSION: u32 = 1;

/// What kind of record this is, beside others in the same format.
pub const KIND: &str = "analysis";

/// One analysis of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalyzeRecord {
    /// [`KIND`].
    pub kind: String,
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Where it was run.
    pub environment: Environment,
    /// The model.
    pub model: Identity,
    /// The policy, where it was asked.
    pub policy: Option<Identity>,
    /// What was asked.
    pub suite: Suite,
    /// Questions.
    pub items: usize,
    /// The families: easy ones first, then hard ones, then others; by name.
    pub families: Vec<FamilyHead>,
    /// Everything that the numbers depend on, by name.
    pub settings: BTreeMap<String, String>,
    /// At what attention, similarity and dropping were observed: a rung, or `dense`.
    pub level: String,
    /// What each layer does at that level.
    pub modes: Vec<Mode>,
    /// Where the text looks, by family.
    pub attention: Option<BTreeMap<String, Vec<LayerLook>>>,
    /// How alike the picture is between layers.
    pub similarity: Option<Alikeness>,
    /// What answers lose when layers do not see the picture.
    pub dropping: Option<Dropping>,
    /// How each rung answers.
    pub rungs: Option<Vec<RungAnswers>>,
    /// What the policy picks.
    pub choices: Option<Picks>,
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Runs on the text alone.
    TextOnly,
    /// Text reads the picture first.
    CrossAttention,
    /// Runs on text and picture together.
    SelfAttention,
}

/// Where the text looks in a layer: shares, means over heads, rows and questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerLook {
    /// The rows of the question, the prompt's last one left out.
    pub question: Option<Look>,
    /// The rows that the answer is read off.
    pub answer: Option<Look>,
}

/// The shares of one kind of rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Of self-attention, to the picture.
    pub to_image: f64,
    /// Of self-attention, to the text of the prompt.
    pub to_question: f64,
    /// Of self-attention, to the answer so far; the three add up to 1.
    pub to_answer: f64,
    /// Of cross-attention, to the picture; the rest goes to the null key. `None` in a layer
    /// without.
    pub cross_to_image: Option<f64>,
}

impl Look {
    /// What the picture gets where the layer can see it: of cross-attention, else of
    /// self-attention.
    pub fn image(&self) -> f64 {
        self.cross_to_image.unwrap_or(self.to_image)
    }
}

/// CKA of the visual stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alikeness {
    /// Where it was taken: `in`, or `after 2`.
    pub stages: Vec<String>,
    /// By family, a row a stage; `None` where the pictures are all one colour, or none.
    pub families: BTreeMap<String, Option<Vec<Vec<f64>>>>,
}

/// Accuracy with the picture dropped from some layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropping {
    /// One entry a subset; the first drops nothing.
    pub subsets: Vec<DroppedSubset>,
    /// The families, in the order of `correlation`.
    pub families: Vec<String>,
    /// Correlation of accuracy over subsets between families; `None` where one never changes.
    pub correlation: Vec<Vec<Option<f64>>>,
    /// The families in two clusters, those that lose less first.
    pub clusters: Vec<Cluster>,
    /// Families whose cluster is the one that they were declared to need, of those declared.
    pub as_declared: (usize, usize),
}

/// A subset of layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedSubset {
    /// Its name.
    pub name: String,
    /// Its layers.
    pub layers: Vec<usize>,
    /// Over all questions.
    pub accuracy: Estimate,
    /// By family.
    pub families: BTreeMap<String, Estimate>,
}

/// Families that lose alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Their names.
    pub families: Vec<String>,
    /// Mean loss of accuracy over their subsets, each family weighing alike.
    pub mean_loss: f64,
}

/// A rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RungAnswers {
    /// Its name.
    pub name: String,
    /// Its self-attention layers.
    pub self_attention_layers: Vec<usize>,
    /// Over all questions.
    pub accuracy: Estimate,
    /// By family.
    pub families: BTreeMap<String, Estimate>,
}

/// What the policy picks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picks {
    /// The rungs, cheapest first.
    pub ladder: Vec<String>,
    /// Of all questions.
    pub all: Pick,
    /// By family.
    pub families: BTreeMap<String, Pick>,
    /// By family and by dependent steps to the answer, where the data know them.
    pub by_hops: BTreeMap<String, BTreeMap<u32, Pick>>,
    /// By family whose answers are a few whole numbers, as the size of a group, and by the answer.
    pub by_number: BTreeMap<String, BTreeMap<u32, Pick>>,
}

/// What the policy picks for some questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// Questions.
    pub n: usize,
    /// The share that each rung gets, in the order of the ladder.
    pub shares: Vec<f64>,
    /// Mean number of self-attention layers.
    pub layers: f64,
    /// Half of the width of its interval of 95 %; `None` of a single question.
    pub layers_plus_minus: Option<f64>,
}

/// Why there is no record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Lists that are not about the same questions.
    #[error("{what} are {got}, for {expected} questions")]
    Length {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A record of another kind.
    #[error("not an analysis but `{found}`")]
    Kind {
        /// What it says it is.
        found: String,
    },
    /// A record of another version.
    #[error("the record has schema version {found}, not {SCHEMA_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Not a record.
    #[error("not a record of an analysis")]
    Json(#[from] serde_json::Error),
}

impl AnalyzeRecord {
    /// As JSON with a line end: the same record gives the same bytes.
    ///
    /// # Errors
    /// None in practice: all of it can be written.
    pub fn to_json(&self) -> Result<String, RecordError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// A record that was written by [`AnalyzeRecord::to_json`].
    ///
    /// # Errors
    /// [`RecordError`], where it is none or another program's.
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            kind: String,
            schema_version: u32,
        }

        let Head { kind, schema_version: found } = serde_json::from_str(json)?;
        match kind.as_str() {
            KIND if found == SCHEMA_VERSION => Ok(serde_json::from_str(json)?),
            KIND => Err(RecordError::Version { found }),
            _ => Err(RecordError::Kind { found: kind }),
        }
    }

    /// The families in the order in which they are shown, declared kinds apart.
    pub fn family_names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|family| family.name.as_str())
    }
}
