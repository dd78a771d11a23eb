//! What a run has seen: every budget's answers and costs on the same items, nothing computed yet.

mod check;
mod wire;

pub use check::ObservationError;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// The data that all rows were asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Its name and version, as `nano v2`.
    pub name: String,
    /// The part of it that was asked, as `test`.
    pub split: String,
    /// SHA-256 of pictures, questions and answers, in hexadecimal digits.
    pub sha256: String,
}

/// What a family of questions is expected to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One look at the picture.
    Easy,
    /// Refinement of the picture.
    Hard,
    /// In neither mean, as a diagnostic.
    Other,
}

impl Kind {
    /// Its name in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Hard => "hard",
            Self::Other => "other",
        }
    }
}

/// A question about a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its own name in the suite.
    pub id: String,
    /// The family of its question.
    pub family: String,
    /// What the family needs; the same in all its items.
    pub kind: Kind,
    /// Number of its picture: items of one picture are not independent.
    pub picture: u64,
    /// Scalars that say how difficult it is, by name, as `hops`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub difficulty: BTreeMap<String, f32>,
}

/// What part of a cost is counted (method, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything before the first token: encoder, connector, decoder, policy, selector.
    EndToEnd,
    /// The decoder's prefill.
    LmPrefill,
    /// The decoder's, because of the picture.
    VisionSide,
    /// One decode step.
    DecodeStep,
}

impl Scope {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 4] =
        [Self::EndToEnd, Self::LmPrefill, Self::VisionSide, Self::DecodeStep];

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::EndToEnd => "end to end",
            Self::LmPrefill => "LM prefill",
            Self::VisionSide => "vision-side LM",
            Self::DecodeStep => "decode step",
        }
    }

    /// Its name in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::EndToEnd => "end_to_end",
            Self::LmPrefill => "lm_prefill",
            Self::VisionSide => "vision_side",
            Self::DecodeStep => "decode_step",
        }
    }
}

/// FLOPs of one item, 2 a multiply-add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flops {
    /// Everything before the first token.
    pub end_to_end: u64,
    /// The decoder's prefill.
    pub lm_prefill: u64,
    /// The decoder's, because of the picture.
    pub vision_side: u64,
    /// One decode step.
    pub decode_step: u64,
}

impl Flops {
    /// Those of one scope.
    pub fn of(self, scope: Scope) -> u64 {
        match scope {
            Scope::EndToEnd => self.end_to_end,
            Scope::LmPrefill => self.lm_prefill,
            Scope::VisionSide => self.vision_side,
            Scope::DecodeStep => self.decode_step,
        }
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A rung of the ladder, on every item. Rows of this group are the ladder, cheapest first.
    Rung,
    /// A rung whose cross-attention reads the patches that each question chooses.
    Patches,
    /// A policy chooses a rung for every item.
    Auto,
    /// What a user could take instead: dense, pooled, down-sampled.
    Baseline,
    /// What should fail, or be no better than chance: blank pictures, swapped decisions.
    Control,
    /// Computed from other rows: nobody can run it without knowing more than a policy does.
    Reference,
}

impl Group {
    /// Its name in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rung => "rung",
            Self::Patches => "patches",
            Self::Auto => "auto",
            Self::Baseline => "baseline",
            Self::Control => "control",
            Self::Reference => "reference",
        }
    }
}

/// What a row is called and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowHead {
    /// Its key, as `sa3`, `auto@0.10`, `pooled-9`, `sa3/pool2`, `blank@sa3`.
    pub name: String,
    /// What it is.
    pub group: Group,
    /// What it is in a few words, for people.
    pub about: String,
    /// The network that answered, where it is another one than the compared model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Visual tokens that reach the decoder, where all items have as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visual_tokens: Option<u32>,
}

/// What one row did on one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// From 0, wrong, to 1, right; `None` where only the cost is known.
    pub score: Option<f32>,
    /// Where the row routes: the place in the ladder of the rung that was chosen.
    pub rung: Option<u16>,
    /// What it costs.
    pub flops: Flops,
    /// Self-attention layers that ran.
    pub self_attention_layers: u16,
}

/// One row's answers to consecutive items. Stored by columns, a value once where all are equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "wire::Part", try_from = "wire::Part")]
pub struct Part {
    /// The row's name.
    pub row: String,
    /// Number of the first item.
    pub first: usize,
    /// In the order of the items.
    pub answers: Vec<Answer>,
}

impl Part {
    /// The items that it answers.
    pub fn items(&self) -> Range<usize> {
        self.first..self.first + self.answers.len()
    }
}

/// A stage of a request that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Everything before the first token was there.
    FirstToken,
    /// Decoding and preparing pictures and text.
    Preprocess,
    /// Vision encoder and connector.
    Encode,
    /// Decoder and policy, up to the logits of the first token.
    Prefill,
    /// All steps after the first token.
    Decode,
    /// Everything.
    Total,
}

impl Stage {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 6] = [
        Self::FirstToken,
        Self::Preprocess,
        Self::Encode,
        Self::Prefill,
        Self::Decode,
        Self::Total,
    ];

    /// Its name in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::FirstToken => "first_token",
            Self::Preprocess => "preprocess",
            Self::Encode => "encode",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Total => "total",
        }
    }
}

/// Measured times of one request, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "[u64; 7]", from = "[u64; 7]")]
pub struct TimingSample {
    /// Number of the item.
    pub item: u64,
    /// Decoding and preparing pictures and text.
    pub preprocess: u64,
    /// Vision encoder and connector.
    pub encode: u64,
    /// Decoder and policy, up to the logits of the first token.
    pub prefill: u64,
    /// All steps after the first token.
    pub decode: u64,
    /// Everything before the first token was there.
    pub first_token: u64,
    /// Everything.
    pub total: u64,
}

impl TimingSample {
    /// The time of one stage, in nanoseconds.
    pub fn of(&self, stage: Stage) -> u64 {
        match stage {
            Stage::FirstToken => self.first_token,
            Stage::Preprocess => self.preprocess,
            Stage::Encode => self.encode,
            Stage::Prefill => self.prefill,
            Stage::Decode => self.decode,
            Stage::Total => self.total,
        }
    }
}

/// Everything that was seen of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is.
    pub head: RowHead,
    /// One an item, in the order of the items.
    pub answers: Vec<Answer>,
    /// Measured times, in the order in which they were taken; empty where none were.
    pub timing: Vec<TimingSample>,
    /// The most memory that was resident while it ran, in bytes.
    pub peak_rss_bytes: Option<u64>,
}

/// A whole run. Its checks have passed: what computes with it relies on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    suite: Suite,
    items: Vec<Item>,
    rows: Vec<Row>,
}

impl Observations {
    /// A run, checked.
    ///
    /// # Errors
    /// [`ObservationError`], where rows and items contradict each other.
    pub fn new(suite: Suite, items: Vec<Item>, rows: Vec<Row>) -> Result<Self, ObservationError> {
        check::check(&items, &rows)?;
        Ok(Self { suite, items, rows })
    }

    /// What was asked.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// The questions.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The rows, in the order in which they were declared.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.head.name == name)
    }

    /// The rungs of the ladder, cheapest first.
    pub fn ladder(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.head.group == Group::Rung).collect()
    }

    /// The families in the order of their names, with what they need.
    pub fn families(&self) -> BTreeMap<&str, Kind> {
        self.items.iter().map(|item| (item.family.as_str(), item.kind)).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
