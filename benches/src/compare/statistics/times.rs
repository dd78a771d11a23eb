//! Measured values that are not scores: the middle, the slow end, the spread.

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
        let median = percentile(values, 0.5)?;
        let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        Some(Self {
            median,
            p95: percentile(values, 0.95)?,
            mad: percentile(&distances, 0.5)?,
            n: values.len(),
        })
    }
}

/// The value below which `share` of the values are, linear between neighbours; `None` of none.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = last as f64 * share.clamp(0.0, 1.0);
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64))
}
