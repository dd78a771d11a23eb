//! CSV: a line a row of the record, in plain units, empty where there is nothing.

use crate::compare::observation::{Scope, Stage};
use crate::compare::record::{CompareRecord, FamilyMean, RowRecord};
use crate::compare::statistics::{Difference, Estimate};

/// The record as CSV. Shares are from 0 to 1, times in milliseconds, costs in GFLOPs.
///
/// # Errors
/// None in practice: all lines have the same columns.
pub fn csv(record: &CompareRecord) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let lines: Vec<Line> = record.rows.iter().map(|row| line(record, row)).collect();
    if let Some(first) = lines.first() {
        writer.write_record(first.cells.iter().map(|(name, _)| name))?;
    }
    for line in &lines {
        writer.write_record(line.cells.iter().map(|(_, value)| value))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Columns with their values.
#[derive(Default)]
struct Line {
    cells: Vec<(String, String)>,
}

impl Line {
    fn add(&mut self, name: impl Into<String>, value: Option<impl ToString>) {
        self.cells.push((name.into(), value.map(|value| value.to_string()).unwrap_or_default()));
    }

    fn estimate(&mut self, name: &str, found: Option<&Estimate>) {
        self.add(name, found.map(|found| found.mean));
        self.add(format!("{name}_low"), found.map(|found| found.low));
        self.add(format!("{name}_high"), found.map(|found| found.high));
        self.add(format!("{name}_n"), found.map(|found| found.n));
    }

    fn difference(&mut self, name: &str, found: Option<&Difference>) {
        self.add(name, found.map(|found| found.difference));
        self.add(format!("{name}_low"), found.map(|found| found.low));
        self.add(format!("{name}_high"), found.map(|found| found.high));
    }

    fn family_mean(&mut self, name: &str, found: Option<FamilyMean>) {
        self.estimate(&format!("{name}_mean"), found.map(|found| found.accuracy).as_ref());
        let difference = found.and_then(|found| found.difference);
        self.difference(&format!("{name}_mean_vs_full"), difference.as_ref());
    }
}

fn line(record: &CompareRecord, row: &RowRecord) -> Line {
    let mut line = Line::default();
    line.add("budget", Some(&row.name));
    line.add("kind", Some(row.group.word()));
    line.add("of", row.of.as_ref());
    line.add("network", row.network.as_ref());
    line.add("visual_tokens", row.visual_tokens);
    line.estimate("accuracy", row.accuracy.as_ref());
    line.difference("vs_full", row.difference.as_ref());
    line.add("vs_full_p", row.difference.and_then(|difference| difference.p));
    line.family_mean("easy", row.easy);
    line.family_mean("hard", row.hard);
    line.family_mean("all_families", row.all_families);
    for scope in Scope::ALL {
        let name = scope.word();
        line.add(format!("gflops_{name}"), Some(row.gflops.of(scope)));
        line.add(format!("gflops_{name}_median"), Some(row.gflops_median.of(scope)));
        line.add(format!("gflops_{name}_p95"), Some(row.gflops_p95.of(scope)));
        line.add(format!("saving_{name}"), row.savings.and_then(|savings| savings.of(scope)));
    }
    line.add("self_attention_layers", Some(row.self_attention_layers));
    for stage in Stage::ALL {
        let (name, times) = (stage.word(), row.times_ms.get(&stage));
        line.add(format!("{name}_ms_median"), times.map(|times| times.median));
        line.add(format!("{name}_ms_p95"), times.map(|times| times.p95));
        line.add(format!("{name}_ms_mad"), times.map(|times| times.mad));
    }
    let first_token = row.times_ms.get(&Stage::FirstToken);
    line.add("times_n", first_token.map(|times| times.n));
    line.add("peak_rss_bytes", row.peak_rss_bytes);
    line.add("dominated_by_end_to_end", row.dominated_by.end_to_end.as_ref());
    line.add("dominated_by_lm_prefill", row.dominated_by.lm_prefill.as_ref());
    line.add("dominated_by_first_token", row.dominated_by.first_token.as_ref());
    for (at, rung) in record.ladder.iter().enumerate() {
        let share = row.routing.as_ref().and_then(|shares| shares.all.get(at));
        line.add(format!("share_{rung}"), share);
    }
    for family in &record.families {
        line.estimate(&format!("family_{}", family.name), row.families.get(&family.name));
    }
    line
}
