//! A verdict for people.

use super::{Change, Judgement, Quantity, Verdict};
use crate::compare::render::format::{percent, signed, significant};
use crate::compare::render::{
    aligned,
    tables::{Table, TableRow},
};

/// Changes past a threshold first; what changed by less than can be printed is only counted.
pub(super) fn markdown(verdict: &Verdict) -> String {
    let mut text = String::new();
    for difference in &verdict.circumstances {
        text.push_str(&format!("* {difference}\n"));
    }
    for (rows, what) in [(&verdict.gone, "gone"), (&verdict.added, "new")] {
        for row in rows {
            text.push_str(&format!("* row `{row}` is {what}\n"));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let mut changes: Vec<&Change> = verdict.changes.iter().filter(|c| is_visible(c)).collect();
    changes.sort_by_key(|change| change.judgement != Judgement::Worse);
    if !changes.is_empty() {
        text.push_str(&aligned(&table(verdict, &changes)));
        text.push('\n');
    }
    let (worse, gone) = (verdict.worse().count(), verdict.gone.len());
    text.push_str(&format!(
        "{} of {} cells changed, {worse} are worse past the threshold, {gone} rows are gone: {}.\n",
        verdict.changes.len(),
        verdict.compared,
        if verdict.regressed() { "a regression" } else { "no regression" },
    ));
    text
}

fn is_visible(change: &Change) -> bool {
    let (old, new) = values(change);
    old != new || change.judgement == Judgement::Worse
}

fn values(change: &Change) -> (String, String) {
    let value = |value| match change.quantity {
        Quantity::Accuracy => percent(value),
        Quantity::Cost | Quantity::Ratio => significant(value),
    };
    (value(change.old), value(change.new))
}

fn table(verdict: &Verdict, changes: &[&Change]) -> Table {
    let reference = verdict.times_relative_to.as_deref().unwrap_or_default();
    let row = |change: &&Change| {
        let cell = match change.quantity {
            Quantity::Accuracy => format!("{}, %", change.cell),
            Quantity::Cost => format!("{}, GFLOPs", change.cell),
            Quantity::Ratio => format!("{} / {reference}", change.cell),
        };
        let by = match change.quantity {
            Quantity::Accuracy => format!("{} points", signed(change.new - change.old)),
            Quantity::Cost | Quantity::Ratio => {
                format!("{} %", signed(change.new / change.old - 1.0))
            }
        };
        let (old, new) = values(change);
        let judgement = match change.judgement {
            Judgement::Passed => "",
            Judgement::Worse => "WORSE",
            Judgement::Told => "control",
        };
        let cells = [change.row.clone(), cell, old, new, by, judgement.to_owned()];
        TableRow { cells: cells.into(), group: None }
    };
    Table {
        title: String::new(),
        note: String::new(),
        header: ["budget", "cell", "old", "new", "change", ""].map(str::to_owned).into(),
        words: 2,
        rows: changes.iter().map(row).collect(),
    }
}
