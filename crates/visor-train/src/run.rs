//! A run from first to last step: batches made ahead, log, states, validation.

use crate::batch::{Batch, Sight};
use crate::error::TrainError;
use crate::evaluate::{Scores, pictures};
use crate::recipe::Recipe;
use crate::state;
use crate::trainer::{StepReport, Trainer};
use burn::tensor::Device;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;
use visor_tasks::{Sample, Split};

/// How often a run reports, saves and validates, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// A line in the log.
    pub log: u64,
    /// A state on disk.
    pub save: u64,
    /// Accuracy on validation pictures.
    pub validate: u64,
    /// How many of them.
    pub pictures: usize,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { log: 25, save: 100, validate: 500, pictures: 280 }
    }
}

/// What a run tells while it goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// It starts, or goes on from a saved step.
    Started {
        /// Steps already done.
        from: u64,
        /// All steps.
        total: u64,
    },
    /// A step was done.
    Stepped(&'a StepReport),
    /// Accuracy on validation pictures, by budget, cheapest first.
    Validated {
        /// Steps done.
        step: u64,
        /// Name and scores of each budget.
        scores: &'a [(String, Scores)],
    },
}

/// A line of the log.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Step {
        step: u64,
        stage: &'static str,
        learning_rate: f64,
        gradient_norm: f32,
        alignment: f32,
        refinement: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        looks: Option<f32>,
        /// Means since the last line, by budget.
        answers: BTreeMap<String, f32>,
        questions_per_second: f64,
    },
    Validation {
        step: u64,
        accuracy: BTreeMap<String, BTreeMap<String, f64>>,
    },
}

/// Name of the log in a run's folder.
pub const LOG: &str = "log.jsonl";

/// Trains to the last step, from the saved state if the folder holds one.
///
/// The state is saved at the end and whenever `stop` is raised.
///
/// # Errors
/// [`TrainError::Stopped`] if `stop` was raised; otherwise what a step or a file gives.
pub fn run(
    recipe: &Recipe,
    folder: &Path,
    device: &Device,
    rhythm: Rhythm,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Trainer, TrainError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let mut trainer = Trainer::new(recipe, device)?;
    let from = state::resume(&mut trainer, folder)?.unwrap_or(0);
    let total = recipe.steps.total();
    tell(Progress::Started { from, total });
    let mut log = Log::open(&folder.join(LOG), from)?;
    let validation = pictures(trainer.suite(), Split::Validation, rhythm.pictures)?;
    let feed = trainer.feed();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Result<Vec<Batch>, TrainError>>(3);
        scope.spawn(move || {
            for step in from..total {
                if sender.send(feed.batches(step)).is_err() {
                    return; // the run has ended early
                }
            }
        });
        while trainer.steps_done() < total {
            let Ok(batches) = receiver.recv() else { break };
            let report = trainer.step(&batches?)?;
            tell(Progress::Stepped(&report));
            let step = report.step;
            log.add(report, rhythm.log)?;
            let stopped = stop.load(Ordering::Relaxed);
            if step.is_multiple_of(rhythm.validate) || step == total {
                let scores = validate(&trainer, &validation)?;
                log.validated(step, &scores)?;
                tell(Progress::Validated { step, scores: &scores });
            }
            if step.is_multiple_of(rhythm.save) || step == total || stopped {
                state::save(&trainer, folder)?;
            }
            if stopped && step < total {
                return Err(TrainError::Stopped { step });
            }
        }
        Ok(trainer)
    })
}

/// Accuracy of every budget on these pictures.
///
/// # Errors
/// None in a sound network.
pub fn validate(
    trainer: &Trainer,
    samples: &[Sample],
) -> Result<Vec<(String, Scores)>, TrainError> {
    let (network, device) = trainer.for_inference();
    let subject = trainer.subject(&network, &device);
    let budgets = trainer.curriculum().subsets();
    let all: Vec<_> = budgets.iter().collect();
    let scores = subject.evaluate(trainer.suite(), samples, Sight::Whole, &all)?;
    Ok(budgets.iter().map(|budget| budget.name.clone()).zip(scores).collect())
}

/// The mean of each loss over the steps that had it, by name.
pub(crate) fn means<'a>(losses: impl Iterator<Item = &'a (String, f32)>) -> BTreeMap<String, f32> {
    let mut sums: BTreeMap<String, (f32, f32)> = BTreeMap::new();
    for (name, loss) in losses {
        let sum = sums.entry(name.clone()).or_default();
        *sum = (sum.0 + loss, sum.1 + 1.0);
    }
    sums.into_iter().map(|(name, (sum, n))| (name, sum / n)).collect()
}

/// The lines of a log.
pub(crate) struct Lines {
    file: File,
    path: PathBuf,
}

impl Lines {
    /// Opens the log and drops the lines that a killed run wrote after its last saved state.
    pub(crate) fn open(path: &Path, from: u64) -> Result<Self, TrainError> {
        let mut kept = Vec::new();
        if path.exists() {
            for line in BufReader::new(File::open(path).map_err(at(path))?).lines() {
                let line = line.map_err(at(path))?;
                let step = serde_json::from_str::<serde_json::Value>(&line)
                    .ok()
                    .and_then(|value| value.get("step").and_then(serde_json::Value::as_u64));
                if step.is_some_and(|step| step <= from) {
                    kept.push(line + "\n");
                }
            }
        }
        fs::write(path, kept.concat()).map_err(at(path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(at(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes one.
    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<(), TrainError> {
        let json = serde_json::to_string(line)
            .map_err(|source| TrainError::Json { path: self.path.clone(), source })?;
        writeln!(self.file, "{json}").map_err(at(&self.path))
    }
}

/// What steps report between two lines of a log.
#[derive(Debug)]
pub(crate) struct Window<R> {
    pending: Vec<R>,
    since: Instant,
}

impl<R> Window<R> {
    pub(crate) fn new() -> Self {
        Self { pending: Vec::new(), since: Instant::now() }
    }

    /// Adds a step's report; gives all of them, and the seconds that they took, when a line is due.
    pub(crate) fn add(&mut self, step: u64, report: R, every: u64) -> Option<(Vec<R>, f64)> {
        self.pending.push(report);
        step.is_multiple_of(every).then(|| {
            let seconds = std::mem::replace(&mut self.since, Instant::now()).elapsed();
            (std::mem::take(&mut self.pending), seconds.as_secs_f64())
        })
    }
}

struct Log {
    lines: Lines,
    window: Window<StepReport>,
}

impl Log {
    fn open(path: &Path, from: u64) -> Result<Self, TrainError> {
        Ok(Self { lines: Lines::open(path, from)?, window: Window::new() })
    }

    fn add(&mut self, report: StepReport, every: u64) -> Result<(), TrainError> {
        let due = self.window.add(report.step, report, every);
        let Some((pending, seconds)) = due else { return Ok(()) };
        let Some(last) = pending.last() else { return Ok(()) };
        let questions: usize = pending.iter().map(|report| report.questions).sum();
        self.lines.write(&Line::Step {
            step: last.step,
            stage: last.stage.word(),
            learning_rate: last.learning_rate,
            gradient_norm: last.gradient_norm,
            alignment: last.alignment,
            refinement: last.refinement,
            looks: (last.looks > 0.0).then_some(last.looks),
            answers: means(pending.iter().flat_map(|report| &report.answers)),
            questions_per_second: questions as f64 / seconds,
        })
    }

    fn validated(&mut self, step: u64, scores: &[(String, Scores)]) -> Result<(), TrainError> {
        let by_family = |scores: &Scores| {
            let family = |(family, tally): (&visor_tasks::Family, &crate::evaluate::Tally)| {
                (family.to_string(), tally.accuracy())
            };
            scores.families.iter().map(family).collect()
        };
        let accuracy = scores.iter().map(|(name, s)| (name.clone(), by_family(s))).collect();
        self.lines.write(&Line::Validation { step, accuracy })
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> TrainError + '_ {
    move |source| TrainError::File { path: path.to_owned(), source }
}
