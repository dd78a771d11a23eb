//! A selector's training on conversations from first to last step: rows made ahead, log, states,
//! and the record at the end.

use super::progress::Progress;
use super::read::ReadScore;
use super::settings::Settings;
use super::state::{self, Origins};
use super::tuner::SelectorTuner;
use crate::error::TrainError;
use crate::run::{LOG, Lines};
use crate::tuning::{DataRecord, Features, Material, Order, Rows, rows};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

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

/// A state here has one part.
const ALL: &str = "";

/// Trains to the last step, from the saved state if the folder holds one.
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
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<ReadScore>, TrainError> {
    let &SelectorCourse { material, features, folder, .. } = course;
    resume(tuner, course)?;
    let (first, settings) = (tuner.steps_done(), *tuner.settings());
    tell(Progress::Started { from: first });
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
            tell(Progress::Stepped(outcome));
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
    let parts = [(ALL, tuner.optimizer().state())];
    state::save(course.folder, &course.origins(tuner), tuner.steps_done(), parts)
}

fn resume(tuner: &mut SelectorTuner, course: &SelectorCourse<'_>) -> Result<(), TrainError> {
    let saved = state::open(course.folder, &course.origins(tuner))?;
    let Some(mut saved) = saved else { return Ok(()) };
    tuner.restore(saved.step()?, saved.part(ALL)?)
}

impl SelectorCourse<'_> {
    fn origins<'a>(&self, tuner: &'a SelectorTuner) -> Origins<'a> {
        let teacher = tuner.teacher().map(|clip| ("teacher", clip.digest().to_string()));
        let data = [("model", self.base.clone()), ("data", self.material.sha256.clone())];
        Origins { settings: tuner.settings(), others: data.into_iter().chain(teacher).collect() }
    }
}
