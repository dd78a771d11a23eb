//! The record of an analysis and what is made of it, on made-up observations.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use visor_benches::Environment;
use visor_benches::analyze::record::{AnalyzeRecord, Context, RecordError, Seen};
use visor_benches::analyze::render::{Format, render};
use visor_benches::analyze::{Figure, record};
use visor_benches::compare::observation::Suite;
use visor_benches::compare::record::Identity;
use visor_core::{Ladder, Layout};
use visor_train::analysis::attention::{LayerAttention, Look, Shares};
use visor_train::analysis::choices::Choice;
use visor_train::analysis::dropping::subsets;
use visor_train::analysis::similarity::Similarity;
use visor_train::data::{Item, Need, Scorer};

const FAMILIES: [(&str, Need); 4] = [
    ("colour", Need::OneLook),
    ("count", Need::OneLook),
    ("chain", Need::Refinement),
    ("group", Need::Refinement),
];

fn items() -> Vec<Item> {
    let item = |index: usize| {
        let (family, need) = FAMILIES[index % FAMILIES.len()];
        Item {
            id: index.to_string(),
            pictures: Vec::new(),
            question: "?".to_owned(),
            conversation: Vec::new(),
            answers: vec![(index % 3).to_string()],
            scorer: Scorer::Exact,
            family: family.to_owned(),
            need: Some(need),
            hops: if need == Need::Refinement { 1 + (index / 4 % 3) as u8 } else { 0 },
            objects: 0,
        }
    };
    (0..48).map(item).collect()
}

fn ladder() -> Ladder {
    let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).unwrap();
    let rungs = [("sa0", vec![]), ("sa3", vec![2, 3, 5])];
    Ladder::try_new(layout, 2, &rungs.map(|(name, active)| (name.to_owned(), active))).unwrap()
}

fn context() -> Context {
    let identity = |name: &str| Identity { name: name.to_owned(), sha256: "0".repeat(64) };
    Context {
        environment: Environment::here(),
        model: identity("nano"),
        policy: Some(identity("router")),
        suite: Suite {
            name: "made up".to_owned(),
            split: "all".to_owned(),
            sha256: "1".repeat(64),
        },
        settings: BTreeMap::from([("scorer".to_owned(), "exact".to_owned())]),
        level: "sa3".to_owned(),
    }
}

/// One-look families lose where layer 1 is dropped, the others where any self-attention layer is.
fn record_of(items: &[Item]) -> Result<AnalyzeRecord, RecordError> {
    let ladder = ladder();
    let schedule = ladder.schedule(ladder.largest());
    let look = Look { own: Shares { image: 0.25, question: 0.5, answer: 0.25 }, cross: Some(0.75) };
    let layer = |&mode| LayerAttention { mode, question: Some(look), answer: Some(look) };
    let layers: Vec<LayerAttention> = schedule.modes().iter().map(layer).collect();
    let dropped = subsets(&schedule).into_iter().map(|subset| {
        let hurts = |item: &Item| {
            let by: &[usize] = match item.need {
                Some(Need::OneLook) => &[1],
                _ => &[2, 3, 5],
            };
            subset.layers.iter().any(|layer| by.contains(&layer.0))
        };
        let scores = items.iter().map(|item| if hurts(item) { 0.0 } else { 1.0 }).collect();
        (subset, scores)
    });
    let choose = |item: &Item| match item.need {
        Some(Need::OneLook) => Choice { rung: 0, self_attention_layers: 0 },
        _ => Choice { rung: 1, self_attention_layers: 3 },
    };
    let names = FAMILIES.map(|(name, _)| name.to_owned());
    let alike = vec![vec![1.0, 0.7], vec![0.7, 1.0]];
    let seen = Seen {
        items,
        schedule: &schedule,
        rungs: ladder.rungs(),
        attention: Some(names.clone().map(|name| (name, layers.clone())).into()),
        similarity: Some(Similarity {
            stages: vec![None, Some(2)],
            families: names.map(|name| (name, Some(alike.clone()))).into(),
        }),
        dropping: Some(dropped.collect()),
        rung_scores: Some(vec![vec![0.5; items.len()], vec![1.0; items.len()]]),
        choices: Some(items.iter().map(choose).collect()),
    };
    AnalyzeRecord::new(seen, context())
}

#[test]
fn families_that_lose_alike_are_found_and_held_against_what_they_were_declared_to_need() {
    let record = record_of(&items()).unwrap();
    let dropping = record.dropping.unwrap();
    let clusters: Vec<_> = dropping.clusters.iter().map(|c| c.families.join(" ")).collect();
    assert_eq!(clusters, ["colour count", "chain group"]);
    assert!(dropping.clusters[0].mean_loss < dropping.clusters[1].mean_loss);
    assert_eq!(dropping.as_declared, (4, 4));
    assert_eq!(dropping.subsets[0].accuracy.mean, 1.0);
}

#[test]
fn picks_are_told_apart_by_steps_and_by_answers_that_are_numbers() {
    let picks = record_of(&items()).unwrap().choices.unwrap();
    assert_eq!(picks.all.shares, [0.5, 0.5]);
    assert_eq!((picks.families["chain"].layers, picks.families["colour"].layers), (3.0, 0.0));
    assert_eq!(picks.by_hops.keys().collect::<Vec<_>>(), ["chain", "group"]);
    assert_eq!(picks.by_hops["chain"].keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(picks.by_number["count"].values().map(|pick| pick.n).sum::<usize>(), 12);
}

#[test]
fn a_record_that_was_read_back_is_the_one_that_was_written() {
    let record = record_of(&items()).unwrap();
    let json = record.to_json().unwrap();
    assert_eq!(AnalyzeRecord::from_json(&json).unwrap(), record);
    let other = json.replacen(record::KIND, "comparison", 1);
    assert!(matches!(AnalyzeRecord::from_json(&other), Err(RecordError::Kind { .. })));
    let newer = json.replacen("\"schema_version\": 1", "\"schema_version\": 2", 1);
    assert!(matches!(AnalyzeRecord::from_json(&newer), Err(RecordError::Version { found: 2 })));
}

#[test]
fn every_figure_is_drawn_and_every_table_is_printed() {
    let record = record_of(&items()).unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("analyze");
    std::fs::create_dir_all(&folder).unwrap();
    for figure in Figure::ALL {
        let svg = figure.svg(&record).unwrap().unwrap();
        assert!(svg.trim_end().ends_with("</svg>"), "{figure}");
        std::fs::write(folder.join(format!("{figure}.svg")), &svg).unwrap();
        assert_eq!(figure.svg(&record).unwrap().unwrap(), svg, "{figure}");
        assert_eq!(figure.stem().parse(), Ok(figure));
    }
    let text = render(&record, Format::Markdown).unwrap();
    for word in ["1 CA", "after 2", "first half", "loses more", "sa0", "SA layers", "chain 2"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}

#[test]
fn parts_that_were_not_asked_for_have_neither_figure_nor_table() {
    let mut record = record_of(&items()).unwrap();
    record.attention = None;
    record.similarity = None;
    record.dropping = None;
    record.choices = None;
    let drawn: Vec<Figure> =
        Figure::ALL.into_iter().filter(|figure| figure.svg(&record).unwrap().is_some()).collect();
    assert_eq!(drawn, [Figure::Rungs]);
    let text = render(&record, Format::Markdown).unwrap();
    assert_eq!(text.matches("\n## ").count(), 1, "{text}");
}

#[test]
fn scores_that_are_not_one_a_question_are_refused() {
    let ladder = ladder();
    let schedule = ladder.schedule(ladder.cheapest());
    let items = items();
    let seen = Seen {
        items: &items,
        schedule: &schedule,
        rungs: ladder.rungs(),
        attention: None,
        similarity: None,
        dropping: None,
        rung_scores: Some(vec![vec![1.0; 3]; 2]),
        choices: None,
    };
    let error = AnalyzeRecord::new(seen, context()).unwrap_err().to_string();
    assert_eq!(error, "scores of a rung are 3, for 48 questions");
}
