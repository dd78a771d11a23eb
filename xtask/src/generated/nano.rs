//! The table of the shipped checkpoint: accuracy and cost of every rung.

use crate::record::{Record, Rung};
use crate::repo::Repo;
use anyhow::{Context, Result};

/// Written by training, with the checkpoint.
const RECORD: &str = "models/nano/record.json";

/// Families that one look answers, then those that need refinement.
const ORDER: [&str; 7] = ["colour", "shape", "count", "read", "chain", "group", "twin"];

const NOT_TRAINED: &str = "The shipped checkpoint is not trained yet: its table will stand here.";

/// The content of the block `nano`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    if !repo.exists(RECORD) {
        return Ok(NOT_TRAINED.to_owned());
    }
    Ok(table(&Record::parse(&repo.text(RECORD)?).context(RECORD)?))
}

fn table(record: &Record) -> String {
    let families = families(record);
    let mut columns = vec!["budget", "SA layers", "MFLOPs", "saving", "one look", "refinement"];
    columns.extend(&families);
    let mut lines = vec![
        format!("| {} |", columns.join(" | ")),
        format!("|---|---|{}", "--:|".repeat(columns.len() - 2)),
    ];
    lines.extend(record.rungs.iter().map(|rung| row(rung, &families)));
    lines.push(String::new());
    lines.push(format!(
        "Accuracy in percent on {} test pictures that training never met, {} questions a family; \
         `one look` and `refinement` are means over the families of that kind. MFLOPs are those of \
         an end-to-end cold prefill, vision encoder included; the saving is the cost of the dense \
         reference divided by that. The numbers are those of `{RECORD}`.",
        record.test_pictures,
        questions(record)
    ));
    lines.join("\n")
}

/// The families of the record: known ones in their order, others after them.
fn families(record: &Record) -> Vec<&str> {
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let all = record.rungs.first().map(|rung| rung.families.keys().map(String::as_str));
    let mut names: Vec<&str> = all.into_iter().flatten().collect();
    names.sort_by_key(|name| place(name));
    names
}

fn row(rung: &Rung, families: &[&str]) -> String {
    let layers: Vec<String> = rung.self_attention_layers.iter().map(usize::to_string).collect();
    let mut cells = vec![
        format!("`{}`", rung.name),
        if layers.is_empty() { "none".to_owned() } else { layers.join(", ") },
        format!("{:.2}", rung.gflops.end_to_end * 1e3),
        format!("{:.2}x", rung.saving_end_to_end),
        percent(rung.one_look_mean),
        percent(rung.refinement_mean),
    ];
    cells.extend(families.iter().map(|family| percent(rung.families[*family].accuracy)));
    format!("| {} |", cells.join(" | "))
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// How many questions a family was asked: a number, or the range over families.
fn questions(record: &Record) -> String {
    let counts = record.rungs.iter().flat_map(|rung| rung.families.values()).map(|family| family.n);
    match (counts.clone().min(), counts.max()) {
        (Some(fewest), Some(most)) if fewest != most => format!("{fewest} to {most}"),
        (Some(n), _) => n.to_string(),
        (None, _) => "no".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::SAMPLE;

    #[test]
    fn a_record_becomes_a_row_a_rung_with_families_by_kind() {
        let table = table(&Record::parse(SAMPLE).expect("a record"));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "| budget | SA layers | MFLOPs | saving | one look | refinement \
                 | shape | chain | new |",
                "|---|---|--:|--:|--:|--:|--:|--:|--:|",
                "| `sa0` | none | 9.70 | 2.88x | 99.0 | 60.5 | 99.0 | 60.5 | 50.0 |",
                "| `sa2` | 1, 4 | 1250.00 | 1.70x | 100.0 | 90.0 | 100.0 | 90.0 | 50.0 |",
            ]
        );
        assert!(lines[5].contains("300 to 400 questions a family"), "{}", lines[5]);
    }
}
