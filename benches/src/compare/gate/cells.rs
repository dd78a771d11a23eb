//! The cells of a record that are compared.

use super::Quantity;
use crate::compare::observation::{Scope, Stage};
use crate::compare::record::{CompareRecord, RowRecord};

/// The row that times are relative to: the dense one, else the full one, if both records timed it.
pub(super) fn time_reference(old: &CompareRecord, new: &CompareRecord) -> Option<String> {
    let candidates = old.dense.iter().chain([&old.full]);
    let timed = |record: &CompareRecord, name: &str| {
        record.row(name).is_some_and(|row| !row.times_ms.is_empty())
    };
    candidates.into_iter().find(|name| timed(old, name) && timed(new, name)).cloned()
}

/// All cells of a row: name, what it holds, value.
pub(super) fn cells(
    record: &CompareRecord,
    row: &RowRecord,
    reference: Option<&str>,
) -> Vec<(String, Quantity, f64)> {
    let mut cells = Vec::new();
    let mut add = |name: String, quantity, value: Option<f64>| {
        cells.extend(value.filter(|value| value.is_finite()).map(|value| (name, quantity, value)));
    };
    add("accuracy".to_owned(), Quantity::Accuracy, row.accuracy.map(|accuracy| accuracy.mean));
    for family in &record.families {
        let accuracy = row.families.get(&family.name).map(|accuracy| accuracy.mean);
        add(format!("accuracy of {}", family.name), Quantity::Accuracy, accuracy);
    }
    for scope in Scope::ALL {
        add(scope.word().to_owned(), Quantity::Cost, Some(row.gflops.of(scope)));
    }
    let base = reference.and_then(|name| record.row(name)).filter(|base| base.name != row.name);
    if let Some(base) = base {
        for stage in [Stage::FirstToken, Stage::Total] {
            let median = |row: &RowRecord| Some(row.times_ms.get(&stage)?.median);
            let ratio = median(row).zip(median(base)).map(|(own, base)| own / base);
            add(stage.word().to_owned(), Quantity::Ratio, ratio);
        }
        let bytes = row.peak_rss_bytes.zip(base.peak_rss_bytes);
        let ratio = bytes.map(|(own, base)| own as f64 / base as f64);
        add("peak memory".to_owned(), Quantity::Ratio, ratio);
    }
    cells
}
