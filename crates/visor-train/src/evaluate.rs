//! Accuracy of a network on generated questions, by family and budget.

use crate::batch::{Asked, Batch, Sight};
use crate::error::TrainError;
use crate::pass::Lifted;
use crate::reduction::shrink;
use crate::schedule::Budget;
use crate::vocabulary::Vocabulary;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use visor_core::PositionScheme;
use visor_model::config::ModelConfig;
use visor_model::layer::Refinement;
use visor_model::{Network, Watch};
use visor_tasks::{Family, Kind, Mixture, Sample, Split, Suite};

/// Right answers among questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Answered right, to the last token.
    pub right: u32,
    /// Asked.
    pub n: u32,
}

impl Tally {
    /// Adds an answer.
    pub fn add(&mut self, right: bool) {
        self.right += u32::from(right);
        self.n += 1;
    }

    /// The share of right answers; 0 of nothing.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.right) / f64::from(self.n.max(1))
    }

    /// Wilson's 95 % interval.
    pub fn interval(&self) -> (f64, f64) {
        const Z: f64 = 1.959_964;
        let (n, p) = (f64::from(self.n.max(1)), self.accuracy());
        let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        // At the ends rounding may put a bound on the wrong side of the share.
        ((centre - half).clamp(0.0, p), (centre + half).clamp(p, 1.0))
    }
}

/// Scores of one budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// By family.
    pub families: BTreeMap<Family, Tally>,
    /// Of the chains, by number of hops.
    pub chain_by_hops: BTreeMap<u8, Tally>,
}

impl Scores {
    /// Mean accuracy over the families of a kind.
    pub fn mean(&self, kind: Kind) -> f64 {
        let of_kind: Vec<f64> = self
            .families
            .iter()
            .filter(|(family, _)| family.kind() == kind)
            .map(|(_, tally)| tally.accuracy())
            .collect();
        of_kind.iter().sum::<f64>() / of_kind.len().max(1) as f64
    }

    /// Mean accuracy over all families.
    pub fn overall(&self) -> f64 {
        let all: Vec<f64> = self.families.values().map(Tally::accuracy).collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    }
}

/// What is evaluated, and where.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The network, on a device that tracks no gradients.
    pub network: &'a Network,
    /// Its configuration.
    pub config: &'a ModelConfig,
    /// Its positions.
    pub positions: PositionScheme,
    /// Whether refinement is applied.
    pub refinement: Refinement,
    /// Its words.
    pub vocabulary: &'a Vocabulary,
    /// The device.
    pub device: &'a Device,
}

/// Pictures that stand in one batch.
const BATCH: usize = 64;

/// Pictures of a split, families in turn.
///
/// # Errors
/// Of no families.
pub fn pictures(suite: &Suite, split: Split, n: usize) -> Result<Vec<Sample>, TrainError> {
    let mixture = Mixture::uniform(suite.families())?;
    let sample = |index| suite.sample(split, mixture.pick(index), index);
    Ok((0..n as u64).map(sample).collect())
}

/// The same pictures with every pixel at the middle of the scale: what words alone tell.
#[must_use]
pub fn blanked(samples: &[Sample]) -> Vec<Sample> {
    let mut blank = samples.to_vec();
    for sample in &mut blank {
        sample.picture.rgb.fill(16);
    }
    blank
}

impl Subject<'_> {
    /// Asks every question of `samples` at every budget.
    ///
    /// An answer is right if each of its tokens and the end is the likeliest one given the ones
    /// before, which is when greedy decoding gives it.
    ///
    /// # Errors
    /// Of words that the vocabulary lacks.
    pub fn evaluate(
        &self,
        suite: &Suite,
        samples: &[Sample],
        sight: Sight,
        budgets: &[&Budget],
    ) -> Result<Vec<Scores>, TrainError> {
        let mut scores = vec![Scores::default(); budgets.len()];
        self.ask(suite, samples, sight, budgets, &mut |budget, asked, right| {
            scores[budget].count(asked, right);
        })?;
        Ok(scores)
    }

    /// As [`evaluate`](Self::evaluate), but tells of each question by itself: the index of its
    /// budget, the question, and whether it was answered right. At each budget questions come in
    /// the order of the samples.
    ///
    /// # Errors
    /// Of words that the vocabulary lacks.
    pub fn ask(
        &self,
        suite: &Suite,
        samples: &[Sample],
        sight: Sight,
        budgets: &[&Budget],
        tell: &mut dyn FnMut(usize, &Asked, bool),
    ) -> Result<(), TrainError> {
        for chunk in samples.chunks(BATCH) {
            let seen = shrink(chunk, self.config.vision.image_size, suite.patch())?;
            let batch = Batch::pack(suite, self.vocabulary, &seen, sight)?;
            let all = budgets.iter().copied();
            let lifted = Lifted::new(&batch, all, self.config, self.positions, self.device);
            let encoded = lifted.encode(self.network)?;
            for (index, budget) in budgets.iter().enumerate() {
                let passed = lifted.answer(
                    self.network,
                    encoded.clone(),
                    budget,
                    self.refinement,
                    Watch::Streams,
                )?;
                let likeliest: Vec<i64> =
                    passed.logits.argmax(1).into_data().iter::<i64>().collect();
                for asked in &batch.asked {
                    let right = |row: usize| likeliest[row] == i64::from(batch.targets[row].1);
                    tell(index, asked, asked.targets.clone().all(right));
                }
            }
        }
        Ok(())
    }
}

impl Scores {
    fn count(&mut self, asked: &Asked, right: bool) {
        self.families.entry(asked.family).or_default().add(right);
        if asked.family == Family::Chain {
            self.chain_by_hops.entry(asked.hops).or_default().add(right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_share_and_shrinks_with_numbers() {
        let few = Tally { right: 19, n: 20 };
        let many = Tally { right: 950, n: 1000 };
        for tally in [few, many] {
            let (low, high) = tally.interval();
            assert!(low < 0.95 && 0.95 < high, "{low} {high}");
        }
        assert!(many.interval().1 - many.interval().0 < few.interval().1 - few.interval().0);
        assert_eq!(Tally { right: 0, n: 0 }.accuracy(), 0.0);
        let all = Tally { right: 169, n: 169 };
        assert_eq!(all.interval().1, 1.0, "all right is within its own interval");
    }
}
