//! Chance with a given histogram: what a router's choices are worth beyond how often it spends.

use crate::Fixed;
use visor_model::init::Noise;

/// Draws a rung for each sample by how often each is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    counts: Vec<usize>,
    seed: u64,
}

impl Random {
    /// Draws each rung as often as it was counted, cheapest first; `None` if nothing was counted.
    pub fn new(counts: &[usize], seed: u64) -> Option<Self> {
        counts.iter().any(|count| *count > 0).then(|| Self { counts: counts.to_vec(), seed })
    }

    /// The policy for the sample of this number: a seed and a number always draw the same.
    pub fn told(&self, sample: u64) -> Fixed {
        let all = self.counts.iter().sum();
        let mut left = Noise::new(self.seed, &format!("random {sample}")).below(all);
        let drawn = self.counts.iter().position(|count| match left.checked_sub(*count) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        let rung = drawn.expect("what is drawn is below the sum of the counts");
        Fixed::chosen_by("random", rung, self.counts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::tests::{choose, ladder};

    #[test]
    fn rungs_come_as_often_as_they_were_counted() {
        let random = Random::new(&[10, 0, 30], 7).expect("counted");
        let mut counts = [0; 3];
        for sample in 0..4000 {
            counts[choose(&random.told(sample), &ladder(3))] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
        assert_eq!(Random::new(&[0, 0], 7), None);
    }

    #[test]
    fn a_seed_and_a_sample_always_draw_the_same() {
        let draws = |seed| {
            let random = Random::new(&[1, 1], seed).expect("counted");
            (0..64).map(|sample| random.told(sample).rung()).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }
}
