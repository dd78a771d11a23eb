//! Which pairs of a rung and a number of patches are worth choosing from: those that no cheaper
//! budget equals (method, section 5).

use super::examples::Examples;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use visor_core::{Ladder, Pair};

/// The most budgets that a policy chooses from, those left out that others equal: a rung stays
/// where a pair equals it, since it can be asked for by name.
pub const MOST: usize = 12;

/// What was measured of a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Mean score.
    pub accuracy: f64,
    /// Mean end-to-end prefill, GFLOPs.
    pub gflops: f64,
    /// Whether the policy chooses from it.
    pub kept: bool,
}

/// Measures every budget of `ladder` on the questions in `range`, and keeps the plain rungs and the
/// pairs that save something and that no budget of at most their cost equals: [`MOST`] at most, for which the pairs go that
/// add least to the next cheaper budget.
pub fn pareto(ladder: &Ladder, examples: &Examples, range: Range<usize>) -> Vec<Measured> {
    let n = range.len().max(1) as f64;
    let mut measured: Vec<Measured> = ladder
        .rungs()
        .iter()
        .enumerate()
        .map(|(place, rung)| {
            let score = |index| f64::from(examples.scores(index)[place]);
            let giga = |index| examples.costs(index)[place].giga();
            Measured {
                name: rung.name().to_owned(),
                accuracy: range.clone().map(score).sum::<f64>() / n,
                gflops: range.clone().map(giga).sum::<f64>() / n,
                kept: rung.patches().is_none(),
            }
        })
        .collect();
    let rungs = ladder.rungs();
    let rung_of = |place: usize| {
        rungs[place].patches()?;
        rungs.iter().position(|r| r.patches().is_none() && r.active() == rungs[place].active())
    };
    let rungs: Vec<Option<usize>> = (0..rungs.len()).map(rung_of).collect();
    choose(&mut measured, &rungs, MOST);
    measured
}

/// The pairs among what was kept.
pub fn kept(ladder: &Ladder, measured: &[Measured]) -> Vec<Pair> {
    let kept = |pair: &Pair| measured.iter().any(|one| one.kept && one.name == pair.name());
    ladder.pairs().into_iter().filter(kept).collect()
}

/// `rungs` says of each budget which one it is a pair of.
fn choose(measured: &mut [Measured], rungs: &[Option<usize>], most: usize) {
    let equalled = |place: usize| {
        let pair = &measured[place];
        measured.iter().enumerate().any(|(other, one)| {
            let (cheaper, better) = (one.gflops <= pair.gflops, one.accuracy >= pair.accuracy);
            other != place && cheaper && better
        })
    };
    // Where choosing patches costs more than it saves, there is nothing to gain.
    let saves = |place: usize| {
        rungs[place].is_some_and(|rung| measured[place].gflops < measured[rung].gflops)
    };
    let worth: Vec<usize> =
        (0..measured.len()).filter(|&place| saves(place) && !equalled(place)).collect();
    let equalled: Vec<bool> = (0..measured.len()).map(equalled).collect();
    for place in worth {
        measured[place].kept = true;
    }
    let counts = |measured: &[Measured], place: usize| measured[place].kept && !equalled[place];
    while (0..measured.len()).filter(|&place| counts(measured, place)).count() > most {
        let places = 0..measured.len();
        let gain = |&place: &usize| gain(measured, place);
        let least = places
            .filter(|&place| rungs[place].is_some() && measured[place].kept)
            .min_by(|a, b| gain(a).total_cmp(&gain(b)));
        // More rungs than fit leave no room for pairs, and stay.
        let Some(least) = least else { return };
        measured[least].kept = false;
    }
}

/// What a budget adds to the best of those that are kept and cheaper.
fn gain(measured: &[Measured], place: usize) -> f64 {
    let one = &measured[place];
    let cheaper = measured.iter().filter(|other| other.kept && other.gflops < one.gflops);
    one.accuracy - cheaper.map(|other| other.accuracy).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(budgets: &[(f64, f64)]) -> Vec<Measured> {
        let one = |(place, &(gflops, accuracy))| {
            let name = format!("b{place}");
            Measured { name, accuracy, gflops, kept: false }
        };
        budgets.iter().enumerate().map(one).collect()
    }

    fn kept(measured: &[Measured]) -> Vec<usize> {
        (0..measured.len()).filter(|&place| measured[place].kept).collect()
    }

    #[test]
    fn a_pair_that_a_cheaper_budget_equals_is_left_out() {
        let mut all = measured(&[(1.0, 0.5), (2.0, 0.5), (3.0, 0.7), (4.0, 0.6), (5.0, 0.9)]);
        choose(&mut all, &[Some(4), Some(4), Some(4), Some(4), None], MOST);
        assert_eq!(kept(&all), [0, 2]);
        let mut dear = measured(&[(1.0, 0.5), (2.0, 0.9)]);
        choose(&mut dear, &[None, Some(0)], MOST);
        assert!(kept(&dear).is_empty(), "a pair that costs more than its rung");
    }

    #[test]
    fn plain_rungs_stay_and_the_pairs_that_add_least_go_first() {
        let mut all = measured(&[(1.0, 0.50), (2.0, 0.60), (3.0, 0.61), (4.0, 0.80), (5.0, 0.79)]);
        all[4].kept = true;
        let rungs = [Some(4), Some(4), Some(4), Some(4), None];
        choose(&mut all, &rungs, 4);
        assert_eq!(kept(&all), [0, 1, 2, 3, 4], "a rung that a pair equals does not count");
        choose(&mut all, &rungs, 3);
        assert_eq!(kept(&all), [0, 1, 3, 4]);
        choose(&mut all, &rungs, 0);
        assert_eq!(kept(&all), [4]);
    }
}
