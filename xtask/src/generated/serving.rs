//! The tables of serving: closed loads and overloads of every record.

use super::speed::figure;
use crate::repo::Repo;
use anyhow::{Context, Result};
use serde::Deserialize;

/// Written by `visor bench serve`, one a run.
const RECORDS: &str = "benches/results/serve-";

#[derive(Deserialize)]
struct Record {
    environment: Environment,
    settings: Settings,
    cells: Vec<Cell>,
    overloads: Vec<Overload>,
}

#[derive(Deserialize)]
struct Environment {
    cpus: usize,
}

#[derive(Deserialize)]
struct Settings {
    model: String,
    server: Vec<String>,
    requests: usize,
    rounds: usize,
    seconds: f64,
    load_before: Option<f64>,
}

#[derive(Deserialize)]
struct Cell {
    clients: usize,
    budget: String,
    answered: usize,
    failed: usize,
    wrong: usize,
    throughput: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    gflops: f64,
}

#[derive(Deserialize)]
struct Overload {
    degrade: bool,
    rate: f64,
    limit_s: f64,
    arrived: usize,
    in_time: usize,
    late: usize,
    refused: usize,
    failed: usize,
    gflops: f64,
}

/// The content of the block `serving`.
pub(super) fn block(repo: &Repo) -> Result<String> {
    let files =
        repo.texts().filter(|(file, _)| file.starts_with(RECORDS) && file.ends_with(".json"));
    let parse = |(file, text): (&str, String)| {
        let record = serde_json::from_str(&text).with_context(|| file.to_owned())?;
        Ok((file.trim_start_matches("benches/results/").to_owned(), record))
    };
    Ok(tables(&files.map(parse).collect::<Result<Vec<(String, Record)>>>()?))
}

fn tables(records: &[(String, Record)]) -> String {
    let made: String = records.iter().map(|(file, record)| how(file, record)).collect();
    let rows: String = records.iter().flat_map(|(file, record)| cells(file, record)).collect();
    let overloads: String =
        records.iter().flat_map(|(file, record)| overloads(file, record)).collect();
    format!(
        "{made}\n\
         | record | clients | budget | answers/s | p50, ms | p95, ms | p99, ms | GFLOPs | answered \
         | failed | wrong |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|\n{rows}\n\
         | record | overload | arrive/s | limit, s | arrived | in time | late | refused | failed \
         | GFLOPs |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n{overloads}"
    )
}

fn how(file: &str, record: &Record) -> String {
    let Settings { model, server, requests, rounds, seconds, load_before } = &record.settings;
    let server = match server.as_slice() {
        [] => String::new(),
        options => format!(", server with `{}`", options.join(" ")),
    };
    let load = load_before
        .map_or_else(String::new, |load| format!(", load of the machine {load:.1} before"));
    format!(
        "* `{file}`: {model}, {requests} requests, {rounds} rounds of {seconds} s{server}; {} \
         processors{load}.\n",
        record.environment.cpus
    )
}

fn cells(file: &str, record: &Record) -> Vec<String> {
    let row = |cell: &Cell| {
        let Cell { clients, budget, answered, failed, wrong, .. } = cell;
        let measured = [cell.throughput, cell.p50_ms, cell.p95_ms, cell.p99_ms, cell.gflops];
        format!(
            "| `{file}` | {clients} | {budget} | {} | {answered} | {failed} | {wrong} |\n",
            measured.map(figure).join(" | ")
        )
    };
    record.cells.iter().map(row).collect()
}

fn overloads(file: &str, record: &Record) -> Vec<String> {
    let row = |overload: &Overload| {
        let Overload { limit_s, arrived, in_time, late, refused, failed, .. } = overload;
        let name = if overload.degrade { "budgets fall" } else { "budgets stay" };
        format!(
            "| `{file}` | {name} | {} | {limit_s} | {arrived} | {in_time} | {late} | {refused} | \
             {failed} | {} |\n",
            figure(overload.rate),
            figure(overload.gflops)
        )
    };
    record.overloads.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{
        "environment": {"cpus": 2},
        "settings": {"model": "m", "server": ["--threads=1", "--picture-cache=0"], "requests": 64,
                     "rounds": 2, "seconds": 60.0, "load_before": 2.96},
        "cells": [{"clients": 64, "budget": "auto", "answered": 210033, "failed": 1, "wrong": 2,
                   "throughput": 1750.275, "p50_ms": 35.209334, "p95_ms": 51.3, "p99_ms": 56.86,
                   "gflops": 0.0124590}],
        "overloads": [{"degrade": true, "rate": 510.9, "limit_s": 1.0, "arrived": 10218,
                       "in_time": 1408, "refused": 7300, "failed": 1436, "late": 74,
                       "gflops": 0.337828}]
    }"#;

    #[test]
    fn a_record_of_serving_is_how_it_was_made_and_a_row_a_load() {
        let record: Record = serde_json::from_str(SAMPLE).expect("a record");
        let text = tables(&[("serve-m.json".to_owned(), record)]);
        for expected in [
            "* `serve-m.json`: m, 64 requests, 2 rounds of 60 s, server with `--threads=1 \
             --picture-cache=0`; 2 processors, load of the machine 3.0 before.",
            "| `serve-m.json` | 64 | auto | 1750 | 35.2 | 51.3 | 56.9 | 0.0125 | 210033 | 1 | 2 |",
            "| `serve-m.json` | budgets fall | 511 | 1 | 10218 | 1408 | 74 | 7300 | 1436 | 0.338 |",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
