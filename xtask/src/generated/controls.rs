//! The table of the networks that were trained to be held against the shipped one.

use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;

/// Written by training, with the checkpoint.
const SHIPPED: &str = "models/nano/record.json";

/// Records of the others: `nano-NAME.json`, one a network.
const FOLDER: &str = "benches/results/";

/// What each control is, in the order in which they are shown. Records that are not among them
/// stand behind, by name.
const ABOUT: [(&str, &str); 15] = [
    (
        "late-answers-only",
        "labels of patches only in the first 70 % of the steps: the answers alone must keep what the \
         labels taught",
    ),
    (
        "discard-refinement",
        "trained and run with the picture's update thrown away: more layers over picture and text, \
         and no refinement",
    ),
    ("cross-only", "looks in place of refinement: fourteen layers, twelve of which cross-attend"),
    ("dense", "every layer self-attention over picture and text, with the same labels"),
    ("dense-without-patch-labels", "the same without labels of refined patches"),
    ("seed2", "the shipped recipe with another seed"),
    ("seed2-10000-steps", "that seed with more steps, in the same proportions"),
    ("seed3", "the shipped recipe with a third seed"),
    ("seed2-higher-rate", "the second seed at a learning rate of 3e-3"),
    ("seed2-long-visual", "that seed with four times as many steps of the visual stream alone"),
    ("no-null-pair", "cross-attention without the null key and value"),
    ("no-conditional-position", "no convolution over the visual tokens in front of the decoder"),
    ("grouped-cross", "cross-attention with half of its key and value heads"),
    ("nested-subsets", "trained on the four rungs of the ladder alone, not on all eight subsets"),
    (
        "self-supervised",
        "answers alone: no label of any patch, no place that shares its vector with a word",
    ),
];

#[derive(Deserialize)]
struct Record {
    rungs: Vec<Rung>,
    training: Training,
}

#[derive(Deserialize)]
struct Rung {
    name: String,
    one_look_mean: f64,
    refinement_mean: f64,
}

#[derive(Deserialize)]
struct Training {
    recipe: Recipe,
    steps: u64,
}

#[derive(Deserialize)]
struct Recipe {
    arm: String,
    seed: u64,
}

/// The content of the block `nano-controls`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for file in repo.files() {
        let name = file.strip_prefix(FOLDER).and_then(|name| name.strip_prefix("nano-"));
        let name = name.and_then(|name| name.strip_suffix(".json"));
        if let Some(name) = name.filter(|name| !name.contains('/')) {
            found.push((name.to_owned(), file.to_owned()));
        }
    }
    let place = |name: &str| ABOUT.iter().position(|(known, _)| *known == name);
    found.sort_by_key(|(name, _)| (place(name).unwrap_or(ABOUT.len()), name.clone()));
    let shipped = repo.exists(SHIPPED).then(|| ("shipped".to_owned(), SHIPPED.to_owned()));
    let mut rows = Vec::new();
    for (name, file) in shipped.into_iter().chain(found) {
        let record: Record = serde_json::from_str(&repo.text(&file)?).context(file)?;
        rows.push(row(&name, &record));
    }
    Ok(table(&rows))
}

fn table(rows: &[String]) -> String {
    let mut lines = vec![
        "| network | what it is | seed | steps | one look, low to top | refinement, low to top |"
            .to_owned(),
        "|---|---|--:|--:|--:|--:|".to_owned(),
    ];
    lines.extend(rows.iter().cloned());
    lines.push(String::new());
    lines.push(format!(
        "Mean accuracy in percent over the families of a kind, on the lowest and the highest budget; \
         one number where a network has one budget alone. Records: `{SHIPPED}` and \
         `{FOLDER}nano-NAME.json`; what each was expected to show stands in `docs/predictions-nano.md`."
    ));
    lines.join("\n")
}

fn row(name: &str, record: &Record) -> String {
    let known = ABOUT.iter().find(|(known, _)| *known == name);
    let about = match known {
        Some((_, about)) => (*about).to_owned(),
        None if name == "shipped" => "the checkpoint of this card".to_owned(),
        None => format!("arm `{}`", record.training.recipe.arm),
    };
    let ends = |of: fn(&Rung) -> f64| match record.rungs.as_slice() {
        [] => "-".to_owned(),
        [only] => format!("{} (`{}`)", percent(of(only)), only.name),
        [low, .., top] => format!("{} to {}", percent(of(low)), percent(of(top))),
    };
    let (one_look, refinement) =
        (ends(|rung| rung.one_look_mean), ends(|rung| rung.refinement_mean));
    let Training { recipe: Recipe { seed, .. }, steps } = record.training;
    format!("| `{name}` | {about} | {seed} | {steps} | {one_look} | {refinement} |")
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rungs: &[(&str, f64, f64)]) -> Record {
        let rung = |&(name, one_look_mean, refinement_mean): &(&str, f64, f64)| Rung {
            name: name.to_owned(),
            one_look_mean,
            refinement_mean,
        };
        let recipe = Recipe { arm: "universal".to_owned(), seed: 3 };
        Record { rungs: rungs.iter().map(rung).collect(), training: Training { recipe, steps: 7 } }
    }

    #[test]
    fn a_network_is_shown_by_its_ends_and_a_new_one_by_its_arm() {
        let two = record(&[("sa0", 0.99, 0.6), ("sa3", 0.996, 0.95)]);
        let new = "| `seed9` | arm `universal` | 3 | 7 | 99.0 to 99.6 | 60.0 to 95.0 |";
        assert_eq!(row("seed9", &two), new);
        let one = row("dense", &record(&[("dense", 0.89, 0.957)]));
        assert!(one.ends_with("| 89.0 (`dense`) | 95.7 (`dense`) |"), "{one}");
    }
}
