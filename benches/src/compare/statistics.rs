//! Means, differences and times with what is uncertain about them. All intervals are of 95 %.
//!
//! Items of one picture are not independent: they form a cluster, and standard errors are those of
//! cluster sums. Where every picture has one item this is the usual standard error.

mod clusters;
mod times;

pub use clusters::Clusters;
pub use times::Spread;

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

/// The normal deviate of a two-sided interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A mean of scores with its interval, all from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Items.
    pub n: usize,
}

/// The mean difference of two rows on the same items, with its interval; from -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Mean of the differences.
    pub difference: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// McNemar's exact two-sided p, where all scores are right or wrong and items independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// Items that both rows answered.
    pub n: usize,
}

/// Wilson's interval for a share of `n` independent trials, which may be an effective number.
pub fn wilson(share: f64, n: f64) -> (f64, f64) {
    let z2 = Z * Z;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // The ends are exact where the share is, which rounding would miss.
    let low = if share <= 0.0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if share >= 1.0 { 1.0 } else { (middle + half).min(1.0) };
    (low, high)
}

/// The mean of scores from 0 to 1; `None` of none.
///
/// Scores that are all 0 or 1 get Wilson's interval, on the number of independent items that would
/// give the clusters' standard error; others Student's.
pub fn mean(scores: &[f64], clusters: &Clusters) -> Option<Estimate> {
    let n = scores.len();
    if n == 0 {
        return None;
    }
    let mean = scores.iter().sum::<f64>() / n as f64;
    let error = standard_error(scores.iter().map(|score| (score - mean) / n as f64), clusters);
    let (low, high) = if scores.iter().all(|score| is_hard(*score)) {
        wilson(mean, effective(mean, error, n, clusters))
    } else {
        let half = student(clusters.len()) * error;
        ((mean - half).max(0.0), (mean + half).min(1.0))
    };
    Some(Estimate { mean, low, high, n })
}

/// How many independent items say as much about a share as clustered ones.
fn effective(share: f64, error: f64, n: usize, clusters: &Clusters) -> f64 {
    if clusters.are_single() {
        return n as f64;
    }
    let variance = share * (1.0 - share);
    // Where all items agree nothing is seen of their dependence, so the worst is assumed.
    let number = if variance > 0.0 { variance / (error * error) } else { clusters.len() as f64 };
    number.clamp(1.0, n as f64)
}

/// The mean over families of each family's mean, as papers print it; `None` of none.
///
/// `families` gives the family of each score. The interval adds up the families' own intervals
/// (MOVER); where items of one picture are in several families it is at least the clusters'.
pub fn mean_over_families(
    scores: &[f64],
    families: &[usize],
    clusters: &Clusters,
) -> Option<Estimate> {
    let members = members(families);
    if members.is_empty() {
        return None;
    }
    let weight = 1.0 / members.len() as f64;
    let (mut middle, mut below, mut above) = (0.0, 0.0, 0.0);
    let mut influences = vec![0.0; scores.len()];
    for items in &members {
        let of_family: Vec<f64> = items.iter().map(|&item| scores[item]).collect();
        let estimate = mean(&of_family, &clusters.of_items(items))?;
        middle += weight * estimate.mean;
        below += (weight * (estimate.mean - estimate.low)).powi(2);
        above += (weight * (estimate.high - estimate.mean)).powi(2);
        for &item in items {
            influences[item] = weight * (scores[item] - estimate.mean) / items.len() as f64;
        }
    }
    let (mut low, mut high) = (middle - below.sqrt(), middle + above.sqrt());
    if !clusters.are_single() {
        let half = student(clusters.len()) * standard_error(influences.into_iter(), clusters);
        (low, high) = (low.min(middle - half), high.max(middle + half));
    }
    Some(Estimate { mean: middle, low: low.max(0.0), high: high.min(1.0), n: scores.len() })
}

/// The mean of `a - b`; `None` of none.
///
/// Student's interval on the differences. Where no two scores differ it is what could have gone
/// unseen: the exact bound of a share of which nothing was found.
pub fn paired(a: &[f64], b: &[f64], clusters: &Clusters) -> Option<Difference> {
    let everything = vec![0; a.len()];
    let mut difference = paired_over_families(a, b, &everything, clusters)?;
    let hard = a.iter().chain(b).all(|score| is_hard(*score));
    if hard && clusters.are_single() {
        let wins = |a: &[f64], b: &[f64]| a.iter().zip(b).filter(|(a, b)| a > b).count() as u64;
        difference.p = Some(mcnemar(wins(a, b), wins(b, a)));
    }
    Some(difference)
}

/// The mean over families of the mean of `a - b` in each; `None` of none.
pub fn paired_over_families(
    a: &[f64],
    b: &[f64],
    families: &[usize],
    clusters: &Clusters,
) -> Option<Difference> {
    let members = members(families);
    if members.is_empty() {
        return None;
    }
    let weight = 1.0 / members.len() as f64;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let mut middle = 0.0;
    let mut influences = vec![0.0; a.len()];
    for items in &members {
        let share = weight / items.len() as f64;
        let mean = items.iter().map(|&item| differences[item]).sum::<f64>() / items.len() as f64;
        middle += weight * mean;
        for &item in items {
            influences[item] = share * (differences[item] - mean);
        }
    }
    let half = if differences.iter().all(|difference| *difference == 0.0) {
        1.0 - 0.025_f64.powf(1.0 / clusters.len() as f64)
    } else {
        student(clusters.len()) * standard_error(influences.into_iter(), clusters)
    };
    Some(Difference {
        difference: middle,
        low: (middle - half).max(-1.0),
        high: (middle + half).min(1.0),
        p: None,
        n: a.len(),
    })
}

/// McNemar's exact two-sided p: how likely so uneven a split of the items on which two rows differ
/// would be, were both equally good.
pub fn mcnemar(only_a: u64, only_b: u64) -> f64 {
    match Binomial::new(0.5, only_a + only_b) {
        Ok(coin) => (2.0 * coin.cdf(only_a.min(only_b))).min(1.0),
        Err(_) => 1.0,
    }
}

/// Ratio of means: what `reference` costs over what `spent` does. `None` where nothing was spent.
pub fn saving(reference: &[f64], spent: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ratio = mean(reference) / mean(spent);
    ratio.is_finite().then_some(ratio)
}

/// Of a sum of one influence an item.
fn standard_error(influences: impl Iterator<Item = f64>, clusters: &Clusters) -> f64 {
    let sums = clusters.sums(influences);
    let count = sums.len() as f64;
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    // One cluster says nothing of how clusters differ: the interval is then everything.
    if count < 2.0 { f64::INFINITY } else { (count / (count - 1.0) * squares).sqrt() }
}

/// Student's deviate of a two-sided interval of 95 %, for a mean over so many clusters.
pub(crate) fn student(clusters: usize) -> f64 {
    let freedom = clusters.saturating_sub(1).max(1) as f64;
    StudentsT::new(0.0, 1.0, freedom).map_or(Z, |student| student.inverse_cdf(0.975))
}

fn is_hard(score: f64) -> bool {
    score == 0.0 || score == 1.0
}

/// The items of each family that has any.
fn members(families: &[usize]) -> Vec<Vec<usize>> {
    let count = families.iter().max().map_or(0, |last| last + 1);
    let mut members = vec![Vec::new(); count];
    families.iter().enumerate().for_each(|(item, &family)| members[family].push(item));
    members.retain(|items| !items.is_empty());
    members
}

#[cfg(test)]
mod tests;
