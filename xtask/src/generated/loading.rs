//! The table of loading: time and memory by published shape.

use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;

/// Written by `load-memory`, one a shape.
const RECORDS: &str = "benches/results/load/";

#[derive(Deserialize)]
struct Loading {
    name: String,
    load_before: Option<f64>,
    tensors: usize,
    parameters: u64,
    file_bytes: u64,
    /// Older records have single precision alone.
    dtype: Option<String>,
    weight_bytes: u64,
    first_load_ms: f64,
    load_ms: Spread,
    load_cpu_ms: Spread,
    peak_anonymous_bytes: u64,
    ratio: f64,
    held_anonymous_bytes: Option<u64>,
    inspect_ms: Option<Spread>,
}

#[derive(Deserialize)]
struct Spread {
    median: f64,
    min: f64,
}

/// The content of the block `loading`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    let files =
        repo.texts().filter(|(file, _)| file.starts_with(RECORDS) && file.ends_with(".json"));
    let parse = |(file, text): (&str, String)| {
        serde_json::from_str::<Loading>(&text).with_context(|| file.to_owned())
    };
    let records: Vec<Loading> = files.map(parse).collect::<Result<_>>()?;
    Ok(table(&records))
}

fn table(records: &[Loading]) -> String {
    let header = [
        "shape",
        "tensors",
        "parameters",
        "file, MB",
        "weights in f32, MB",
        "held in",
        "first load, s",
        "load, s (fastest)",
        "processor time, s",
        "own memory at most, MB",
        "of the weights in f32",
        "once loaded",
        "inspect, ms (fastest)",
        "load of the machine",
    ];
    let mut lines = vec![
        format!("| {} |", header.join(" | ")),
        format!("|---|{}", "--:|".repeat(header.len() - 1)),
    ];
    let megabytes = |bytes: u64| format!("{:.0}", bytes as f64 / 1e6);
    lines.extend(records.iter().map(|record| {
        let seconds = |ms: f64| format!("{:.2}", ms / 1e3);
        let cells = [
            record.name.clone(),
            record.tensors.to_string(),
            record.parameters.to_string(),
            megabytes(record.file_bytes),
            megabytes(record.weight_bytes),
            record.dtype.clone().unwrap_or_else(|| "f32".to_owned()),
            seconds(record.first_load_ms),
            format!("{} ({})", seconds(record.load_ms.median), seconds(record.load_ms.min)),
            seconds(record.load_cpu_ms.median),
            megabytes(record.peak_anonymous_bytes),
            format!("{:.3}", record.ratio),
            record.held_anonymous_bytes.map_or("-".to_owned(), |held| {
                format!("{:.3}", held as f64 / record.weight_bytes as f64)
            }),
            record.inspect_ms.as_ref().map_or("-".to_owned(), |inspect| {
                format!("{:.0} ({:.0})", inspect.median, inspect.min)
            }),
            record.load_before.map_or("-".to_owned(), |load| format!("{load:.1}")),
        ];
        format!("| {} |", cells.join(" | "))
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_a_row() {
        let record = r#"{"name": "x", "load_before": 1.25, "tensors": 3, "parameters": 1000000,
            "file_bytes": 2000000, "weight_bytes": 4000000, "dtype": "int8", "held_anonymous_bytes": 1000000, "first_load_ms": 900.0,
            "load_ms": {"median": 512.0, "min": 498.0},
            "load_cpu_ms": {"median": 470.0, "min": 460.0}, "peak_anonymous_bytes": 4100000,
            "ratio": 1.025, "inspect_ms": null}"#;
        let record: Loading = serde_json::from_str(record).expect("a record");
        let table = table(&[record]);
        let row = table.lines().last().expect("a row");
        let expected = "| x | 3 | 1000000 | 2 | 4 | int8 | 0.90 | 0.51 (0.50) | 0.47 | 4 | 1.025 | 0.250 | - | 1.2 |";
        assert_eq!(row, expected);
    }
}
