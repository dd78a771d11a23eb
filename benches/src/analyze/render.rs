//! An analysis for people and programs: Markdown that reads well on a terminal, and JSON.

use super::record::{
    AnalyzeRecord, Dropping, LayerLook, Mode, Pick, Picks, RecordError, RungAnswers,
};
use crate::compare::render::format::{NONE, grouped, percent, signed};
use crate::compare::render::tables::{Table, TableRow};
use crate::compare::render::{aligned, settings};
use crate::compare::statistics::Estimate;
use std::collections::BTreeMap;

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tables for people.
    #[default]
    Markdown,
    /// The record itself.
    Json,
}

/// The record in a format, with a line end.
///
/// # Errors
/// None in practice: all of a record can be written in all formats.
pub fn render(record: &AnalyzeRecord, format: Format) -> Result<String, RecordError> {
    match format {
        Format::Markdown => Ok(markdown(record)),
        Format::Json => record.to_json(),
    }
}

fn markdown(record: &AnalyzeRecord) -> String {
    let (model, suite) = (&record.model, &record.suite);
    let short = |sha256: &str| sha256.chars().take(12).collect::<String>();
    let mut text = format!(
        "# What {} does with its pictures, on {}, {}\n\n* model: {} ({})\n",
        model.name,
        suite.name,
        suite.split,
        model.name,
        short(&model.sha256)
    );
    if let Some(policy) = &record.policy {
        text.push_str(&format!("* policy: {} ({})\n", policy.name, short(&policy.sha256)));
    }
    let (items, sha256) = (grouped(record.items), short(&suite.sha256));
    text.push_str(&format!("* data: {items} questions ({sha256})\n* level: {}\n", record.level));
    for (name, value) in settings(&record.settings) {
        text.push_str(&format!("* {name}: {value}\n"));
    }
    for table in tables(record) {
        text.push_str(&format!("\n## {}\n\n{}\n\n{}", table.title, table.note, aligned(&table)));
    }
    text
}

fn tables(record: &AnalyzeRecord) -> Vec<Table> {
    let mut tables = Vec::new();
    if let Some(attention) = &record.attention {
        tables.push(attended(record, attention));
    }
    if record.similarity.is_some() {
        tables.push(alike(record));
    }
    if let Some(dropping) = &record.dropping {
        tables.push(dropped(record, dropping));
        tables.push(clusters(dropping));
    }
    if let Some(rungs) = &record.rungs {
        tables.push(by_rung(record, rungs));
    }
    if let Some(choices) = &record.choices {
        tables.push(picked(record, choices));
        tables.push(by_number(
            choices,
            &choices.by_hops,
            ("steps to the answer", "Steps are hops along a chain, or to the far end of a group."),
        ));
        tables.push(by_number(
            choices,
            &choices.by_number,
            ("the number that is the answer", "As the size of a group."),
        ));
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// A table whose first column is words.
fn table(title: &str, note: &str, header: Vec<String>, rows: Vec<Vec<String>>) -> Table {
    let row = |cells| TableRow { cells, group: None };
    Table {
        title: title.to_owned(),
        note: note.to_owned(),
        header,
        words: 1,
        rows: rows.into_iter().map(row).collect(),
    }
}

fn header(first: &str, rest: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(rest).collect()
}

fn attended(record: &AnalyzeRecord, attention: &BTreeMap<String, Vec<LayerLook>>) -> Table {
    let mode = |(layer, mode): (usize, &Mode)| match mode {
        Mode::SelfAttention => format!("{layer} SA"),
        Mode::CrossAttention => format!("{layer} CA"),
        Mode::TextOnly => layer.to_string(),
    };
    let row = |name: &str| {
        let layers = attention.get(name)?;
        let cell = |layer: &LayerLook| layer.answer.map_or(NONE.to_owned(), |l| percent(l.image()));
        Some(header(name, layers.iter().map(cell)))
    };
    table(
        "Attention of the answer to the picture, by layer, %",
        "Mean share over heads, rows and questions: of a softmax over picture and text in SA layers, \
         of one over the picture and a null key in CA layers.",
        header("family", record.modes.iter().enumerate().map(mode)),
        record.family_names().filter_map(row).collect(),
    )
}

fn alike(record: &AnalyzeRecord) -> Table {
    let similarity = record.similarity.as_ref();
    let stages = similarity.into_iter().flat_map(|alike| alike.stages.iter().skip(1).cloned());
    let row = |name: &str| {
        let matrix = similarity?.families.get(name)?.as_ref()?;
        let first = matrix.first()?;
        Some(header(name, first.iter().skip(1).map(|value| format!("{value:.3}"))))
    };
    table(
        "How alike the picture stays to what enters the decoder: CKA",
        "1 is the same but for a turn and a scale. Only the layers that change the picture are shown.",
        header("family", stages),
        record.family_names().filter_map(row).collect(),
    )
}

fn means(
    record: &AnalyzeRecord,
    families: &BTreeMap<String, Estimate>,
    all: &Estimate,
) -> Vec<String> {
    let cell = |name| families.get(name).map_or(NONE.to_owned(), |found| percent(found.mean));
    record.family_names().map(cell).chain([percent(all.mean)]).collect()
}

fn families(record: &AnalyzeRecord) -> impl Iterator<Item = String> + '_ {
    record.family_names().map(str::to_owned).chain(["all".to_owned()])
}

fn dropped(record: &AnalyzeRecord, dropping: &Dropping) -> Table {
    let rows = dropping.subsets.iter().map(|subset| {
        header(&subset.name, means(record, &subset.families, &subset.accuracy).into_iter())
    });
    table(
        "Accuracy when layers do not see the picture, %",
        "Halves are those of the layers that use the picture.",
        header("dropped", families(record)),
        rows.collect(),
    )
}

fn clusters(dropping: &Dropping) -> Table {
    let words = ["loses less", "loses more"];
    let rows = dropping.clusters.iter().zip(words).map(|(cluster, word)| {
        let families = cluster.families.join(", ");
        vec![word.to_owned(), families, signed(-cluster.mean_loss)]
    });
    let (fit, declared) = dropping.as_declared;
    let note = match declared {
        0 => "By correlation of the rows above, average linkage.".to_owned(),
        _ => format!(
            "By correlation of the rows above, average linkage. {fit} of {declared} families stand \
             where they were declared to."
        ),
    };
    let header = ["cluster", "families", "mean loss, points"].map(str::to_owned).into();
    let mut found = table("Families that lose alike", &note, header, rows.collect());
    found.words = 2;
    found
}

fn by_rung(record: &AnalyzeRecord, rungs: &[RungAnswers]) -> Table {
    let rows = rungs
        .iter()
        .map(|rung| header(&rung.name, means(record, &rung.families, &rung.accuracy).into_iter()));
    table(
        "Accuracy by rung and family, %",
        "All questions at every rung.",
        header("rung", families(record)),
        rows.collect(),
    )
}

fn pick_row(name: &str, pick: &Pick) -> Vec<String> {
    let layers = match pick.layers_plus_minus {
        Some(half) => format!("{:.2} +- {half:.2}", pick.layers),
        None => format!("{:.2}", pick.layers),
    };
    let shares = pick.shares.iter().map(|share| percent(*share));
    header(name, shares.chain([layers, grouped(pick.n)]))
}

fn picked(record: &AnalyzeRecord, picks: &Picks) -> Table {
    let row = |name: &str| Some(pick_row(name, picks.families.get(name)?));
    let mut rows: Vec<Vec<String>> = record.family_names().filter_map(row).collect();
    rows.push(pick_row("all", &picks.all));
    let rest = picks.ladder.iter().cloned().chain(["SA layers", "questions"].map(str::to_owned));
    table(
        "What the policy picks, by family, %",
        "SA layers: their mean number, with an interval of 95 %.",
        header("family", rest),
        rows,
    )
}

fn by_number(
    picks: &Picks,
    families: &BTreeMap<String, BTreeMap<u32, Pick>>,
    (what, note): (&str, &str),
) -> Table {
    let rows = families.iter().flat_map(|(family, numbers)| {
        numbers.iter().map(move |(number, pick)| pick_row(&format!("{family} {number}"), pick))
    });
    let rest = picks.ladder.iter().cloned().chain(["SA layers", "questions"].map(str::to_owned));
    let title = format!("What the policy picks, by {what}, %");
    table(&title, note, header("family", rest), rows.collect())
}
