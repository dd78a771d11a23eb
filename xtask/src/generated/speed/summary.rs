//! The README's share of the tables of time: what a user would run instead, stage by stage, and what
//! rungs save of a long prefill.

use super::{RECORDS, Record, Row, figure, records};
use crate::repo::Repo;
use anyhow::{Context, Result};

/// The record whose rungs are shown: most visual tokens of those that have several, with weights in the order of products.
const RUNGS: &str = "benches/results/speed/llava-ov-0.5b-10-crops-2-threads.json";

/// The content of the block `speeds`.
pub(in crate::generated) fn block(repo: &Repo) -> Result<String> {
    let (mut peers, mut rungs) = (String::new(), String::new());
    for (file, json) in records(repo, RECORDS) {
        let record: Record = serde_json::from_str(&json).context(file.clone())?;
        peers.push_str(&beside_peer(&record));
        if file == RUNGS {
            rungs.push_str(&of_dense(&record.rows));
        }
    }
    Ok(format!(
        "| shape | tiles | threads | GFLOP/s a thread | stage | weights | ours, ms | transformers' format | transformers, ms | ratio |\n\
         |---|--:|--:|--:|---|---|--:|---|--:|--:|\n{peers}\n\
         Prefill of 7,401 tokens (LLaVA-OneVision-0.5B, 10 crops), dense over rung:\n\n\
         | rung | by FLOPs | by the clock |\n|---|--:|--:|\n{rungs}\n"
    ))
}

/// Stages that a peer was timed beside. Weights that are not in the peer's format are shown where
/// nothing else can be had in theirs.
fn beside_peer(record: &Record) -> String {
    let Some(peer) = &record.peer else { return String::new() };
    let format = ["bf16", "f16"].into_iter().find(|format| peer.contains(&format!(", {format},")));
    let format = format.unwrap_or("f32");
    let line = |row: &Row| {
        let (theirs, ratio) = (row.peer_ms.as_ref()?.median, row.ratio?);
        let weights = row.dtype.as_deref().unwrap_or("f32");
        let comparable = weights == format || weights == "int8";
        let ceiling = record.ceilings.iter().find(|ceiling| ceiling.threads == row.threads);
        comparable.then(|| {
            format!(
                "| {} | {} | {} | {} | {} | {weights} | {} | {format} | {} | {ratio:.2} |\n",
                record.model.name,
                row.tiles,
                row.threads,
                ceiling.map_or_else(
                    || "-".to_owned(),
                    |ceiling| { figure(ceiling.matmul_gflops / ceiling.threads as f64) }
                ),
                row.stage,
                figure(row.ms.median),
                figure(theirs)
            )
        })
    };
    record.rows.iter().filter_map(line).collect()
}

fn of_dense(rows: &[Row]) -> String {
    let prefill = |row: &&Row| row.stage == "prefill";
    let dense = rows.iter().filter(prefill).find(|row| row.budget.as_deref() == Some("dense"));
    let line = |row: &Row| {
        let (rung, dense) = (row.budget.as_deref().filter(|name| *name != "dense")?, dense?);
        let (flops, clock) = (dense.gflops? / row.gflops?, dense.ms.median / row.ms.median);
        Some(format!("| `{rung}` | {flops:.1} | {clock:.1} |\n"))
    };
    rows.iter().filter(prefill).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::SAMPLE;
    use super::*;

    #[test]
    fn a_stage_stands_beside_transformers_in_the_same_format_or_fewer_bytes() {
        let record = |text: &str| serde_json::from_str::<Record>(text).expect("a record");
        let same = beside_peer(&record(SAMPLE));
        assert_eq!(same, "| m | 1 | 1 | 100 | decode | f32 | 100 | f32 | 200 | 0.50 |\n");
        let other = SAMPLE.replace("\"another\"", "\"another 5, bf16, sdpa\"");
        assert_eq!(beside_peer(&record(&other)), "");
    }

    #[test]
    fn a_rung_tells_how_much_of_dense_it_saves() {
        let sample = SAMPLE.replace("\"decode\"", "\"prefill\"");
        let record: Record = serde_json::from_str(&sample).expect("a record");
        assert_eq!(of_dense(&record.rows), "| `sa0` | 2.0 | 1.6 |\n");
    }
}
