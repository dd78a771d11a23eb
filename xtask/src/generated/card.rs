//! The model card of a shipped checkpoint, from the record that its training wrote.

use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

const NOT_TRAINED: &str = "The shipped checkpoint is not trained yet: its card will stand here.";

/// The families that every suite has: those that one look answers, then those that need refinement.
const ORDER: [&str; 7] = ["colour", "shape", "count", "read", "chain", "group", "twin"];

type Families = BTreeMap<String, Accuracy>;

#[derive(Deserialize)]
struct Record {
    suite: String,
    test_pictures: u64,
    rungs: Vec<Rung>,
    blank_picture: BTreeMap<String, Families>,
    random_half: BTreeMap<String, Families>,
    harder: BTreeMap<String, Families>,
    encoder_probe: Families,
    majority: BTreeMap<String, f64>,
    training: Training,
}

#[derive(Deserialize)]
struct Rung {
    name: String,
    families: Families,
    chain_by_hops: BTreeMap<String, Accuracy>,
}

#[derive(Deserialize)]
struct Accuracy {
    accuracy: f64,
    low: f64,
    high: f64,
    n: u64,
}

#[derive(Deserialize)]
struct Training {
    recipe: Recipe,
    steps: u64,
    pictures: u64,
    parameters: u64,
    minutes: Option<f64>,
    along: Option<Along>,
}

/// What the network learned with its selector.
#[derive(Deserialize)]
struct Along {
    steps: u64,
    pictures: u64,
    minutes: f64,
}

#[derive(Deserialize)]
struct Recipe {
    seed: u64,
    batch: u64,
    learning_rate: f64,
    steps: Steps,
}

#[derive(Deserialize)]
struct Steps {
    visual: u64,
    alternating: u64,
    universal: u64,
}

/// The content of the block `MODEL-card`, from what training wrote beside the checkpoint.
pub(super) fn block(repo: &Repo, model: &str) -> Result<String> {
    let file = format!("models/{model}/record.json");
    if !repo.exists(&file) {
        return Ok(NOT_TRAINED.to_owned());
    }
    let record: Record = serde_json::from_str(&repo.text(&file)?).context(file)?;
    Ok(card(&record))
}

/// The families of a record: those of every suite, then its own.
fn order(record: &Record) -> impl Iterator<Item = &str> {
    let all = record.rungs.first().into_iter().flat_map(|rung| rung.families.keys());
    let own = all.map(String::as_str).filter(|name| !ORDER.contains(name));
    ORDER.into_iter().chain(own)
}

fn card(record: &Record) -> String {
    let mut lines = vec!["### Training".to_owned(), String::new()];
    lines.extend(training(record));
    lines.extend(accuracy(record));
    lines.extend(hops(record));
    lines.extend(controls(record));
    lines.join("\n")
}

fn training(record: &Record) -> Vec<String> {
    let Training { recipe, steps, pictures, parameters, minutes, along } = &record.training;
    let Steps { visual, alternating, universal } = recipe.steps;
    let time = match minutes {
        Some(minutes) => format!("{minutes:.0} minutes on a shared CPU core"),
        None => "time not recorded".to_owned(),
    };
    let along = along.as_ref().map_or_else(String::new, |Along { steps, pictures, minutes }| {
        format!(
            " Then {steps} steps along with the selector ({pictures} pictures), {minutes:.0} minutes."
        )
    });
    vec![format!(
        "{parameters} parameters, seed {}, suite `{}`. {steps} steps of {} pictures ({pictures} \
         pictures with up to four questions each): {visual} on the visual stream, {alternating} on \
         the largest and the smallest budget, {universal} on all. AdamW, peak learning rate {}. \
         {time}.{along}",
        recipe.seed, record.suite, recipe.batch, recipe.learning_rate
    )]
}

fn accuracy(record: &Record) -> Vec<String> {
    let mut lines = heading("Accuracy", &columns("family", record, &["questions"]));
    for family in order(record) {
        let cells = record.rungs.iter().filter_map(|rung| rung.families.get(family));
        let n = cells.clone().next().map_or(0, |accuracy| accuracy.n);
        let cells: Vec<String> = cells.map(with_interval).collect();
        lines.push(format!("| {family} | {} | {n} |", cells.join(" | ")));
    }
    lines.push(String::new());
    lines.push(format!(
        "Percent right on {} test pictures that training never met, with Wilson's 95 % interval. \
         An answer is right if every token of it is.",
        record.test_pictures
    ));
    lines
}

fn hops(record: &Record) -> Vec<String> {
    let mut lines = heading("Chains by number of hops", &columns("hops", record, &[]));
    let all = record.rungs.first().map(|rung| rung.chain_by_hops.keys().collect::<Vec<_>>());
    for hops in all.unwrap_or_default() {
        let cells = record.rungs.iter().filter_map(|rung| rung.chain_by_hops.get(hops));
        let cells: Vec<String> = cells.map(with_interval).collect();
        lines.push(format!("| {hops} | {} |", cells.join(" | ")));
    }
    lines
}

fn controls(record: &Record) -> Vec<String> {
    let ends = [record.rungs.first(), record.rungs.last()];
    let names: Vec<&str> = ends.into_iter().flatten().map(|rung| rung.name.as_str()).collect();
    let mut columns = vec!["family".to_owned(), "commonest answer".to_owned()];
    for what in ["blank picture", "random half of the patches", "harder scenes"] {
        columns.extend(names.iter().map(|name| format!("{what}, `{name}`")));
    }
    columns.push("one-look head on the encoder".to_owned());
    let mut lines = heading("Controls", &columns);
    for family in order(record) {
        let mut cells = vec![record.majority.get(family).map_or_else(String::new, |p| percent(*p))];
        for table in [&record.blank_picture, &record.random_half, &record.harder] {
            for name in &names {
                let found = table.get(*name).and_then(|families| families.get(family));
                cells.push(found.map_or_else(String::new, |found| percent(found.accuracy)));
            }
        }
        let probed = record.encoder_probe.get(family);
        cells.push(probed.map_or_else(String::new, |found| percent(found.accuracy)));
        lines.push(format!("| {family} | {} |", cells.join(" | ")));
    }
    lines
}

fn columns(first: &str, record: &Record, last: &[&str]) -> Vec<String> {
    let rungs = record.rungs.iter().map(|rung| format!("`{}`", rung.name));
    let last = last.iter().map(|&name| name.to_owned());
    std::iter::once(first.to_owned()).chain(rungs).chain(last).collect()
}

fn heading(title: &str, columns: &[String]) -> Vec<String> {
    let numbers = "--:|".repeat(columns.len() - 1);
    vec![
        String::new(),
        format!("### {title}"),
        String::new(),
        format!("| {} |", columns.join(" | ")),
        format!("|---|{numbers}"),
    ]
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn with_interval(accuracy: &Accuracy) -> String {
    let Accuracy { accuracy, low, high, .. } = *accuracy;
    format!("{} ({}–{})", percent(accuracy), percent(low), percent(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy(share: f64) -> Accuracy {
        Accuracy { accuracy: share, low: share - 0.01, high: share + 0.01, n: 300 }
    }

    #[test]
    fn a_card_holds_every_family_with_intervals_and_controls() {
        let families = || BTreeMap::from([("twin".to_owned(), accuracy(0.5))]);
        let table = || BTreeMap::from([("sa0".to_owned(), families())]);
        let record = Record {
            suite: "nano v1".to_owned(),
            test_pictures: 2000,
            rungs: vec![Rung {
                name: "sa0".to_owned(),
                families: families(),
                chain_by_hops: BTreeMap::from([("1".to_owned(), accuracy(0.9))]),
            }],
            blank_picture: table(),
            random_half: table(),
            harder: table(),
            encoder_probe: families(),
            majority: BTreeMap::from([("twin".to_owned(), 0.51)]),
            training: Training {
                recipe: Recipe {
                    seed: 1,
                    batch: 32,
                    learning_rate: 2e-3,
                    steps: Steps { visual: 1, alternating: 2, universal: 3 },
                },
                steps: 6,
                pictures: 192,
                parameters: 1000,
                minutes: None,
                along: None,
            },
        };
        let card = card(&record);
        assert!(card.contains("| twin | 50.0 (49.0–51.0) | 300 |"), "{card}");
        assert!(card.contains("| 1 | 90.0 (89.0–91.0) |"), "{card}");
        assert!(card.contains("time not recorded"), "{card}");
    }
}
