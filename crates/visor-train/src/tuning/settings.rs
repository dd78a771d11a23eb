//! How a converted model is trained on a user's data: all that its weights depend on beside data
//! and first weights.

use crate::error::TrainError;
use crate::recipe::{Precision, Sampling};
use crate::schedule::warm_cosine;
use serde::{Deserialize, Serialize};

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seed of order and rungs.
    pub seed: u64,
    /// Stage 1: what conversion added learns, everything else stays (method, section 3).
    pub added: StageSettings,
    /// Stage 2: everything that is not frozen learns.
    pub all: StageSettings,
    /// Conversations a step.
    pub batch: usize,
    /// Most of them that go through the network at once.
    pub micro_batch: usize,
    /// How the rungs of a step are chosen.
    pub sampling: Sampling,
    /// What stays as it is in both stages.
    pub freeze: Freeze,
    /// Share of the loss that is divergence from what the stock model answers at dense, 0 to 1.
    pub distillation: f32,
    /// Longest gradient.
    pub clip: f32,
    /// What products are computed in.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
}

/// The steps of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSettings {
    /// How many.
    pub steps: u64,
    /// Peak learning rate; 3 % warm-up, then a cosine.
    pub learning_rate: f64,
}

/// What stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// The vision encoder.
    Encoder,
    /// The vision encoder and the connector.
    Vision,
    /// Nothing.
    Nothing,
}

/// A stage of the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What conversion added.
    Added,
    /// Everything that is not frozen.
    All,
}

impl Stage {
    /// The word in logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::All => "all",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            added: StageSettings { steps: 1000, learning_rate: 1e-4 },
            all: StageSettings { steps: 1000, learning_rate: 1e-5 },
            batch: 32,
            micro_batch: 8,
            sampling: Sampling::One,
            freeze: Freeze::Encoder,
            distillation: 0.0,
            clip: 1.0,
            precision: Precision::F32,
        }
    }
}

impl Settings {
    /// All steps.
    pub fn total(&self) -> u64 {
        self.added.steps + self.all.steps
    }

    /// The stage of a step, counted from 0.
    pub fn stage(&self, step: u64) -> Stage {
        if step < self.added.steps { Stage::Added } else { Stage::All }
    }

    /// The learning rate of a step, counted from 0: each stage warms up and cools down.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let (of_stage, done) = match self.stage(step) {
            Stage::Added => (self.added, step),
            Stage::All => (self.all, step - self.added.steps),
        };
        of_stage.learning_rate * warm_cosine(done + 1, of_stage.steps)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |field, got: String, expected| Err(TrainError::Recipe { field, got, expected });
        if self.batch == 0 {
            return wrong("batch", self.batch.to_string(), "at least 1");
        }
        if self.micro_batch == 0 {
            return wrong("micro_batch", self.micro_batch.to_string(), "at least 1");
        }
        if self.total() == 0 {
            return wrong("steps", "0".to_owned(), "at least 1 step");
        }
        for StageSettings { learning_rate, .. } in [self.added, self.all] {
            if !(learning_rate.is_finite() && learning_rate > 0.0) {
                return wrong("learning_rate", learning_rate.to_string(), "a positive number");
            }
        }
        if !(0.0..=1.0).contains(&self.distillation) {
            return wrong("distillation", self.distillation.to_string(), "a share from 0 to 1");
        }
        if !(self.clip.is_finite() && self.clip > 0.0) {
            return wrong("clip", self.clip.to_string(), "a positive number");
        }
        Ok(())
    }

    /// The first field in which two settings differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        let fields = [
            ("seed", self.seed == other.seed),
            ("steps or learning rate", self.added == other.added && self.all == other.all),
            ("batch", self.batch == other.batch && self.micro_batch == other.micro_batch),
            ("sampling", self.sampling == other.sampling),
            ("freeze", self.freeze == other.freeze),
            ("distillation", self.distillation == other.distillation),
            ("clip", self.clip == other.clip),
            ("precision", self.precision == other.precision),
        ];
        fields.into_iter().find(|&(_, same)| !same).map(|(field, _)| field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_warms_up_and_cools_down_by_itself() {
        let stage = |steps, learning_rate| StageSettings { steps, learning_rate };
        let settings =
            Settings { added: stage(100, 1.0), all: stage(200, 0.1), ..Settings::default() };
        assert_eq!((settings.stage(99), settings.stage(100)), (Stage::Added, Stage::All));
        assert!(settings.learning_rate(0) < 0.5 && settings.learning_rate(99) < 1e-3);
        assert!((settings.learning_rate(105) - 0.1).abs() < 1e-9);
        assert!(settings.learning_rate(299) < 1e-4);
    }

    #[test]
    fn numbers_that_cannot_be_followed_are_refused_by_field() {
        for (field, spoil) in [
            ("batch", (|s| s.batch = 0) as fn(&mut Settings)),
            ("micro_batch", |s| s.micro_batch = 0),
            ("learning_rate", |s| s.all.learning_rate = f64::NAN),
            ("distillation", |s| s.distillation = 1.5),
            ("clip", |s| s.clip = 0.0),
            ("steps", |s| (s.added.steps, s.all.steps) = (0, 0)),
        ] {
            let mut settings = Settings::default();
            spoil(&mut settings);
            let error = settings.check().expect_err(field).to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
