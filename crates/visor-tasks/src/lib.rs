//! The generated task suite: pictures, questions, answers, evidence.
//!
//! A [`Suite`] turns (split, family, seed) into a [`Sample`]: random access, nothing stored, the same
//! bits on every platform. Answers are drawn first and the scene is built around them, so that a
//! question's words alone never tell its answer; every scene belongs to exactly one split.
//!
//! ```
//! use visor_tasks::{Family, Split, Suite, SuiteName};
//!
//! let suite = Suite::new(SuiteName::Nano);
//! let sample = suite.sample(Split::Train, Family::Chain, 7);
//! assert_eq!(sample.picture.size, suite.canvas());
//! assert!(sample.questions[0].text.starts_with("follow"));
//! ```

mod error;
mod family;
mod font;
mod grid;
mod mixture;
mod noise;
mod page;
mod picture;
mod rng;
mod row;
mod sample;
mod shapes;
mod sheet;
mod standard;
mod suite;
mod words;

pub use error::TaskError;
pub use family::{Family, Kind, Level, Split, SuiteName};
pub use font::lettering;
pub use mixture::Mixture;
pub use picture::{Picture, encode_png};
pub use row::Row;
pub use sample::{Difficulty, Grounding, Question, Sample, Slot};
pub use sheet::contact_sheet;
pub use standard::StandardMix;
pub use suite::Suite;
