//! The table of policies that never saw one family (VISOR, Table 8).

use super::compared::{Estimate, percent};
use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Records of the comparison with such a policy: `without-FAMILY.json`.
const FOLDER: &str = "benches/results/policies/without-";

/// The same comparison with the shipped policy.
const SHIPPED: &str = "benches/results/nano-compare/record.json";

#[derive(Deserialize)]
struct Record {
    full: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    group: String,
    families: BTreeMap<String, Estimate>,
    routing: Option<Routing>,
}

/// Shares of the rungs, cheapest first.
#[derive(Deserialize)]
struct Routing {
    families: BTreeMap<String, Vec<f64>>,
}

impl Record {
    fn row(&self, name: &str) -> Result<&Row> {
        self.rows.iter().find(|row| row.name == name).with_context(|| format!("no row {name}"))
    }
}

/// The content of the block `nano-unseen`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    let read = |file: &str| -> Result<Record> {
        serde_json::from_str(&repo.text(file)?).context(file.to_owned())
    };
    let shipped = read(SHIPPED)?;
    let mut records = Vec::new();
    for file in repo.files() {
        let family = file.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".json"));
        if let Some(family) = family {
            records.push((family.to_owned(), read(file)?));
        }
    }
    table(&shipped, &records)
}

fn table(shipped: &Record, records: &[(String, Record)]) -> Result<String> {
    let full = &shipped.full;
    let rungs: Vec<&str> = shipped
        .rows
        .iter()
        .filter(|row| row.group == "rung")
        .map(|row| row.name.as_str())
        .collect();
    let mut lines = vec![
        format!(
            "| left out | always `{full}` | the shipped policy | the policy without it | {} |",
            rungs.iter().map(|rung| format!("of these `{rung}`")).collect::<Vec<_>>().join(" | ")
        ),
        format!("|---|--:|--:|--:|{}", "--:|".repeat(rungs.len())),
    ];
    for (family, record) in records {
        let auto = record.row("auto")?;
        let accuracy = |row: &Row| -> Result<String> {
            let found = row.families.get(family).with_context(|| format!("no family {family}"))?;
            Ok(found.percent())
        };
        let shares = auto.routing.as_ref().and_then(|routing| routing.families.get(family));
        let shares = shares.with_context(|| format!("no routing of {family}"))?;
        let mut cells = vec![
            family.clone(),
            accuracy(record.row(full)?)?,
            accuracy(shipped.row("auto")?)?,
            accuracy(auto)?,
        ];
        cells.extend(shares.iter().map(|share| percent(*share)));
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.push(String::new());
    lines.push(format!(
        "Accuracy in percent on the questions of the family that was left out of the policy's training \
         alone, and which rungs the policy without it chose for them. Records: `{FOLDER}FAMILY.json`."
    ));
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_shown_with_what_was_chosen_for_it() {
        let row = |name: &str, group: &str, mean: f64| Row {
            name: name.to_owned(),
            group: group.to_owned(),
            families: BTreeMap::from([("twin".to_owned(), Estimate { mean, low: 0.0, high: 1.0 })]),
            routing: (group == "auto").then(|| Routing {
                families: BTreeMap::from([("twin".to_owned(), vec![0.75, 0.25])]),
            }),
        };
        let record = |auto: f64| Record {
            full: "sa1".to_owned(),
            rows: vec![row("sa0", "rung", 0.5), row("sa1", "rung", 1.0), row("auto", "auto", auto)],
        };
        let table = table(&record(0.9), &[("twin".to_owned(), record(0.6))]).expect("a table");
        assert!(table.contains("| twin | 100.0 | 90.0 | 60.0 | 75.0 | 25.0 |"), "{table}");
    }
}
