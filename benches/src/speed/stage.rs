//! The stages of an answer, as they are timed.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A decoded picture to normalised tiles.
    Preprocess,
    /// Vision encoder and connector.
    Encode,
    /// The decoder on the whole prompt, up to the scores of the first token.
    Prefill,
    /// The same for a further question about a picture of which everything is kept that layers
    /// have made of it.
    WarmPrefill,
    /// One step after prefill, the mean over all steps.
    Decode,
    /// Preprocess, encode and prefill of the same turn.
    FirstToken,
    /// All of a turn: the first token and every step.
    EndToEnd,
}

/// No stage has this name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("no stage is called `{got}`: expected {}", Stage::ALL.map(|stage| stage.to_string()).join(", "))]
pub struct UnknownStage {
    /// What was asked for.
    pub got: String,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Preprocess,
        Self::Encode,
        Self::Prefill,
        Self::WarmPrefill,
        Self::Decode,
        Self::FirstToken,
        Self::EndToEnd,
    ];

    /// The stages that must run for this one to be timed.
    pub fn parts(self) -> &'static [Self] {
        match self {
            Self::Preprocess => &[Self::Preprocess],
            Self::Encode => &[Self::Encode],
            Self::Prefill => &[Self::Prefill],
            Self::WarmPrefill => &[Self::WarmPrefill],
            Self::Decode => &[Self::Prefill, Self::Decode],
            Self::FirstToken => &[Self::Preprocess, Self::Encode, Self::Prefill],
            Self::EndToEnd => &[Self::Preprocess, Self::Encode, Self::Prefill, Self::Decode],
        }
    }

    /// Whether the stage is the same at every budget.
    pub fn is_of_pictures(self) -> bool {
        matches!(self, Self::Preprocess | Self::Encode)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preprocess => "preprocess",
            Self::Encode => "encode",
            Self::Prefill => "prefill",
            Self::WarmPrefill => "warm-prefill",
            Self::Decode => "decode",
            Self::FirstToken => "first-token",
            Self::EndToEnd => "end-to-end",
        })
    }
}

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|stage| stage.to_string() == text);
        found.ok_or_else(|| UnknownStage { got: text.to_owned() })
    }
}

/// Seconds of the stages of one turn; `None` for what did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Turn {
    /// Preprocess.
    pub preprocess: Option<f64>,
    /// Encode.
    pub encode: Option<f64>,
    /// Prefill.
    pub prefill: Option<f64>,
    /// Prefill beside what is kept of the picture.
    pub warm_prefill: Option<f64>,
    /// Bytes that are kept of a picture then, the encoded picture included.
    pub kept_bytes: Option<u64>,
    /// All decode steps, and how many they were.
    pub decode: Option<(f64, usize)>,
}

impl Turn {
    /// Seconds of a stage.
    pub fn seconds(&self, stage: Stage) -> Option<f64> {
        let steps = |(seconds, steps): (f64, usize)| seconds / steps as f64;
        match stage {
            Stage::Preprocess => self.preprocess,
            Stage::Encode => self.encode,
            Stage::Prefill => self.prefill,
            Stage::WarmPrefill => self.warm_prefill,
            Stage::Decode => self.decode.map(steps),
            Stage::FirstToken => Some(self.preprocess? + self.encode? + self.prefill?),
            Stage::EndToEnd => {
                let (decode, _) = self.decode?;
                Some(self.seconds(Stage::FirstToken)? + decode)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_asked_for_by_the_names_that_they_print() {
        for stage in Stage::ALL {
            assert_eq!(stage.to_string().parse(), Ok(stage));
        }
        let error = "warmup".parse::<Stage>().expect_err("none").to_string();
        assert!(error.contains("preprocess, encode, prefill, warm-prefill, decode"), "{error}");
    }

    #[test]
    fn what_was_not_run_has_no_time_and_sums_are_of_one_turn() {
        let mut turn = Turn { preprocess: Some(1.0), encode: Some(2.0), ..Turn::default() };
        assert_eq!(turn.seconds(Stage::FirstToken), None);
        turn.prefill = Some(3.0);
        turn.decode = Some((8.0, 4));
        assert_eq!(turn.seconds(Stage::FirstToken), Some(6.0));
        assert_eq!(turn.seconds(Stage::Decode), Some(2.0));
        assert_eq!(turn.seconds(Stage::EndToEnd), Some(14.0));
    }
}
