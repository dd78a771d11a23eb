//! Tables of time: every measured stage beside the machine's limit and the peer, and every kernel
//! beside burn's operations.

pub(super) mod summary;

use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Written by `visor bench speed`, one folder or file a run.
const RECORDS: &str = "benches/results/speed/";

/// Written by `visor bench speed --selector --pixels N`, one a size of picture.
const CROSSOVER: &str = "benches/results/crossover/";

/// Written by `kernel-speed`, one a number of threads.
const KERNELS: &str = "benches/results/kernels/";

#[derive(Deserialize)]
struct Record {
    schema_version: u32,
    environment: Environment,
    model: Model,
    settings: Settings,
    load: Option<[f64; 2]>,
    peer: Option<String>,
    ceilings: Vec<Ceiling>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Environment {
    cpu: String,
    cpus: usize,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    sha256: Option<String>,
    dtype: String,
}

#[derive(Deserialize)]
struct Settings {
    clock: String,
    repetitions: String,
}

#[derive(Deserialize)]
struct Ceiling {
    threads: usize,
    matmul_gflops: f64,
    copy_gb_per_s: f64,
    read_gb_per_s: f64,
}

#[derive(Deserialize)]
struct Row {
    stage: String,
    budget: Option<String>,
    /// Older records have single precision alone.
    dtype: Option<String>,
    threads: usize,
    batch: usize,
    tiles: usize,
    visual_tokens: Option<usize>,
    prompt_tokens: usize,
    gflops: Option<f64>,
    bytes: Option<u64>,
    ms: Times,
    peak_rss_bytes: Option<u64>,
    kept_bytes: Option<u64>,
    peer_ms: Option<Times>,
    ratio: Option<f64>,
}

impl Row {
    /// Milliseconds below which it cannot come by the machine's ceilings. That of products is one of
    /// single precision: how fast whole numbers could be multiplied was not measured.
    fn limit(&self, ceilings: &[Ceiling]) -> Option<f64> {
        let ceiling = ceilings.iter().find(|ceiling| ceiling.threads == self.threads)?;
        let compute = self.gflops? / ceiling.matmul_gflops;
        let memory = self.bytes? as f64 / 1e9 / ceiling.read_gb_per_s;
        let unknown = compute > memory && self.dtype.as_deref() == Some("int8");
        (!unknown).then_some(1e3 * compute.max(memory))
    }

    /// Whether another row differs by nothing but the budget.
    fn beside(&self, other: &Self) -> bool {
        let key =
            |row: &Self| (row.stage.clone(), row.dtype.clone(), row.threads, row.batch, row.tiles);
        key(self) == key(other)
    }
}

#[derive(Deserialize)]
struct Times {
    median: f64,
    spread: f64,
}

#[derive(Deserialize)]
struct Kernels {
    threads: usize,
    clock: String,
    kernels: Vec<Kernel>,
}

#[derive(Deserialize)]
struct Kernel {
    name: String,
    size: String,
    burn_ms: Times,
    kernel_ms: Times,
    ratio: f64,
}

/// The content of the block `speed`: a section a record, by name.
pub(super) fn stages(repo: &Repo) -> Result<String> {
    let mut text = String::new();
    for (file, json) in records(repo, RECORDS) {
        let record: Record = serde_json::from_str(&json).context(file.clone())?;
        ensure!(record.schema_version == 1, "{file}: schema version {}", record.schema_version);
        text.push_str(&section(&file, &record));
    }
    Ok(text)
}

/// The content of the block `crossover`: prefill of rungs that read chosen patches beside the same
/// rungs that read all.
pub(super) fn crossover(repo: &Repo) -> Result<String> {
    let mut lines = Vec::new();
    for (file, json) in records(repo, CROSSOVER) {
        let record: Record = serde_json::from_str(&json).context(file)?;
        for row in record.rows.iter().filter(|row| row.stage == "prefill") {
            let Some((rung, patches)) = row.budget.as_deref().and_then(|name| name.split_once(':'))
            else {
                continue;
            };
            let of_rung = |other: &&Row| other.budget.as_deref() == Some(rung) && other.beside(row);
            let all = record.rows.iter().find(of_rung).context("the rung itself was not timed")?;
            let tokens = row.visual_tokens.context("visual tokens")?;
            let side = 16 * tokens.isqrt();
            let (before, after) = (all.ms.median, row.ms.median);
            let line = format!(
                "| {} | {side} | {tokens} | {rung} | {patches} | {} | {} | {:.2} |\n",
                record.model.name,
                figure(before),
                figure(after),
                after / before
            );
            lines.push((record.model.name.clone(), side, line));
        }
    }
    lines.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Ok(format!(
        "| shape | pixels | visual tokens | rung | patches | all, ms | chosen, ms | ratio |\n\
         |---|--:|--:|---|--:|--:|--:|--:|\n{}\n",
        lines.into_iter().map(|(_, _, line)| line).collect::<String>()
    ))
}

/// The content of the block `kernels`.
pub(super) fn kernels(repo: &Repo) -> Result<String> {
    let mut text = String::new();
    for (file, json) in records(repo, KERNELS) {
        let Kernels { threads, clock, kernels } = serde_json::from_str(&json).context(file)?;
        text.push_str(&format!(
            "Threads: {threads}. Clock: {clock}.\n\n\
             | kernel | size | burn, ms | kernel, ms | ratio |\n|---|---|--:|--:|--:|\n"
        ));
        for Kernel { name, size, burn_ms, kernel_ms, ratio } in kernels {
            let (burn, kernel) = (figure(burn_ms.median), figure(kernel_ms.median));
            text.push_str(&format!("| {name} | {size} | {burn} | {kernel} | {ratio:.2} |\n"));
        }
        text.push('\n');
    }
    Ok(text)
}

/// The JSON files of a folder, in order.
fn records(repo: &Repo, folder: &'static str) -> Vec<(String, String)> {
    let inside = |file: &str| file.starts_with(folder) && file.ends_with(".json");
    let found = repo.texts().filter(|(file, _)| inside(file));
    found.map(|(file, text)| (file.to_owned(), text)).collect()
}

fn section(file: &str, record: &Record) -> String {
    let Record { environment, model, settings, load, peer, ceilings, rows, .. } = record;
    let weights = if model.sha256.is_some() { "its own weights" } else { "random weights" };
    let load = load.map_or_else(String::new, |[before, after]| {
        format!(" Load of the machine: {before:.1} before, {after:.1} after.")
    });
    let mut text = format!(
        "### {}\n\n`{file}`: {weights}, {}, {}, {} processors; clock: {}; {} rounds.{load}",
        model.name,
        model.dtype,
        environment.cpu,
        environment.cpus,
        settings.clock,
        settings.repetitions
    );
    for Ceiling { threads, matmul_gflops, copy_gb_per_s, read_gb_per_s } in ceilings {
        text.push_str(&format!(
            " Ceilings, {threads} thread{}: {} GFLOP/s, copies {} GB/s, reads {} GB/s.",
            if *threads == 1 { "" } else { "s" },
            figure(*matmul_gflops),
            figure(*copy_gb_per_s),
            figure(*read_gb_per_s)
        ));
    }
    if let Some(peer) = peer {
        text.push_str(&format!(" Peer: {peer}."));
    }
    text.push_str(
        "\n\n| stage | budget | weights | tiles | batch | threads | prompt | GFLOP | MB | limit, ms | \
         time, ms | spread | reached | peak MB | kept MB | peer, ms | ratio |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    rows.iter().for_each(|row| text.push_str(&line(row, ceilings)));
    text.push('\n');
    text.push_str(&savings(rows, ceilings));
    text
}

/// What rungs save of dense: by FLOPs, by the machine's limits, by the clock; nothing where dense
/// was not timed beside a rung.
fn savings(rows: &[Row], ceilings: &[Ceiling]) -> String {
    let is_dense = |row: &&Row| row.budget.as_deref() == Some("dense");
    let of_rung = |row: &Row| {
        let rung = row.budget.as_deref().filter(|name| *name != "dense")?;
        let dense = rows.iter().filter(is_dense).find(|dense| dense.beside(row))?;
        let flops = dense.gflops? / row.gflops?;
        let predicted = dense.limit(ceilings)? / row.limit(ceilings)?;
        let measured = dense.ms.median / row.ms.median;
        let weights = row.dtype.as_deref().unwrap_or("f32");
        Some(format!(
            "| {} | {rung} | {weights} | {} | {} | {} | {flops:.2} | {predicted:.2} | \
             {measured:.2} | {:.2} |\n",
            row.stage,
            row.tiles,
            row.batch,
            row.threads,
            measured / predicted
        ))
    };
    let lines: String = rows.iter().filter_map(of_rung).collect();
    if lines.is_empty() {
        return lines;
    }
    format!(
        "| stage | rung | weights | tiles | batch | threads | dense over rung, FLOPs | by the \
         limits | by the clock | of the prediction |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|\n{lines}\n"
    )
}

fn line(row: &Row, ceilings: &[Ceiling]) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let limit = row.limit(ceilings);
    let cells = [
        row.stage.clone(),
        or_dash(row.budget.clone()),
        row.dtype.clone().unwrap_or_else(|| "f32".to_owned()),
        row.tiles.to_string(),
        row.batch.to_string(),
        row.threads.to_string(),
        row.prompt_tokens.to_string(),
        or_dash(row.gflops.map(figure)),
        or_dash(row.bytes.map(|bytes| figure(bytes as f64 / 1e6))),
        or_dash(limit.map(figure)),
        figure(row.ms.median),
        format!("{:.0} %", 100.0 * row.ms.spread),
        or_dash(limit.map(|limit| format!("{:.0} %", 100.0 * limit / row.ms.median))),
        or_dash(row.peak_rss_bytes.map(|bytes| (bytes >> 20).to_string())),
        or_dash(row.kept_bytes.map(|bytes| figure(bytes as f64 / 1e6))),
        or_dash(row.peer_ms.as_ref().map(|peer| figure(peer.median))),
        or_dash(row.ratio.map(|ratio| format!("{ratio:.2}"))),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Three digits that count.
pub(super) fn figure(value: f64) -> String {
    let digits = 2 - value.abs().max(1e-9).log10().floor() as i32;
    format!("{value:.*}", usize::try_from(digits.clamp(0, 6)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const SAMPLE: &str = r#"{
        "schema_version": 1,
        "environment": {"cpu": "a processor", "cpus": 2},
        "model": {"name": "m", "sha256": null, "dtype": "f32"},
        "settings": {"clock": "wall", "repetitions": "5"},
        "load": [0.5, 1.0], "peer": "another",
        "ceilings": [{"threads": 1, "matmul_gflops": 100.0, "copy_gb_per_s": 9.0,
                      "read_gb_per_s": 10.0}],
        "rows": [
            {"stage": "decode", "budget": "dense", "threads": 1, "batch": 1, "tiles": 1,
             "prompt_tokens": 94, "gflops": 0.1, "bytes": 500000000,
             "ms": {"median": 100.0, "spread": 0.02}, "peak_rss_bytes": 1048576,
             "peer_ms": {"median": 200.0, "spread": 0.1}, "ratio": 0.5},
            {"stage": "decode", "budget": "sa0", "threads": 1, "batch": 1, "tiles": 1,
             "prompt_tokens": 94, "gflops": 0.05, "bytes": 250000000,
             "ms": {"median": 62.5, "spread": 0.02}, "peak_rss_bytes": null,
             "kept_bytes": 1500000, "peer_ms": null, "ratio": null},
            {"stage": "preprocess", "budget": null, "threads": 2, "batch": 1, "tiles": 1,
             "prompt_tokens": 94, "gflops": null, "bytes": null,
             "ms": {"median": 1.25, "spread": 0.0}, "peak_rss_bytes": null, "peer_ms": null,
             "ratio": null}
        ]
    }"#;

    #[test]
    fn a_stage_stands_beside_its_limit_and_the_peer() {
        let record: Record = serde_json::from_str(SAMPLE).expect("a record");
        let text = section("a.json", &record);
        // 500 MB at 10 GB/s are 50 ms, half of the time.
        assert!(text.contains("| 500 | 50.0 | 100 | 2 % | 50 % | 1 | - | 200 | 0.50 |"), "{text}");
        assert!(
            text.contains("| preprocess | - | f32 | 1 | 1 | 2 | 94 | - | - | - | 1.25 |"),
            "{text}"
        );
        // Half of the bytes, and 1.6 times as fast.
        assert!(text.contains("| decode | sa0 | f32 | 1 | 1 | 1 | 2.00 | 2.00 | 1.60 | 0.80 |"));
        assert!(text.contains("Ceilings, 1 thread: 100 GFLOP/s"), "{text}");
    }
}
