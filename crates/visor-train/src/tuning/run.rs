//! A run from first to last step: rows made ahead, log, states.

use super::batch::{Rows, rows};
use super::features::Features;
use super::material::Material;
use super::order::Order;
use super::state::{self, Origins};
use super::tuner::{RungScore, Tuner, TunerReport};
use crate::error::TrainError;
use crate::run::{LOG, Lines, Window, means};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

/// How often a run reports, saves and looks at what it knows, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// A line in the log.
    pub log: u64,
    /// A state on disk.
    pub save: u64,
    /// Every rung asked for examples.
    pub check: u64,
}

/// What a run goes by beside its settings.
#[derive(Debug)]
pub struct Course<'a> {
    /// What is learned from.
    pub material: &'a Material,
    /// What it is checked on.
    pub held_out: &'a Material,
    /// How many examples of that.
    pub checked: usize,
    /// What frozen parts make of pictures.
    pub features: Option<&'a Features>,
    /// The digest of the model that it began from.
    pub base: String,
    /// Its folder.
    pub folder: &'a Path,
    /// How often it reports.
    pub rhythm: Rhythm,
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
    Stepped(&'a TunerReport),
    /// Every rung was asked.
    Checked {
        /// Steps done.
        step: u64,
        /// The rungs, cheapest first.
        scores: &'a [RungScore],
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
        /// Means since the last line, by rung.
        answers: BTreeMap<String, f32>,
        tokens_per_second: f64,
    },
    Check {
        step: u64,
        loss: BTreeMap<String, f64>,
        right: BTreeMap<String, f64>,
    },
}

/// Trains to the last step, from the saved state if the folder holds one.
///
/// The state is saved at the end and whenever `stop` is raised.
///
/// # Errors
/// [`TrainError::Stopped`] if `stop` was raised; otherwise what a step or a file gives.
pub fn run(
    tuner: &mut Tuner,
    course: &Course<'_>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<RungScore>, TrainError> {
    let &Course { material, features, rhythm, folder, .. } = course;
    let origins: Origins = [("model", course.base.clone()), ("data", material.sha256.clone())];
    let from = state::resume(tuner, &origins, folder)?.unwrap_or(0);
    let total = tuner.settings().total();
    tell(Progress::Started { from, total });
    let mut log = Log { lines: Lines::open(&folder.join(LOG), from)?, window: Window::new() };
    let settings = tuner.settings().clone();
    let order = Order::new(settings.seed, settings.batch, material.lengths());
    let checked: Vec<usize> = (0..course.held_out.examples.len().min(course.checked)).collect();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Result<Vec<Rows>, TrainError>>(2);
        let size = settings.micro_batch;
        scope.spawn(move || {
            for step in from..total {
                let batch = rows(material, &order.step(step), size, features);
                if sender.send(batch).is_err() {
                    return; // the run has ended early
                }
            }
        });
        while tuner.steps_done() < total {
            let Ok(batch) = receiver.recv() else { break };
            let report = tuner.step(&batch?, material, features)?;
            tell(Progress::Stepped(&report));
            let step = report.step;
            log.add(report, rhythm.log)?;
            let stopped = stop.load(Ordering::Relaxed);
            if step.is_multiple_of(rhythm.check) && step < total && !stopped {
                let scores = tuner.score(course.held_out, &checked, features)?;
                log.checked(step, &scores)?;
                tell(Progress::Checked { step, scores: &scores });
            }
            if step.is_multiple_of(rhythm.save) || step == total || stopped {
                state::save(tuner, &origins, folder)?;
            }
            if stopped && step < total {
                return Err(TrainError::Stopped { step });
            }
        }
        let scores = tuner.score(course.held_out, &checked, features)?;
        log.checked(total, &scores)?;
        tell(Progress::Checked { step: total, scores: &scores });
        Ok(scores)
    })
}

struct Log {
    lines: Lines,
    window: Window<TunerReport>,
}

impl Log {
    fn add(&mut self, report: TunerReport, every: u64) -> Result<(), TrainError> {
        let due = self.window.add(report.step, report, every);
        let Some((pending, seconds)) = due else { return Ok(()) };
        let Some(last) = pending.last() else { return Ok(()) };
        let tokens: usize = pending.iter().map(|report| report.tokens).sum();
        self.lines.write(&Line::Step {
            step: last.step,
            stage: last.stage.word(),
            learning_rate: last.learning_rate,
            gradient_norm: last.gradient_norm,
            answers: means(pending.iter().flat_map(|report| &report.answers)),
            tokens_per_second: tokens as f64 / seconds,
        })
    }

    fn checked(&mut self, step: u64, scores: &[RungScore]) -> Result<(), TrainError> {
        let share = |score: &RungScore| score.right as f64 / score.n.max(1) as f64;
        let loss = scores.iter().map(|score| (score.name.clone(), score.loss)).collect();
        let right = scores.iter().map(|score| (score.name.clone(), share(score))).collect();
        self.lines.write(&Line::Check { step, loss, right })
    }
}
