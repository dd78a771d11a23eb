//! What the evaluation of a benchmark reports of each row, beside what is reported of all data.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A benchmark's own figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkRecord {
    /// Its name.
    pub name: String,
    /// What it reports.
    pub metric: String,
    /// Where that is defined.
    pub source: String,
    /// By row, each with the same figures in the same order.
    pub rows: BTreeMap<String, Vec<OfficialFigure>>,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficialFigure {
    /// What it is.
    pub name: String,
    /// In the unit in which it is published: per cent unless the name says otherwise.
    pub value: f64,
}
