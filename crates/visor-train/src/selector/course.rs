//! A selector's training on conversations from first to last step: rows made ahead, log, states,
//! and the record at the end.

use super::fit::Settings;
use super::tuner::{ReadScore, SelectorTuner};
use crate::error::TrainError;
use crate::run::{LOG, Lines};
use crate::saved::{self, FILE, Saved};
use crate::tuning::{DataRecord, Features, Material, Order, Rows, rows};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use super::tuner::StepOutcome;

/// Version of the record's fields.
pub const TUNED_SCHEMA_VERSION: u32 = 1;

/// What a training goes by beside its settings.
#[derive(Debug)]
pub struct SelectorCourse<'a> {
    /// What is learned from: an answer a sequence, each about a picture.
    pub material: &'a Material,
    /// What it is looked at with.
    pub held_out: &'a Material,
    /// How many sequences of that.
    pub checked: usize,
    /// What frozen parts make of pictures.
    pub features: Option<&'a Features>,
    /// The digest of the model.
    pub base: String,
    /// Its folder.
    pub folder: &'a Path,
    /// Steps between lines of the log.
    pub log: u64,
    /// Steps between states on disk.
    pub save: u64,
}

/// A trained selector on a user's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedSelectorRecord {
    /// [`TUNED_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The model, SHA-256.
    pub base_sha256: String,
    /// How it was trained.
    pub settings: Settings,
    /// What it learned from.
    pub data: DataRecord,
    /// What it was looked at with.
    pub held_out: DataRecord,
    /// By rung and what is read.
    pub scores: Vec<ReadScore>,
}

impl TunedSelectorRecord {
    /// The record of a training that has ended.
    pub fn new(tuner: &SelectorTuner, course: &SelectorCourse<'_>, scores: &[ReadScore]) -> Self {
        Self {
            schema_version: TUNED_SCHEMA_VERSION,
            base_sha256: course.base.clone(),
            settings: *tuner.settings(),
            data: DataRecord::of(course.material),
            held_out: DataRecord::of(course.held_out),
            scores: scores.to_vec(),
        }
    }
}

const SETTINGS: &str = "settings";
const MODEL: &str = "model";
const DATA: &str = "data";

/// Trains to the last step, from the saved state if the folder holds one. `from` hears at which
/// step that is, `tell` of every step.
///
/// The state is saved at the end and whenever `stop` is raised.
///
/// # Errors
/// [`TrainError::Stopped`] if `stop` was raised, [`TrainError::OtherRun`] where the state is of
/// another training; otherwise what a step or a file gives.
pub fn tune(
    tuner: &mut SelectorTuner,
    course: &SelectorCourse<'_>,
    stop: &AtomicBool,
    from: &mut dyn FnMut(u64),
    tell: &mut dyn FnMut(StepOutcome),
) -> Result<Vec<ReadScore>, TrainError> {
    let &SelectorCourse { material, features, folder, .. } = course;
    resume(tuner, course)?;
    let (first, settings) = (tuner.steps_done(), *tuner.settings());
    from(first);
    let mut lines = Lines::open(&folder.join(LOG), first)?;
    let order = Order::new(settings.seed, settings.batch, material.lengths());
    let size = tuner.micro_batch();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Result<Vec<Rows>, TrainError>>(2);
        scope.spawn(move || {
            for step in first..settings.steps {
                let batch = rows(material, &order.step(step), size, features);
                if sender.send(batch).is_err() {
                    return; // the run has ended early
                }
            }
        });
        while tuner.steps_done() < settings.steps {
            let Ok(batch) = receiver.recv() else { break };
            let outcome = tuner.step(&batch?, material, features)?;
            tell(outcome);
            let (step, last) = (outcome.step, outcome.step == settings.steps);
            if step.is_multiple_of(course.log) || last {
                lines.write(&outcome)?;
            }
            let stopped = stop.load(Ordering::Relaxed);
            if step.is_multiple_of(course.save) || last || stopped {
                save(tuner, course)?;
            }
            if stopped && !last {
                return Err(TrainError::Stopped { step });
            }
        }
        let n = course.held_out.examples.len().min(course.checked);
        tuner.score(course.held_out, &(0..n).collect::<Vec<_>>(), features)
    })
}

fn save(tuner: &SelectorTuner, course: &SelectorCourse<'_>) -> Result<(), TrainError> {
    let settings = serde_json::to_string(tuner.settings())
        .map_err(|source| TrainError::Json { path: course.folder.join(FILE), source })?;
    let texts = [
        (SETTINGS, settings),
        (MODEL, course.base.clone()),
        (DATA, course.material.sha256.clone()),
    ];
    saved::write(course.folder, tuner.steps_done(), tuner.optimizer().state(), &texts)
}

fn resume(tuner: &mut SelectorTuner, course: &SelectorCourse<'_>) -> Result<(), TrainError> {
    let Some(saved) = Saved::open(course.folder)? else { return Ok(()) };
    if saved.json::<Settings>(SETTINGS)? != *tuner.settings() {
        return Err(saved.other("an option of the training"));
    }
    for (name, expected) in [(MODEL, &course.base), (DATA, &course.material.sha256)] {
        if saved.text(name)? != *expected {
            return Err(saved.other(name));
        }
    }
    let (step, state) = saved.into_state()?;
    tuner.restore(step, state)
}
