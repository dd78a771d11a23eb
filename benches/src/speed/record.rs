//! What was measured, as it is stored: computed once from what was seen.

use super::ceilings::Ceiling;
use super::plan::{Key, Observed, Plan, Seen};
use super::stage::Stage;
use super::subject::{Example, Level};
use crate::{Environment, quantile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use visor_runtime::Dtype;

/// Version of the file.
pub const SCHEMA_VERSION: u32 = 1;

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Where it was made.
    pub environment: Environment,
    /// Whose time it is.
    pub model: ModelIdentity,
    /// What rows have in common, by name.
    pub settings: BTreeMap<String, String>,
    /// Load averages of one minute before and after, where the system tells them.
    pub load: Option<[f64; 2]>,
    /// The other program, with versions.
    pub peer: Option<String>,
    /// What the machine can do, one a number of threads.
    pub ceilings: Vec<Ceiling>,
    /// One a combination.
    pub rows: Vec<Row>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// Its name, or that of its shape.
    pub name: String,
    /// SHA-256 of its backbone; none for random weights.
    pub sha256: Option<String>,
    /// Number of weights.
    pub parameters: u64,
    /// Number formats of its weights, with commas between.
    pub dtype: String,
}

/// Times of a combination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The stage.
    pub stage: Stage,
    /// The budget; none for stages of pictures, which are the same at every one.
    pub budget: Option<String>,
    /// The device.
    pub device: String,
    /// The number format of weights; older records have one.
    #[serde(default = "single")]
    pub dtype: String,
    /// Threads.
    pub threads: usize,
    /// Requests at once.
    pub batch: usize,
    /// Tiles of a picture.
    pub tiles: usize,
    /// Visual tokens of a prompt.
    pub visual_tokens: usize,
    /// All tokens of a prompt.
    pub prompt_tokens: usize,
    /// What the formulas count for the batch.
    pub gflops: Option<f64>,
    /// Bytes that must at least move.
    pub bytes: Option<u64>,
    /// Times in milliseconds; of decode, those of a step.
    pub ms: Times,
    /// Most memory that was resident while the stage ran.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes that are kept of a picture for further questions, where the stage is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_bytes: Option<u64>,
    /// The peer's times of the same turns.
    pub peer_ms: Option<Times>,
    /// Median over the peer's median.
    pub ratio: Option<f64>,
}

fn single() -> String {
    Dtype::F32.to_string()
}

/// Some times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Half of the times are below.
    pub median: f64,
    /// 95 of 100 are.
    pub p95: f64,
    /// The shortest.
    pub min: f64,
    /// The middle half's width over the median.
    pub spread: f64,
    /// All of them, in the order of the rounds.
    pub samples: Vec<f64>,
}

/// Why a record cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is none.
    #[error("not a record of `visor bench speed`")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("schema version {got}: expected {SCHEMA_VERSION}")]
    Version {
        /// What it says.
        got: u32,
    },
}

impl Times {
    /// Of some times in milliseconds; `None` without any.
    pub fn of(samples: Vec<f64>) -> Option<Self> {
        let at = |share| quantile(&samples, share);
        let (median, p95, min) = (at(0.5)?, at(0.95)?, at(0.0)?);
        let spread = (at(0.75)? - at(0.25)?) / median;
        Some(Self { median, p95, min, spread, samples })
    }
}

/// What a record says beside its rows.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where it was made.
    pub environment: Environment,
    /// Whose time it is.
    pub model: ModelIdentity,
    /// Load averages before and after.
    pub load: Option<[f64; 2]>,
    /// The other program.
    pub peer: Option<String>,
}

impl SpeedRecord {
    /// Puts together what was seen.
    pub fn new(
        plan: &Plan<'_>,
        examples: &[Example],
        observed: &Observed,
        context: Context,
    ) -> Self {
        let row = |(key, seen): (&Key, &Seen)| row(plan, examples, key, seen);
        let Context { environment, model, load, peer } = context;
        Self {
            schema_version: SCHEMA_VERSION,
            environment,
            model,
            settings: settings(plan),
            load,
            peer,
            ceilings: observed.ceilings.clone(),
            rows: observed.rows.iter().filter_map(row).collect(),
        }
    }

    /// Parses a record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let Version { schema_version: got } = serde_json::from_str(json)?;
        match got {
            SCHEMA_VERSION => Ok(serde_json::from_str(json)?),
            _ => Err(RecordError::Version { got }),
        }
    }

    /// Writes it, with a line end.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<String, RecordError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// What the machine can do with so many threads.
    pub fn ceiling(&self, threads: usize) -> Option<&Ceiling> {
        self.ceilings.iter().find(|ceiling| ceiling.threads == threads)
    }
}

impl Row {
    /// What tells it from the other rows of a record, for people.
    pub fn name(&self) -> String {
        let budget = self.budget.as_deref().map_or_else(String::new, |name| format!(" {name}"));
        format!(
            "{}{budget}, {} tiles, batch {}, {} threads, {}",
            self.stage,
            self.tiles,
            self.batch,
            self.threads,
            self.place()
        )
    }

    /// The device, and the number format of weights where it is none of single precision.
    pub fn place(&self) -> String {
        match self.dtype == single() {
            true => self.device.clone(),
            false => format!("{}, {}", self.device, self.dtype),
        }
    }

    /// Milliseconds below which the row cannot come by the machine's ceilings.
    pub fn floor_ms(&self, ceiling: &Ceiling) -> Option<f64> {
        Some(1e3 * ceiling.floor(self.gflops?, self.bytes?))
    }

    /// Tokens a second, where the stage makes or reads tokens.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let tokens = match self.stage {
            Stage::Prefill => self.prompt_tokens,
            Stage::WarmPrefill => self.prompt_tokens - self.visual_tokens,
            Stage::Decode => 1,
            Stage::Preprocess | Stage::Encode | Stage::FirstToken | Stage::EndToEnd => return None,
        };
        Some((tokens * self.batch) as f64 / self.ms.median * 1e3)
    }
}

fn row(plan: &Plan<'_>, examples: &[Example], key: &Key, seen: &Seen) -> Option<Row> {
    let milliseconds = |seconds: &[f64]| Times::of(seconds.iter().map(|s| 1e3 * s).collect());
    let example = &examples[plan.tiles.iter().position(|&tiles| tiles == key.tiles)?];
    let (_, subject) = plan.subjects.iter().find(|(device, subject)| {
        *device == key.device && subject.card().dtype.to_string() == key.dtype
    })?;
    let level = key.level.map_or(Level::Dense, |level| plan.levels[level].1);
    let work = subject.work(key.stage, level, example, key.batch, plan.new_tokens);
    let ms = milliseconds(&seen.seconds)?;
    let peer_ms = milliseconds(&seen.peer);
    let ratio = peer_ms.as_ref().map(|peer| ms.median / peer.median);
    Some(Row {
        stage: key.stage,
        budget: key.level.map(|level| plan.levels[level].0.clone()),
        device: key.device.clone(),
        dtype: key.dtype.clone(),
        threads: key.threads,
        batch: key.batch,
        tiles: key.tiles,
        visual_tokens: example.prompt.n_visual(),
        prompt_tokens: example.prompt.len(),
        gflops: work.map(|(flops, _)| flops.giga()),
        bytes: work.map(|(_, bytes)| bytes),
        ms,
        peak_rss_bytes: seen.peak_rss_bytes,
        kept_bytes: seen.kept_bytes,
        peer_ms,
        ratio,
    })
}

fn settings(plan: &Plan<'_>) -> BTreeMap<String, String> {
    [
        ("clock", plan.clock.to_string()),
        ("decode steps", plan.new_tokens.to_string()),
        ("order", super::plan::ORDER.to_owned()),
        ("repetitions", plan.repetitions.to_string()),
        ("text tokens", plan.text_tokens.to_string()),
        ("warm-up", plan.warm_up.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record with an encode row beside a peer and a decode row without one.
    pub(in crate::speed) fn sample() -> SpeedRecord {
        let row = |stage, budget: Option<&str>, ms: [f64; 5], peer: Option<[f64; 5]>| {
            let ms = Times::of(ms.to_vec()).expect("times");
            let peer_ms = peer.and_then(|peer| Times::of(peer.to_vec()));
            let ratio = peer_ms.as_ref().map(|peer| ms.median / peer.median);
            Row {
                stage,
                budget: budget.map(str::to_owned),
                device: "cpu".to_owned(),
                dtype: single(),
                threads: 2,
                batch: 1,
                tiles: 1,
                visual_tokens: 64,
                prompt_tokens: 94,
                gflops: Some(20.0),
                bytes: Some(1 << 30),
                ms,
                peak_rss_bytes: Some(1 << 28),
                kept_bytes: None,
                peer_ms,
                ratio,
            }
        };
        let encode = [100.0, 110.0, 105.0, 120.0, 90.0];
        SpeedRecord {
            schema_version: SCHEMA_VERSION,
            environment: Environment {
                cpu: "some processor".to_owned(),
                cpus: 2,
                platform: "linux x86_64".to_owned(),
                visor: "0.1.0".to_owned(),
                burn: "0.22.1".to_owned(),
                optimised: true,
            },
            model: ModelIdentity {
                name: "smolvlm-256m".to_owned(),
                sha256: None,
                parameters: 256_484_928,
                dtype: "f32".to_owned(),
            },
            settings: [("repetitions".to_owned(), "5".to_owned())].into(),
            load: Some([0.1, 2.0]),
            peer: Some("a peer".to_owned()),
            ceilings: vec![Ceiling {
                threads: 2,
                matmul_gflops: 400.0,
                copy_gb_per_s: 30.0,
                read_gb_per_s: 40.0,
            }],
            rows: vec![
                row(Stage::Encode, None, encode, Some(encode.map(|ms| 2.0 * ms))),
                row(Stage::Decode, Some("dense"), [20.0, 21.0, 22.0, 23.0, 24.0], None),
            ],
        }
    }

    #[test]
    fn times_keep_their_order_and_say_how_far_they_spread() {
        let times = Times::of(vec![4.0, 1.0, 3.0, 2.0, 5.0]).expect("times");
        assert_eq!((times.median, times.min), (3.0, 1.0));
        assert!((times.p95 - 4.8).abs() < 1e-12 && (times.spread - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(times.samples, [4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(Times::of(Vec::new()), None);
    }

    #[test]
    fn a_record_reads_back_as_it_was_written_and_another_version_is_refused() {
        let record = sample();
        let json = record.to_json().expect("written");
        let read = SpeedRecord::from_json(&json).expect("read");
        // Quotients may lose their last bit on the way.
        let exact = |row: &Row| (row.name(), row.ms.median, row.ms.samples.clone(), row.ratio);
        let rows = |record: &SpeedRecord| record.rows.iter().map(exact).collect::<Vec<_>>();
        assert_eq!(rows(&read), rows(&record));
        assert_eq!((&read.model, &read.ceilings), (&record.model, &record.ceilings));
        let other = json.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1);
        let error = SpeedRecord::from_json(&other).expect_err("refused").to_string();
        assert!(error.contains("schema version 9"), "{error}");
    }

    #[test]
    fn a_row_knows_its_floor_and_its_tokens() {
        let record = sample();
        let ceiling = record.ceiling(2).expect("measured");
        // 20 GFLOP at 400 GFLOP/s are longer than 1 GiB at 40 GB/s.
        assert_eq!(record.rows[0].floor_ms(ceiling), Some(50.0));
        assert_eq!(record.rows[0].tokens_per_second(), None);
        let rate = record.rows[1].tokens_per_second().expect("tokens");
        assert!((rate - 1e3 / 22.0).abs() < 1e-9);
        assert_eq!(record.rows[0].ratio, Some(0.5));
    }
}
