//! What was measured, as a record and as a table.

use super::load::Asked;
use crate::{Environment, quantile};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::time::Duration;

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The model.
    pub model: String,
    /// Its digest.
    pub model_sha256: Option<String>,
    /// The generated suite that is asked about; records from when there was but one do not say it.
    #[serde(default = "nano")]
    pub suite: String,
    /// Options of the server beside its address.
    pub server: Vec<String>,
    /// Different requests: questions about generated pictures.
    pub requests: usize,
    /// Rounds, each of which runs every cell once, in turn.
    pub rounds: usize,
    /// Seconds of a cell in a round.
    pub seconds: f64,
    /// Load of the machine by other programs before the first round, over a minute, where the
    /// system tells it.
    pub load_before: Option<f64>,
}

fn nano() -> String {
    "nano".to_owned()
}

/// Clients at a budget under closed load; all rounds together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Clients that asked at once.
    pub clients: usize,
    /// The budget.
    pub budget: String,
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that were not, for any reason.
    pub failed: usize,
    /// Answers that were others than those of `visor ask`.
    pub wrong: usize,
    /// Answers a second: the median of the rounds.
    pub throughput: f64,
    /// Answers a second of each round.
    pub rounds: Vec<f64>,
    /// Milliseconds to the whole answer: half of the requests took no longer.
    pub p50_ms: f64,
    /// The same for 95 of a hundred.
    pub p95_ms: f64,
    /// The same for 99 of a hundred.
    pub p99_ms: f64,
    /// Mean GFLOPs of an answer, end to end.
    pub gflops: f64,
}

/// An overload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overload {
    /// Whether budgets were lowered.
    pub degrade: bool,
    /// Requests a second that arrived.
    pub rate: f64,
    /// Seconds within which an answer counts.
    pub limit_s: f64,
    /// Requests that arrived.
    pub arrived: usize,
    /// Requests that were answered in time.
    pub in_time: usize,
    /// Requests that were told to come back later.
    pub refused: usize,
    /// Requests that got another error, or none.
    pub failed: usize,
    /// Answers that were late.
    pub late: usize,
    /// Mean GFLOPs of an answer, end to end.
    pub gflops: f64,
}

/// Memory of the server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Requests so far.
    pub requests: usize,
    /// Its resident set in bytes.
    pub rss_bytes: u64,
}

/// A server under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServeRecord {
    /// Of this form.
    pub schema_version: u32,
    /// Where.
    pub environment: Environment,
    /// How.
    pub settings: Settings,
    /// Closed load.
    pub cells: Vec<Cell>,
    /// Open load.
    pub overloads: Vec<Overload>,
    /// Memory after so many requests.
    pub memory: Vec<Memory>,
}

impl ServeRecord {
    /// The form of this version.
    pub const SCHEMA: u32 = 1;

    /// Tables for people.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| clients | budget | answers/s | p50 ms | p95 ms | p99 ms | GFLOPs | answered | failed | wrong |\n\
             |--:|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for cell in &self.cells {
            let Cell { clients, budget, throughput, p50_ms, p95_ms, p99_ms, gflops, .. } = cell;
            let Cell { answered, failed, wrong, .. } = cell;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {clients} | `{budget}` | {throughput:.1} | {p50_ms:.1} | {p95_ms:.1} | {p99_ms:.1} \
                 | {gflops:.5} | {answered} | {failed} | {wrong} |"
            );
        }
        if !self.overloads.is_empty() {
            text.push_str(
                "\n| overload | arrive/s | in time | late | refused | failed | GFLOPs |\n\
                 |---|--:|--:|--:|--:|--:|--:|\n",
            );
        }
        for overload in &self.overloads {
            let Overload { rate, in_time, late, refused, failed, gflops, .. } = overload;
            let name = if overload.degrade { "budgets fall" } else { "budgets stay" };
            let _ = writeln!(
                text,
                "| {name} | {rate:.0} | {in_time} | {late} | {refused} | {failed} | {gflops:.5} |"
            );
        }
        if !self.memory.is_empty() {
            text.push_str("\n| requests | resident MB |\n|--:|--:|\n");
        }
        for Memory { requests, rss_bytes } in &self.memory {
            let _ = writeln!(text, "| {requests} | {:.1} |", *rss_bytes as f64 / 1e6);
        }
        text
    }
}

impl Cell {
    /// Of the rounds of a cell, each of which took `time`.
    pub fn new(clients: usize, budget: &str, rounds: &[Vec<Asked>], time: Duration) -> Self {
        let good = |asked: &&Asked| asked.status == Some(200);
        let all: Vec<&Asked> = rounds.iter().flatten().collect();
        let answered: Vec<&Asked> = rounds.iter().flatten().filter(good).collect();
        let times: Vec<f64> = answered.iter().map(|asked| asked.time.as_secs_f64() * 1e3).collect();
        let of_times = |share| quantile(&times, share).unwrap_or(0.0);
        let per_second =
            |round: &Vec<Asked>| round.iter().filter(good).count() as f64 / time.as_secs_f64();
        let rounds: Vec<f64> = rounds.iter().map(per_second).collect();
        Self {
            clients,
            budget: budget.to_owned(),
            answered: answered.len(),
            failed: all.len() - answered.len(),
            wrong: answered.iter().filter(|asked| asked.wrong).count(),
            throughput: quantile(&rounds, 0.5).unwrap_or(0.0),
            rounds,
            p50_ms: of_times(0.5),
            p95_ms: of_times(0.95),
            p99_ms: of_times(0.99),
            gflops: mean(&answered),
        }
    }
}

impl Overload {
    /// Of an open load.
    pub fn new(degrade: bool, rate: f64, limit: Duration, asked: &[Asked]) -> Self {
        let answered: Vec<&Asked> = asked.iter().filter(|one| one.status == Some(200)).collect();
        let in_time = answered.iter().filter(|one| one.time <= limit).count();
        let refused = asked.iter().filter(|one| one.status == Some(429)).count();
        Self {
            degrade,
            rate,
            limit_s: limit.as_secs_f64(),
            arrived: asked.len(),
            in_time,
            refused,
            failed: asked.len() - answered.len() - refused,
            late: answered.len() - in_time,
            gflops: mean(&answered),
        }
    }
}

fn mean(answered: &[&Asked]) -> f64 {
    let gflops: Vec<f64> = answered.iter().filter_map(|asked| asked.gflops).collect();
    if gflops.is_empty() { 0.0 } else { gflops.iter().sum::<f64>() / gflops.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(status: Option<u16>, ms: u64, wrong: bool) -> Asked {
        Asked { status, time: Duration::from_millis(ms), wrong, gflops: Some(2.0) }
    }

    #[test]
    fn a_cell_counts_what_was_answered_and_orders_times() {
        let rounds = [
            (1..=99).map(|ms| asked(Some(200), ms, ms == 7)).collect::<Vec<_>>(),
            vec![asked(None, 1, false), asked(Some(500), 1, false), asked(Some(200), 100, false)],
        ];
        let cell = Cell::new(4, "sa1", &rounds, Duration::from_secs(2));
        assert_eq!((cell.answered, cell.failed, cell.wrong), (100, 2, 1));
        assert_eq!((cell.rounds, cell.throughput), (vec![49.5, 0.5], 25.0));
        assert_eq!((cell.p50_ms, cell.gflops), (50.5, 2.0));
        assert!((cell.p99_ms - 99.01).abs() < 1e-9, "{}", cell.p99_ms);
    }

    #[test]
    fn an_overload_tells_what_was_in_time_late_refused_and_failed() {
        let all = [
            asked(Some(200), 10, false),
            asked(Some(200), 30, false),
            asked(Some(429), 1, false),
            asked(Some(504), 1, false),
            asked(None, 1, false),
        ];
        let overload = Overload::new(true, 9.0, Duration::from_millis(20), &all);
        let Overload { in_time, late, refused, failed, .. } = overload;
        assert_eq!((in_time, late, refused, failed), (1, 1, 1, 2));
    }
}
