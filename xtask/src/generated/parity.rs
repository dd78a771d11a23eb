//! The table of parity: how far every seam of every checkpoint is from what was recorded.

use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;

/// Written by `visor verify --json`, one a checkpoint.
const RECORDS: &str = "benches/results/parity/";

#[derive(Deserialize)]
struct Parity {
    model: String,
    reference: String,
    cases: usize,
    seams: Vec<Seam>,
}

#[derive(Deserialize)]
struct Seam {
    seam: String,
    worst: Worst,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Worst {
    Exact { differing: usize },
    Close { error: f64, largest: f64 },
}

/// The content of the block `parity`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    let files =
        repo.texts().filter(|(file, _)| file.starts_with(RECORDS) && file.ends_with(".json"));
    let parse = |(file, text): (&str, String)| {
        serde_json::from_str::<Parity>(&text).with_context(|| file.to_owned())
    };
    let records: Vec<Parity> = files.map(parse).collect::<Result<_>>()?;
    Ok(table(&records))
}

fn table(records: &[Parity]) -> String {
    let mut seams: Vec<&str> = Vec::new();
    for record in records {
        let mut behind = 0;
        for Seam { seam, .. } in &record.seams {
            match seams.iter().position(|known| known == seam) {
                Some(at) => behind = at + 1,
                None => {
                    // Layers that another record has come in the order of their numbers.
                    let (stem, number) = numbered(seam);
                    let before = |known: &&&str| {
                        let (other, count) = numbered(known);
                        other == stem && count < number
                    };
                    behind += seams[behind..].iter().take_while(before).count();
                    seams.insert(behind, seam);
                    behind += 1;
                }
            }
        }
    }
    let models: Vec<String> = records.iter().map(|r| format!("`{}`", r.model)).collect();
    let cases: Vec<String> = records.iter().map(|r| r.cases.to_string()).collect();
    let mut lines = vec![
        format!("| seam | {} |", models.join(" | ")),
        format!("|---|{}", "--:|".repeat(records.len())),
        format!("| cases | {} |", cases.join(" | ")),
    ];
    lines.extend(seams.iter().map(|seam| {
        let cells: Vec<String> = records.iter().map(|record| cell(record, seam)).collect();
        format!("| `{seam}` | {} |", cells.join(" | "))
    }));
    let mut origins: Vec<&str> = records.iter().map(|r| r.reference.as_str()).collect();
    origins.sort_unstable();
    origins.dedup();
    lines.push(String::new());
    lines.push(format!(
        "Largest error over all cases as a share of the largest value that was recorded; `equal` \
         where every level or id is the same; empty where nothing was recorded. Recorded with {}. \
         The numbers are those of `{RECORDS}`.",
        origins.join("; ")
    ));
    lines.join("\n")
}

/// A seam's name without the number of its layer, and that.
fn numbered(seam: &str) -> (&str, Option<usize>) {
    match seam.rsplit_once('_') {
        Some((stem, number)) if number.parse::<usize>().is_ok() => (stem, number.parse().ok()),
        _ => (seam, None),
    }
}

fn cell(record: &Parity, seam: &str) -> String {
    let Some(found) = record.seams.iter().find(|known| known.seam == seam) else {
        return String::new();
    };
    match found.worst {
        Worst::Exact { differing: 0 } => "equal".to_owned(),
        Worst::Exact { differing } => format!("{differing} differ"),
        Worst::Close { error: 0.0, .. } => "0".to_owned(),
        Worst::Close { error, largest } => format!("{:.1e}", error / largest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seams_of_several_records_share_rows_in_the_order_of_a_sample() {
        let record = |model: &str, seams: &[&str]| Parity {
            model: model.to_owned(),
            reference: "other".to_owned(),
            cases: 2,
            seams: seams
                .iter()
                .map(|seam| Seam {
                    seam: (*seam).to_owned(),
                    worst: Worst::Close { error: 1e-6, largest: 2.0 },
                })
                .collect(),
        };
        let seams = [&["tiles", "h_0", "logits"][..], &["tiles", "h_1", "norm", "logits"]];
        let text = table(&[record("a", seams[0]), record("b", seams[1])]);
        let names = text.lines().skip(3).map_while(|row| row.split('`').nth(1));
        let names: Vec<&str> = names.take(5).collect();
        assert_eq!(names, ["tiles", "h_0", "h_1", "norm", "logits"]);
        assert!(text.contains("| `norm` |  | 5.0e-7 |"), "{text}");
    }
}
