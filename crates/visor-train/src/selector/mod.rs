//! Training of a patch selector on a frozen backbone (QGSA; method, section 5).
//!
//! [`fit`](fn@fit) learns from answers through straight-through selections, from contrast and from a
//! teacher ([`Teacher`]) that has seen pairs of whole pictures and captions alone. The grounded
//! supervision adds the program-known evidence of each question, and is reported apart.
//! [`evaluate`](fn@evaluate) asks test questions with the chosen patches and with what they must be
//! held against. On a user's conversations [`SelectorTuner`] learns from answers and contrast, and
//! from a checkpoint of CLIP where one is given, and [`tune`](fn@tune) takes it from the first step, or the last that was saved, to the last.

mod clip;
mod course;
mod evaluate;
mod export;
mod fit;
mod gaze;
mod loss;
mod progress;
mod questions;
mod read;
mod record;
mod relax;
mod settings;
mod state;
mod step;
mod teacher;
mod tuner;
mod world;

pub use clip::ClipTeacher;
pub use course::{SelectorCourse, TUNED_SCHEMA_VERSION, TunedSelectorRecord, tune};
pub use evaluate::{Level, Pointing, Sighted, evaluate};
pub use export::{DefaultPolicy, with_selector};
pub(crate) use fit::first_values;
pub use fit::{Fitted, Lessons, fit};
pub use progress::{Progress, StepOutcome};
pub use read::{Read, ReadScore};
pub use record::{
    FamilyRecord, LevelRecord, SCHEMA_VERSION, Selection, SelectorRecord, controlled, record,
    selection,
};
pub use settings::{BackboneTraining, Settings, Supervision, TaughtBy};
pub use teacher::{Relevance, Teacher};
pub use tuner::SelectorTuner;
pub use world::World;
