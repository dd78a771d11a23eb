//! The table of the policy: rungs, the policy at its thrifts, and what it is held against.

use super::compared::{Difference, Estimate, Mean, percent};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

const SCHEMA_VERSION: u32 = 1;

/// Of the networks that were trained for comparison, the one that is shown here; the others have a
/// table of their own.
const DENSE: &str = "dense";

const NOT_COMPARED: &str = "The policy is not compared yet: its table will stand here.";

/// Rows beside rungs, baselines and the policy's own, in the order in which they are shown, with
/// what each is. Others of these groups are left to the record.
const HELD_AGAINST: [(&str, &str); 6] = [
    ("random-routing", "rungs drawn with the policy's histogram"),
    ("best-mixture", "the best mixture of two rungs of its cost"),
    ("family-lookup", "a look-up by family of its cost, fitted on other questions"),
    ("random-in-family", "rungs drawn with its histogram of each family"),
    ("swapped-policy", "it decides on another picture of the same family"),
    ("oracle", "the cheapest rung that is right, known afterwards"),
];

#[derive(Deserialize)]
struct Record {
    schema_version: u32,
    suite: Suite,
    items: u64,
    full: String,
    routed: Option<String>,
    ladder: Vec<String>,
    rows: Vec<Row>,
    comparisons: Vec<Comparison>,
}

#[derive(Deserialize)]
struct Suite {
    name: String,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    group: String,
    about: String,
    of: Option<String>,
    accuracy: Option<Estimate>,
    difference: Option<Difference>,
    easy: Option<Mean>,
    hard: Option<Mean>,
    gflops: Gflops,
}

#[derive(Deserialize)]
struct Gflops {
    end_to_end: f64,
    lm_prefill: f64,
}

#[derive(Deserialize)]
struct Comparison {
    a: String,
    b: String,
    #[serde(flatten)]
    found: Difference,
}

/// The content of the block `MODEL-policy`, from what `visor bench compare` wrote.
pub(super) fn block(repo: &Repo, model: &str) -> Result<String> {
    let file = super::compared::record(model);
    if !repo.exists(&file) {
        return Ok(NOT_COMPARED.to_owned());
    }
    let record: Record = serde_json::from_str(&repo.text(&file)?).context(file.clone())?;
    let version = record.schema_version;
    ensure!(version == SCHEMA_VERSION, "{file}: schema version {version}, not {SCHEMA_VERSION}");
    Ok(table(&record, &file))
}

fn table(record: &Record, file: &str) -> String {
    let full = &record.full;
    let mut lines = vec![
        format!(
            "| budget | what it is | accuracy % | against `{full}`, points | one look | refinement \
             | SA cost % | end to end, MFLOPs |"
        ),
        "|---|---|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    let of_group = |group: &'static str| record.rows.iter().filter(move |row| row.group == group);
    for row in of_group("rung") {
        lines.push(line(record, row, "every question at this rung"));
    }
    for row in of_group("baseline").filter(|row| row.name == DENSE) {
        lines.push(line(record, row, &row.about));
    }
    for row in of_group("auto") {
        let about = match row.name.split_once('@') {
            Some((_, thrift)) => format!("the policy at thrift {thrift}"),
            None => "**the policy** at its own thrift".to_owned(),
        };
        lines.push(line(record, row, &about));
    }
    for (name, about) in HELD_AGAINST {
        let ours = |row: &&Row| row.name == name && (row.of.is_none() || row.of == record.routed);
        lines.extend(record.rows.iter().find(ours).map(|row| line(record, row, about)));
    }
    lines.push(String::new());
    lines.push(format!(
        "On {} questions of the {}'s test, with intervals of 95 %; differences are paired. `one look` \
         and `refinement` are means over families. SA cost is what the decoder's prefill costs above \
         the lowest rung, as a share of what the highest adds. {}The numbers are those of `{file}`.",
        record.items,
        record.suite.name,
        differences(record)
    ));
    lines.join("\n")
}

fn line(record: &Record, row: &Row, about: &str) -> String {
    let none = || "-".to_owned();
    let accuracy = |found: &Estimate| {
        let Estimate { mean, low, high } = found;
        format!("{} [{}, {}]", percent(*mean), percent(*low), percent(*high))
    };
    let mean = |mean: Option<Mean>| mean.map_or_else(none, |mean| mean.accuracy.percent());
    let difference = row.difference.map_or_else(none, Difference::points);
    let cells = [
        format!("`{}`", row.name),
        about.to_owned(),
        row.accuracy.as_ref().map_or_else(none, accuracy),
        difference,
        mean(row.easy),
        mean(row.hard),
        sa_cost(record, row).map_or_else(none, percent),
        format!("{:.2}", row.gflops.end_to_end * 1e3),
    ];
    format!("| {} |", cells.join(" | "))
}

/// What a row of the compared network costs above the lowest rung, as a share of what the highest
/// adds; `None` of other networks, whose layers are not the same.
fn sa_cost(record: &Record, row: &Row) -> Option<f64> {
    let cost = |name: &String| {
        let row = record.rows.iter().find(|row| row.name == *name)?;
        Some(row.gflops.lm_prefill)
    };
    let (low, high) = (cost(record.ladder.first()?)?, cost(record.ladder.last()?)?);
    let share = (row.gflops.lm_prefill - low) / (high - low);
    (row.group != "baseline" && share.is_finite()).then_some(share)
}

/// What the main routed row gains on the others, in a sentence.
fn differences(record: &Record) -> String {
    let Some(routed) = &record.routed else { return String::new() };
    let words = [
        ("random-routing", "chance"),
        ("best-mixture", "the best mixture"),
        ("family-lookup", "the look-up"),
        ("swapped-policy", "deciding on another picture"),
        ("oracle", "the oracle"),
    ];
    let against = words.into_iter().filter_map(|(name, word)| {
        let found = record.comparisons.iter().find(|c| c.a == *routed && c.b == name)?;
        Some(format!("{} against {word}", found.found.points()))
    });
    let against: Vec<String> = against.collect();
    match against.is_empty() {
        true => String::new(),
        false => format!("`{routed}`, in points: {}. ", against.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, group: &str, of: Option<&str>, lm_prefill: f64) -> Row {
        let estimate = || Estimate { mean: 0.9, low: 0.88, high: 0.92 };
        Row {
            name: name.to_owned(),
            group: group.to_owned(),
            about: format!("about {name}"),
            of: of.map(str::to_owned),
            accuracy: Some(estimate()),
            difference: Some(Difference { difference: -0.01, low: -0.02, high: 0.0004 }),
            easy: Some(Mean { accuracy: estimate() }),
            hard: None,
            gflops: Gflops { end_to_end: lm_prefill + 0.003, lm_prefill },
        }
    }

    #[test]
    fn rungs_come_first_and_only_what_belongs_to_the_main_row_is_shown() {
        let record = Record {
            schema_version: 1,
            suite: Suite { name: "nano v1 standard mix".to_owned() },
            items: 4000,
            full: "sa3".to_owned(),
            routed: Some("auto".to_owned()),
            ladder: ["sa0", "sa3"].map(str::to_owned).into(),
            rows: vec![
                row("sa0", "rung", None, 0.005),
                row("sa3", "rung", None, 0.015),
                row("auto", "auto", None, 0.009),
                row("auto@0.4", "auto", None, 0.007),
                row("dense", "baseline", None, 0.024),
                row("pooled-9", "baseline", None, 0.004),
                row("best-mixture", "reference", Some("auto"), 0.009),
                row("best-mixture of auto@0.4", "reference", Some("auto@0.4"), 0.007),
                row("something-new", "control", None, 0.009),
            ],
            comparisons: vec![Comparison {
                a: "auto".to_owned(),
                b: "best-mixture".to_owned(),
                found: Difference { difference: 0.058, low: 0.05, high: 0.066 },
            }],
        };
        let table = table(&record, "record.json");
        let names: Vec<&str> =
            table.lines().skip(2).filter_map(|line| line.split('`').nth(1)).collect();
        let shown = ["sa0", "sa3", "dense", "auto", "auto@0.4", "best-mixture"];
        assert_eq!(names[..shown.len()], shown);
        assert!(!table.contains("pooled-9"), "{table}");
        assert!(!table.contains("something-new") && !table.contains("of auto@0.4"), "{table}");
        let auto = "| 90.0 [88.0, 92.0] | -1.0 [-2.0, 0.0] | 90.0 | - | 40.0 | 12.00 |";
        assert!(table.contains(auto), "{table}");
        assert!(table.contains("+5.8 [+5.0, +6.6] against the best mixture."), "{table}");
    }
}
