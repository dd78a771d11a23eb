//! `visor bench speed` on shapes and on the shipped model.

use crate::common::{Ended, contents, visor};
use serde_json::Value;
use tempfile::TempDir;

/// The smallest measurement there is.
fn speed(more: &[&str]) -> Ended {
    let mut args = vec!["bench", "speed", "--text-tokens", "8", "--threads", "1"];
    if !more.contains(&"--new-tokens") {
        args.extend(["--new-tokens", "2"]);
    }
    visor([&args, more].concat())
}

#[test]
fn every_combination_of_lists_has_a_row_and_a_record() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("speed");
    let path = out.to_str().unwrap();
    let table =
        speed(&["--shape", "nano", "--batch", "1-2", "--budgets", "sa0,sa3", "--out", path])
            .answer();
    assert_eq!(contents(&out).len(), 1);
    let old = out.join("record.json");
    let record: Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
    let rows = record["rows"].as_array().unwrap();
    // Two stages of pictures, four at two budgets, each at two batches.
    assert_eq!(rows.len(), (2 + 4 * 2) * 2, "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), 2 + rows.len());
    for row in rows {
        assert_eq!(row["ms"]["samples"].as_array().unwrap().len(), 5, "{row}");
        assert!(row["ms"]["median"].as_f64().unwrap() > 0.0, "{row}");
    }
    let of = |stage: &str, batch: u64| {
        let found = rows.iter().find(|row| row["stage"] == stage && row["batch"] == batch);
        found.and_then(|row| row["gflops"].as_f64()).unwrap()
    };
    assert!((of("encode", 2) / of("encode", 1) - 2.0).abs() < 1e-9);
    let ceiling = &record["ceilings"][0];
    assert!(ceiling["matmul_gflops"].as_f64().unwrap() > 0.0, "{ceiling}");
    // A record that was ten thousand times faster is a regression, one that lacks nothing is not.
    let mut impossible = record.clone();
    for row in impossible["rows"].as_array_mut().unwrap() {
        row["ms"]["median"] = (row["ms"]["median"].as_f64().unwrap() / 1e4).into();
    }
    std::fs::write(&old, impossible.to_string()).unwrap();
    let again = ["--shape", "nano", "--batch", "1-2", "--budgets", "sa0,sa3", "--compare"];
    let ended = speed(&[&again[..], &[old.to_str().unwrap()]].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("slower past the threshold"), "{}", ended.stderr);
}

#[test]
fn stages_of_the_shipped_model_are_timed_by_name() {
    let args = ["--stages", "decode", "--budgets", "sa1", "--format", "csv"];
    let csv = speed(&args).answer();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[1].starts_with("decode,sa1,1,1,1,cpu,"), "{csv}");
}

#[test]
fn what_cannot_be_timed_is_named_with_what_can() {
    for (args, code, says) in [
        (vec!["--shape", "gpt"], 2, "smolvlm-256m"),
        (vec!["--budgets", "sa9"], 2, "sa0"),
        (vec!["--tiles", "4"], 2, "it makes 1"),
        (vec!["--tiles", "0"], 2, "ranges"),
        (vec!["--new-tokens", "60000"], 2, "context"),
        (vec!["--repetitions", "4"], 2, "4"),
        (vec!["--clock", "sun"], 2, "wall or cpu"),
        (vec!["--stages", "dream"], 2, "prefill"),
        (vec!["--compare", "no-such-file.json"], 1, "no-such-file.json"),
        (vec!["--peer", "transformers", "--python", "no-such-python"], 1, "--python"),
        (vec!["--shape", "nano", "--model", "nano"], 2, "--model"),
    ] {
        let error = speed(&args).error(code);
        assert!(error.contains(says), "{args:?}: {error}");
    }
}
