//! What is read when a trained selector is looked at: what its questions choose, and what that is held
//! against.

use serde::{Deserialize, Serialize};
use visor_model::init::Noise;
use visor_model::selector::best;

/// Which patches are read when a trained selector is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Read {
    /// All of them.
    All,
    /// Those that the question chose.
    Chosen,
    /// As many, at random.
    Random,
    /// All but those that it chose.
    Others,
}

impl Read {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 4] = [Self::All, Self::Chosen, Self::Random, Self::Others];

    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Chosen => "chosen",
            Self::Random => "random",
            Self::Others => "others",
        }
    }

    /// 1 for the patches that are read of one picture, by the question's scores and number.
    pub(super) fn of(self, scores: &[f32], k: usize, noise: &mut Noise) -> Vec<f32> {
        let ranks: Vec<f32> = match self {
            Self::Random => scores.iter().map(|_| noise.uniform()).collect(),
            _ => scores.to_vec(),
        };
        let (inside, outside) = match self {
            Self::All => return vec![1.0; scores.len()],
            Self::Chosen | Self::Random => (1.0, 0.0),
            Self::Others => (0.0, 1.0),
        };
        let mut seen = vec![outside; scores.len()];
        best(&ranks, k).into_iter().for_each(|patch| seen[patch] = inside);
        seen
    }
}

/// How well a rung knows examples where it reads some patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadScore {
    /// The rung.
    pub rung: String,
    /// What it reads.
    pub read: Read,
    /// Mean cross-entropy of a token.
    pub loss: f64,
    /// Answers whose every token is the likeliest one given those before.
    pub right: usize,
    /// Answers.
    pub n: usize,
    /// Mean number of patches that were read.
    pub patches: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_its_name_says() {
        let scores = [0.5, -1.0, 2.0, 0.0];
        let mut noise = Noise::new(1, "test");
        let mut read = |read: Read| read.of(&scores, 2, &mut noise);
        assert_eq!(read(Read::All), [1.0; 4]);
        assert_eq!(read(Read::Chosen), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(read(Read::Others), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(read(Read::Random).iter().sum::<f32>(), 2.0);
    }
}
