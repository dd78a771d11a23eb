//! The tables of trained selectors.

use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The records of the selectors that stand in shipped models.
const SHIPPED: [(&str, &str); 2] = [
    ("benches/results/selector-labelled-backbone.json", "nano"),
    ("benches/results/mini-selector-joint.json", "mini"),
];

#[derive(Deserialize)]
struct Record {
    settings: Settings,
    backbone: String,
    minutes: Option<f64>,
    parameters: u64,
    n: usize,
    n_visual: usize,
    families: BTreeMap<String, Family>,
    costs: BTreeMap<String, Cost>,
    levels: Vec<Level>,
}

#[derive(Deserialize)]
struct Settings {
    supervision: String,
    seed: u64,
    steps: u64,
}

#[derive(Deserialize)]
struct Family {
    pointing: f64,
    pointing_by_chance: f64,
    recall: f64,
    mean_k: f64,
    k: BTreeMap<u16, u32>,
}

#[derive(Deserialize)]
struct Cost {
    keys_and_scores: f64,
    with_selector: f64,
    with_queries: f64,
    lm_prefill: f64,
    end_to_end: f64,
}

#[derive(Deserialize)]
struct Level {
    rung: String,
    patches: String,
    sighted: String,
    accuracy: f64,
    one_look: f64,
    refinement: f64,
    difference: [f64; 3],
    one_look_difference: [f64; 3],
}

/// The content of the block `selectors`: the tables of the records `benches/results/selector-NAME.json`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    let mut blocks = Vec::new();
    for file in repo.files().filter(|file| file.starts_with("benches/results/selector-")) {
        blocks.push(of_file(repo, file)?);
    }
    Ok(blocks.join("\n\n"))
}

/// The content of the block `MODEL-selectors`: the selector that stands in a shipped model.
pub(super) fn shipped(repo: &Repo, model: &str) -> Result<String> {
    let (file, _) =
        SHIPPED.iter().find(|(_, of)| *of == model).context("no selector is shipped")?;
    of_file(repo, file)
}

fn of_file(repo: &Repo, file: &str) -> Result<String> {
    let record: Record = serde_json::from_str(&repo.text(file)?).context(file.to_owned())?;
    let name = file.rsplit_once("selector-").map_or(file, |(_, name)| name);
    Ok(of_record(name.trim_end_matches(".json"), &record, file))
}

fn of_record(name: &str, record: &Record, file: &str) -> String {
    let Record { settings, backbone, minutes, parameters, n, n_visual, .. } = record;
    let arm = match (settings.supervision.as_str(), backbone.as_str()) {
        ("self-supervised", "answers alone") => "the self-supervised arm",
        _ => "a grounded arm",
    };
    let time = minutes.map(|minutes| format!(" {minutes:.0} minutes,")).unwrap_or_default();
    let shipped = SHIPPED
        .iter()
        .find(|(of_shipped, _)| *of_shipped == file)
        .map(|(_, model)| format!("The selector of the shipped `{model}`. "))
        .unwrap_or_default();
    let intro = format!(
        "### `{name}`: {arm}\n\n\
         {shipped}Backbone: {backbone}. Selector: {}, seed {}, {} steps,{time} {parameters} \
         parameters. {n} test questions of the standard mix, {n_visual} visual tokens a picture. \
         Record: `{file}`.",
        settings.supervision, settings.seed, settings.steps
    );
    [intro, accuracies(&record.levels), costs(&record.costs), families(&record.families)]
        .join("\n\n")
}

/// Accuracy with the chosen patches and what they are held against, at every rung.
fn accuracies(levels: &[Level]) -> String {
    let mut lines = vec![
        "| budget | patches | which | accuracy | to all | one look | to all | refinement |"
            .to_owned(),
        "|---|--:|---|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for level in levels {
        let Level { rung, patches, sighted, .. } = level;
        lines.push(format!(
            "| {rung} | {patches} | {} | {} | {} | {} | {} | {} |",
            if patches == "all" { "-" } else { sighted.as_str() },
            percent(level.accuracy),
            interval(level.difference),
            percent(level.one_look),
            interval(level.one_look_difference),
            percent(level.refinement),
        ));
    }
    lines.join("\n")
}

/// Three figures that belong together, and what they are part of.
fn costs(costs: &BTreeMap<String, Cost>) -> String {
    let mut lines = vec![
        "| patches | keys, values, scores | with the whole selector | with queries and outputs | \
         LM prefill | end to end |"
            .to_owned(),
        "|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    let Some(all) = costs.get("all") else { return String::new() };
    let mut rows: Vec<(&String, &Cost)> = costs.iter().collect();
    // Numbers by size, `all` and `auto` first.
    rows.sort_by_key(|(patches, _)| (patches.parse::<usize>().unwrap_or(0), (*patches).clone()));
    for (patches, cost) in rows {
        let cell = |of: fn(&Cost) -> f64| {
            let (now, whole) = (of(cost), of(all));
            format!("{:.3} MF ({:+.0} %)", now / 1e6, 100.0 * (now / whole - 1.0))
        };
        lines.push(format!(
            "| {patches} | {} | {} | {} | {} | {} |",
            cell(|cost| cost.keys_and_scores),
            cell(|cost| cost.with_selector),
            cell(|cost| cost.with_queries),
            cell(|cost| cost.lm_prefill),
            cell(|cost| cost.end_to_end),
        ));
    }
    lines.push(String::new());
    lines.push(
        "Mean FLOPs of a question at the lowest budget, and the change against reading all patches."
            .to_owned(),
    );
    lines.join("\n")
}

fn families(families: &BTreeMap<String, Family>) -> String {
    let mut lines = vec![
        "| family | best patch is evidence | by chance | evidence chosen at `auto` | mean k | k from \
         to |"
            .to_owned(),
        "|---|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for (name, family) in families {
        let ends = family.k.keys().next().zip(family.k.keys().next_back());
        let ends = ends.map(|(low, high)| format!("{low} to {high}")).unwrap_or_default();
        lines.push(format!(
            "| {name} | {} | {} | {} | {:.1} | {ends} |",
            percent(family.pointing),
            percent(family.pointing_by_chance),
            percent(family.recall),
            family.mean_k,
        ));
    }
    lines.join("\n")
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn interval([mean, low, high]: [f64; 3]) -> String {
    if [mean, low, high] == [0.0; 3] {
        return "0".to_owned();
    }
    format!("{:+.1} [{:+.1}, {:+.1}]", 100.0 * mean, 100.0 * low, 100.0 * high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_line_with_its_distance_to_all_patches() {
        let level = Level {
            rung: "sa0".to_owned(),
            patches: "auto".to_owned(),
            sighted: "selected".to_owned(),
            accuracy: 0.981,
            one_look: 0.99,
            refinement: 0.5,
            difference: [-0.006, -0.009, -0.003],
            one_look_difference: [0.0; 3],
        };
        let line = "| sa0 | auto | selected | 98.1 | -0.6 [-0.9, -0.3] | 99.0 | 0 | 50.0 |";
        assert!(accuracies(&[level]).ends_with(line));
    }

    #[test]
    fn a_record_says_whether_its_selector_is_shipped() {
        let json = r#"{"settings": {"supervision": "grounded", "seed": 1, "steps": 2},
            "backbone": "answers alone", "minutes": null, "parameters": 3, "n": 4, "n_visual": 36,
            "families": {}, "costs": {}, "levels": []}"#;
        let record: Record = serde_json::from_str(json).expect("a record");
        let (shipped, model) = SHIPPED[0];
        let said = format!("The selector of the shipped `{model}`. Backbone: answers alone.");
        assert!(of_record("a", &record, shipped).contains(&said));
        assert!(!of_record("a", &record, "benches/results/selector-a.json").contains("shipped"));
    }
}
