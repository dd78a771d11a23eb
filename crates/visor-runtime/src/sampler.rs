//! Choosing the next token from its scores, on the host.

use crate::model::Logits;
use std::cmp::Ordering;
use std::num::NonZeroUsize;
use thiserror::Error;

/// A setting of sampling that makes no sense.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SamplingError {
    /// Not a positive, finite number.
    #[error(
        "a temperature must be a positive number, got {got}; leave it out to take the best token"
    )]
    Temperature {
        /// What was given.
        got: f64,
    },
    /// Not in `(0, 1]`.
    #[error("top-p must be above 0 and at most 1, got {got}")]
    TopP {
        /// What was given.
        got: f64,
    },
    /// Zero.
    #[error("top-k must be at least 1, got 0")]
    TopK,
}

/// What scores are divided by: a positive, finite number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature(f64);

/// The probability that the tokens drawn from must reach together: above 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopP(f64);

/// How many of the best tokens are drawn from: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK(NonZeroUsize);

impl Temperature {
    /// # Errors
    /// [`SamplingError::Temperature`].
    pub fn new(value: f64) -> Result<Self, SamplingError> {
        let fits = value.is_finite() && value > 0.0;
        if fits { Ok(Self(value)) } else { Err(SamplingError::Temperature { got: value }) }
    }
}

impl TopP {
    /// # Errors
    /// [`SamplingError::TopP`].
    pub fn new(value: f64) -> Result<Self, SamplingError> {
        let fits = value > 0.0 && value <= 1.0;
        if fits { Ok(Self(value)) } else { Err(SamplingError::TopP { got: value }) }
    }
}

impl TopK {
    /// # Errors
    /// [`SamplingError::TopK`].
    pub fn new(value: usize) -> Result<Self, SamplingError> {
        NonZeroUsize::new(value).map(Self).ok_or(SamplingError::TopK)
    }
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Sampling {
    /// The best one; of equals, the one with the lowest id.
    #[default]
    Greedy,
    /// Drawn at random; the same seed gives the same answer.
    Random {
        /// What scores are divided by.
        temperature: Temperature,
        /// Draw from the fewest tokens that reach this probability together.
        top_p: Option<TopP>,
        /// Draw from this many of the best tokens; applied before `top_p`.
        top_k: Option<TopK>,
        /// Seed of the draws.
        seed: u64,
    },
}

impl Sampling {
    /// Seed of the draws, where anything is drawn.
    pub fn seed(&self) -> Option<u64> {
        match *self {
            Self::Greedy => None,
            Self::Random { seed, .. } => Some(seed),
        }
    }
}

/// Chooses the tokens of one answer.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    noise: SplitMix64,
}

impl Sampler {
    /// At the beginning of an answer.
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, noise: SplitMix64(sampling.seed().unwrap_or_default()) }
    }

    /// The next token; `None` if a score is not a number or infinite, or no token is possible.
    pub fn pick(&mut self, logits: &Logits) -> Option<u32> {
        let Logits(scores) = logits;
        let broken = |score: &f32| score.is_nan() || *score == f32::INFINITY;
        let impossible = |score: &f32| *score == f32::NEG_INFINITY;
        if scores.iter().any(broken) || scores.iter().all(impossible) {
            return None;
        }
        match self.sampling {
            Sampling::Greedy => best(scores),
            Sampling::Random { temperature, top_p, top_k, .. } => {
                let mut ranked = ranked(scores, top_k);
                let weights = weights(&ranked, temperature);
                ranked.truncate(nucleus(&weights, top_p));
                draw(&ranked, &weights, self.noise.uniform())
            }
        }
    }
}

fn best(scores: &[f32]) -> Option<u32> {
    let better = |best: (usize, f32), next: (usize, f32)| if next.1 > best.1 { next } else { best };
    let (id, _) = scores.iter().copied().enumerate().reduce(better)?;
    Some(id as u32)
}

/// Ids with their scores, best first, of equals the lowest id first.
fn ranked(scores: &[f32], top_k: Option<TopK>) -> Vec<(u32, f32)> {
    let order = |a: &(u32, f32), b: &(u32, f32)| {
        b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0))
    };
    let mut all: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
    if let Some(TopK(k)) = top_k.filter(|k| k.0.get() < all.len()) {
        all.select_nth_unstable_by(k.get() - 1, order);
        all.truncate(k.get());
    }
    all.sort_unstable_by(order);
    all
}

/// Unnormalised probabilities; the best token has 1.
fn weights(ranked: &[(u32, f32)], Temperature(temperature): Temperature) -> Vec<f64> {
    let best = ranked.first().map_or(0.0, |&(_, score)| f64::from(score));
    let weight = |&(_, score): &(u32, f32)| ((f64::from(score) - best) / temperature).exp();
    ranked.iter().map(weight).collect()
}

/// How many of the best tokens reach the probability together: at least one.
fn nucleus(weights: &[f64], top_p: Option<TopP>) -> usize {
    let Some(TopP(p)) = top_p else { return weights.len() };
    let wanted = p * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let short = weights.iter().take_while(|&&weight| {
        sum += weight;
        sum < wanted
    });
    (short.count() + 1).min(weights.len())
}

fn draw(ranked: &[(u32, f32)], weights: &[f64], uniform: f64) -> Option<u32> {
    let mut left = uniform * weights[..ranked.len()].iter().sum::<f64>();
    let drawn = ranked.iter().zip(weights).find(|(_, weight)| {
        left -= *weight;
        left < 0.0
    });
    // Rounding can leave a crumb behind the last token.
    drawn.map(|(token, _)| token.0).or_else(|| ranked.last().map(|token| token.0))
}

/// A generator that is written down here, so that a seed means the same answer in every version.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// A uniform number in `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(top_p: Option<f64>, top_k: Option<usize>, seed: u64) -> Sampler {
        Sampler::new(Sampling::Random {
            temperature: Temperature::new(1.0).expect("positive"),
            top_p: top_p.map(|p| TopP::new(p).expect("a probability")),
            top_k: top_k.map(|k| TopK::new(k).expect("positive")),
            seed,
        })
    }

    fn logits(probabilities: &[f32]) -> Logits {
        Logits(probabilities.iter().map(|p| p.ln()).collect())
    }

    fn shares(sampler: &mut Sampler, logits: &Logits) -> Vec<f64> {
        let mut counts = vec![0.0; logits.0.len()];
        for _ in 0..20_000 {
            counts[sampler.pick(logits).expect("a token") as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_equals() {
        let mut sampler = Sampler::new(Sampling::Greedy);
        assert_eq!(sampler.pick(&Logits(vec![0.5, 2.0, 2.0, 1.0])), Some(1));
        assert_eq!(sampler.pick(&Logits(vec![f32::NEG_INFINITY, -1e30])), Some(1));
        assert_eq!(sampler.pick(&Logits(vec![0.0, f32::NAN])), None);
        for scores in [vec![], vec![0.0, f32::INFINITY], vec![f32::NEG_INFINITY; 2]] {
            assert_eq!(sampler.pick(&Logits(scores.clone())), None);
            assert_eq!(random(None, None, 1).pick(&Logits(scores)), None);
        }
    }

    #[test]
    fn a_seed_repeats_its_answer_and_another_seed_does_not() {
        let logits = logits(&[0.25; 4]);
        let run = |seed| {
            let mut sampler = random(None, None, seed);
            (0..32).map(|_| sampler.pick(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn tokens_come_as_often_as_their_probability_says() {
        let all = shares(&mut random(None, None, 1), &logits(&[0.1, 0.6, 0.3]));
        for (share, expected) in all.iter().zip([0.1, 0.6, 0.3]) {
            assert!((share - expected).abs() < 0.015, "{all:?}");
        }
    }

    #[test]
    fn top_k_draws_from_the_best_alone_and_of_equals_from_the_lowest_ids() {
        let two = shares(&mut random(None, Some(2), 1), &logits(&[0.2, 0.2, 0.4, 0.2]));
        assert!(two[0] > 0.3 && two[2] > 0.6 && two[1] == 0.0 && two[3] == 0.0, "{two:?}");
    }

    #[test]
    fn top_p_draws_from_the_fewest_that_reach_it() {
        let probabilities = logits(&[0.5, 0.3, 0.15, 0.05]);
        let drawn = |p| {
            let all = shares(&mut random(Some(p), None, 1), &probabilities);
            all.iter().filter(|share| **share > 0.0).count()
        };
        assert_eq!([drawn(0.1), drawn(0.49), drawn(0.7), drawn(0.9), drawn(1.0)], [1, 1, 2, 3, 4]);
    }

    #[test]
    fn a_low_temperature_is_greedy() {
        let mut sampler = Sampler::new(Sampling::Random {
            temperature: Temperature::new(1e-4).expect("positive"),
            top_p: None,
            top_k: None,
            seed: 3,
        });
        let logits = Logits(vec![1.0, 1.1, 0.9]);
        assert!((0..100).all(|_| sampler.pick(&logits) == Some(1)));
    }

    #[test]
    fn settings_that_make_no_sense_are_errors() {
        for got in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Temperature::new(got).is_err());
        }
        for got in [0.0, 1.1, -0.1, f64::NAN] {
            assert!(TopP::new(got).is_err());
        }
        assert_eq!(TopK::new(0), Err(SamplingError::TopK));
    }
}
