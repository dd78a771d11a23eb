//! The table of rungs beside the networks that were trained for comparison, family by family.

use super::compared::{Difference, Estimate, Mean};
use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Record {
    items: u64,
    full: String,
    families: Vec<Family>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Family {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    group: String,
    about: String,
    network: Option<String>,
    visual_tokens: Option<usize>,
    difference: Option<Difference>,
    easy: Option<Mean>,
    hard: Option<Mean>,
    families: BTreeMap<String, Estimate>,
    gflops: Gflops,
}

#[derive(Deserialize)]
struct Gflops {
    end_to_end: f64,
}

/// The content of the block `MODEL-networks`, from what `visor bench compare` wrote.
pub(super) fn block(repo: &Repo, model: &str) -> Result<String> {
    let file = super::compared::record(model);
    if !repo.exists(&file) {
        return Ok("Nothing is compared yet: a table will stand here.".to_owned());
    }
    let record: Record = serde_json::from_str(&repo.text(&file)?).context(file.clone())?;
    Ok(table(&record, &file))
}

fn table(record: &Record, file: &str) -> String {
    let full = &record.full;
    let kind = |kind: &'static str| record.families.iter().filter(move |f| f.kind == kind);
    let families: Vec<&str> = kind("easy").chain(kind("hard")).map(|f| f.name.as_str()).collect();
    let names = families.join(" | ");
    let mut lines = vec![
        format!(
            "| row | what it is | visual tokens | MFLOPs | against `{full}`, points | one look | \
             refinement | {names} |"
        ),
        format!("|---|---|--:|--:|--:|--:|--:|{}", "--:|".repeat(families.len())),
    ];
    for group in ["rung", "baseline", "control"] {
        let rows = record.rows.iter().filter(|row| row.group == group);
        // The policy on another picture is no network.
        let rows = rows.filter(|row| row.name != "swapped-policy");
        lines.extend(rows.map(|row| line(row, &families)));
    }
    let networks = record.rows.iter().filter_map(|row| row.network.as_ref());
    let seeds: Vec<&str> = networks.filter_map(|network| network.split(", ").nth(1)).collect();
    let alike = seeds.windows(2).all(|pair| pair[0] == pair[1]);
    let seed = match (alike, seeds.first()) {
        (true, Some(seed)) => format!(", {seed}"),
        _ => String::new(),
    };
    lines.push(String::new());
    lines.push(format!(
        "Accuracy in percent on the {} questions of the comparison; differences are paired, with \
         intervals of 95 %; MFLOPs end to end. Every network was trained on as many steps of the same \
         data{seed}. The numbers are those of `{file}`.",
        record.items
    ));
    lines.join("\n")
}

fn line(row: &Row, families: &[&str]) -> String {
    let none = || "-".to_owned();
    let mean = |mean: Option<Mean>| mean.map_or_else(none, |mean| mean.accuracy.percent());
    let about = match row.group.as_str() {
        "rung" => "the shipped network".to_owned(),
        _ => row.about.clone(),
    };
    let mut cells = vec![
        format!("`{}`", row.name),
        about,
        row.visual_tokens.map_or_else(none, |tokens| tokens.to_string()),
        format!("{:.2}", row.gflops.end_to_end * 1e3),
        row.difference.map_or_else(none, Difference::points),
        mean(row.easy),
        mean(row.hard),
    ];
    let of_family =
        |family: &&str| row.families.get(*family).map_or_else(none, |found| found.percent());
    cells.extend(families.iter().map(of_family));
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_stand_before_other_networks_and_those_before_controls() {
        let estimate = |mean| Estimate { mean, low: 0.0, high: 1.0 };
        let row = |name: &str, group: &str, network: Option<&str>| Row {
            name: name.to_owned(),
            group: group.to_owned(),
            about: format!("about {name}"),
            network: network.map(str::to_owned),
            visual_tokens: network.map(|_| 9),
            difference: Some(Difference { difference: -0.1, low: -0.12, high: -0.08 }),
            easy: Some(Mean { accuracy: estimate(0.9) }),
            hard: None,
            families: BTreeMap::from([("read".to_owned(), estimate(0.25))]),
            gflops: Gflops { end_to_end: 0.008 },
        };
        let family =
            |name: &str, kind: &str| Family { name: name.to_owned(), kind: kind.to_owned() };
        let record = Record {
            items: 7,
            full: "sa3".to_owned(),
            families: vec![family("twin", "hard"), family("read", "easy")],
            rows: vec![
                row("blank@sa3", "control", None),
                row("swapped-policy", "control", None),
                row("pooled-9", "baseline", Some("pooled, seed 1, 7 steps")),
                row("sa3", "rung", None),
                row("auto", "auto", None),
            ],
        };
        let table = table(&record, "record.json");
        let names: Vec<&str> = table
            .lines()
            .skip(2)
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert_eq!(names, ["sa3", "pooled-9", "blank@sa3"]);
        assert!(table.starts_with("| row |") && table.contains("| refinement | read | twin |"));
        let pooled = "| `pooled-9` | about pooled-9 | 9 | 8.00 | -10.0 [-12.0, -8.0] | 90.0 | - | 25.0 | - |";
        assert!(table.contains(pooled), "{table}");
        assert!(table.contains("the same data, seed 1."), "{table}");
    }
}
