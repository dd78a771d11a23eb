//! What a record of `visor bench compare` says of a row, and how a table writes it.

use serde::Deserialize;

/// Where the comparison of a shipped checkpoint is kept.
pub(super) fn record(model: &str) -> String {
    format!("benches/results/{model}-compare/record.json")
}

/// A mean with its interval.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Estimate {
    /// The mean alone.
    pub(super) fn percent(self) -> String {
        percent(self.mean)
    }
}

/// Over the families of a kind.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Mean {
    pub(super) accuracy: Estimate,
}

/// A paired difference with its interval.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Difference {
    pub(super) difference: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Difference {
    /// In points.
    pub(super) fn points(self) -> String {
        let Self { difference, low, high } = self;
        format!("{} [{}, {}]", signed(difference), signed(low), signed(high))
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn signed(share: f64) -> String {
    match format!("{:+.1}", 100.0 * share) {
        zero if zero == "+0.0" || zero == "-0.0" => "0.0".to_owned(),
        signed => signed,
    }
}
