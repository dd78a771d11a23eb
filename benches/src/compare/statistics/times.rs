//! Measured values that are not scores: the middle, the slow end, the spread.

use crate::quantile;
use serde::{Deserialize, Serialize};

/// Of measured values, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Half of the values are below.
    pub median: f64,
    /// 95 of 100 values are below.
    pub p95: f64,
    /// Median of the absolute distances to the median.
    pub mad: f64,
    /// Values.
    pub n: usize,
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let median = quantile(values, 0.5)?;
        let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        Some(Self {
            median,
            p95: quantile(values, 0.95)?,
            mad: quantile(&distances, 0.5)?,
            n: values.len(),
        })
    }
}
