//! What could have been had from the same rungs: the best and the dumbest ways to choose.
//!
//! Every reference is a chance of each rung for each item, so that all of them, mixtures and
//! chance too, have an expected score on every item and can be paired with a routed row. None can
//! be had in practice: the oracle knows the answers, the others were fitted on labels or tuned to a
//! cost that is only known afterwards.

mod fitting;

pub use fitting::{FamilyScores, ReferenceError};

use super::mixture::{self, Pool};
use super::observation::{Observations, Row, Scope};
use std::collections::BTreeMap;

/// A share of the best score that counts as reaching it: a rung within 1 % is as good.
const AS_GOOD: f64 = 0.99;

/// What every rung does on every item.
#[derive(Clone, Debug)]
pub struct Choices {
    family_names: Vec<String>,
    /// Of each item.
    families: Vec<usize>,
    /// By item and rung; empty where some rung did not answer.
    scores: Vec<Vec<f64>>,
    /// By item and rung, in the order of [`Scope::ALL`].
    flops: Vec<Vec<[f64; 4]>>,
    /// By item and rung.
    layers: Vec<Vec<f64>>,
    rungs: usize,
}

/// The chance of each rung for each item.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    chances: Vec<Vec<f64>>,
}

/// What a way of choosing gives on each item, in the mean over its chances.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Score of each item; `None` where some rung did not answer.
    pub scores: Vec<Option<f64>>,
    /// FLOPs of each item, by scope in the order of [`Scope::ALL`].
    pub flops: [Vec<f64>; 4],
    /// Self-attention layers of each item.
    pub layers: Vec<f64>,
    /// Chance of each rung, by item.
    pub chances: Vec<Vec<f64>>,
}

impl Choices {
    /// Those of a run's ladder.
    ///
    /// # Errors
    /// [`ReferenceError::NoLadder`], [`ReferenceError::NoItems`].
    pub fn new(run: &Observations) -> Result<Self, ReferenceError> {
        let ladder = run.ladder();
        if ladder.is_empty() {
            return Err(ReferenceError::NoLadder);
        }
        let family_names: Vec<String> = run.families().into_keys().map(str::to_owned).collect();
        let number = |family: &String| family_names.partition_point(|name| name < family);
        let n = run.items().len();
        let by_item = |item: usize| ladder.iter().map(move |row| row.answers[item]);
        let scores: Vec<Vec<f64>> = (0..n)
            .map(|item| by_item(item).map(|answer| answer.score.map(f64::from)).collect())
            .map(|scores: Option<Vec<f64>>| scores.unwrap_or_default())
            .collect();
        if scores.iter().all(Vec::is_empty) {
            return Err(ReferenceError::NoItems);
        }
        Ok(Self {
            families: run.items().iter().map(|item| number(&item.family)).collect(),
            family_names,
            scores,
            flops: (0..n)
                .map(|item| {
                    by_item(item).map(|a| Scope::ALL.map(|s| a.flops.of(s) as f64)).collect()
                })
                .collect(),
            layers: (0..n)
                .map(|item| by_item(item).map(|a| f64::from(a.self_attention_layers)).collect())
                .collect(),
            rungs: ladder.len(),
        })
    }

    /// Number of rungs.
    pub fn rungs(&self) -> usize {
        self.rungs
    }

    /// What a way of choosing gives on each item.
    pub fn expect(&self, routing: &Routing) -> Expected {
        let mean = |chances: &[f64], values: &mut dyn Iterator<Item = f64>| -> f64 {
            chances.iter().zip(values).map(|(chance, value)| chance * value).sum()
        };
        let items = || routing.chances.iter().enumerate();
        let scores = items().map(|(item, chances)| {
            let scores = &self.scores[item];
            (!scores.is_empty()).then(|| mean(chances, &mut scores.iter().copied()))
        });
        let flops = |scope: usize| -> Vec<f64> {
            let of_item = |(item, chances): (usize, &Vec<f64>)| {
                mean(chances, &mut self.flops[item].iter().map(|flops| flops[scope]))
            };
            items().map(of_item).collect()
        };
        let layers = items().map(|(i, chances)| mean(chances, &mut self.layers[i].iter().copied()));
        Expected {
            scores: scores.collect(),
            flops: [flops(0), flops(1), flops(2), flops(3)],
            layers: layers.collect(),
            chances: routing.chances.clone(),
        }
    }

    /// Mean cost of a row in a scope, over the items that all rungs answered; FLOPs.
    pub fn mean_cost(&self, row: &Row, scope: Scope) -> f64 {
        let costs = row.answers.iter().map(|answer| answer.flops.of(scope) as f64);
        self.mean(costs)
    }

    /// The cheapest rung that is right; where none is, the cheapest. Of soft scores, the cheapest
    /// that reaches 99 % of the best.
    pub fn oracle(&self) -> Routing {
        self.one_each(|item| {
            let scores = &self.scores[item];
            let best = scores.iter().copied().fold(0.0, f64::max);
            scores.iter().position(|score| *score >= AS_GOOD * best).unwrap_or(0)
        })
    }

    /// One rung for all; its place in the ladder.
    pub fn fixed(&self, rung: usize) -> Routing {
        self.one_each(|_| rung)
    }

    /// The rung of the best mean score among those whose mean cost in `scope` is at most `cost`
    /// FLOPs; of equal ones the cheapest, `None` where all cost more.
    pub fn best_fixed(&self, scope: Scope, cost: f64) -> Option<usize> {
        let everything = self.everything(scope);
        let (costs, scores) = (&everything.costs, &everything.scores);
        let affordable = (0..self.rungs).filter(|&rung| costs[rung] <= cost);
        affordable.reduce(|best, rung| {
            let better = scores[rung] > scores[best];
            let cheaper = scores[rung] == scores[best] && costs[rung] < costs[best];
            if better || cheaper { rung } else { best }
        })
    }

    /// The best mixture of two rungs, chance deciding between them, whose mean cost is `cost`
    /// FLOPs; fitted on the very items, which flatters it.
    pub fn best_mixture(&self, scope: Scope, cost: f64) -> Routing {
        let solution = mixture::solve(&[self.everything(scope)], cost);
        Routing { chances: vec![solution.weights[0].clone(); self.families.len()] }
    }

    /// Chance that takes each rung as often as the row did.
    ///
    /// # Errors
    /// [`ReferenceError::NotRouted`].
    pub fn random(&self, row: &Row) -> Result<Routing, ReferenceError> {
        let histogram = self.histogram(row, |_| true)?;
        Ok(Routing { chances: vec![histogram; self.families.len()] })
    }

    /// Chance that takes each rung as often as the row did within each family: what is left when a
    /// router tells families apart and nothing else.
    ///
    /// # Errors
    /// [`ReferenceError::NotRouted`].
    pub fn random_within_families(&self, row: &Row) -> Result<Routing, ReferenceError> {
        let histograms: Vec<Vec<f64>> = (0..self.family_names.len())
            .map(|family| self.histogram(row, |item| self.families[item] == family))
            .collect::<Result<_, _>>()?;
        let chances = self.families.iter().map(|&family| histograms[family].clone());
        Ok(Routing { chances: chances.collect() })
    }

    /// A look-up by family that costs at most `cost` FLOPs in the mean: the mixture of rungs for
    /// each family that is best by the given scores. Costs and shares of the families are those of
    /// these items, since they are known before anything runs.
    ///
    /// # Errors
    /// [`ReferenceError::UnknownFamily`], [`ReferenceError::OtherLadder`].
    pub fn look_up(
        &self,
        scores: &FamilyScores,
        scope: Scope,
        cost: f64,
    ) -> Result<Routing, ReferenceError> {
        let solution = mixture::solve(&self.pools(scores, scope)?, cost);
        let chances = self.families.iter().map(|&family| solution.weights[family].clone());
        Ok(Routing { chances: chances.collect() })
    }

    /// Corners of the best that mixtures of rungs can have: mean FLOPs and mean score.
    pub fn mixture_frontier(&self, scope: Scope) -> Vec<(f64, f64)> {
        mixture::frontier(&[self.everything(scope)])
    }

    /// Mean scores by family of these very items: a look-up fitted on them is flattered.
    pub fn family_scores(&self) -> FamilyScores {
        let items = self
            .complete()
            .map(|i| (self.family_names[self.families[i]].as_str(), self.scores[i].as_slice()));
        // `new` has found an item that all rungs answered.
        FamilyScores::new(items)
            .unwrap_or(FamilyScores { by_family: BTreeMap::new(), rungs: self.rungs })
    }

    fn pools(&self, scores: &FamilyScores, scope: Scope) -> Result<Vec<Pool>, ReferenceError> {
        if scores.rungs != self.rungs {
            let (found, expected) = (scores.rungs, self.rungs);
            return Err(ReferenceError::OtherLadder { found, expected });
        }
        let all = self.complete().count() as f64;
        let pool = |(number, family): (usize, &String)| {
            let here = |&item: &usize| self.families[item] == number;
            let n = self.complete().filter(here).count() as f64;
            let known = scores.by_family.get(family);
            // A family without items is never routed, whatever its weights.
            let scores = match known {
                Some(scores) => scores.clone(),
                None if n == 0.0 => vec![0.0; self.rungs],
                None => return Err(ReferenceError::UnknownFamily { family: family.clone() }),
            };
            let cost = |rung: usize| {
                let costs = self.complete().filter(here).map(|item| self.cost(item, rung, scope));
                if n == 0.0 { rung as f64 } else { costs.sum::<f64>() / n }
            };
            Ok(Pool { share: n / all, costs: (0..self.rungs).map(cost).collect(), scores })
        };
        self.family_names.iter().enumerate().map(pool).collect()
    }

    fn everything(&self, scope: Scope) -> Pool {
        let mean = |of: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            let n = self.complete().count() as f64;
            let of_rung = |rung| self.complete().map(|item| of(item, rung)).sum::<f64>() / n;
            (0..self.rungs).map(of_rung).collect()
        };
        Pool {
            share: 1.0,
            costs: mean(&|item, rung| self.cost(item, rung, scope)),
            scores: mean(&|item, rung| self.scores[item][rung]),
        }
    }

    fn cost(&self, item: usize, rung: usize, scope: Scope) -> f64 {
        let at = Scope::ALL.iter().position(|of| *of == scope);
        at.map_or(0.0, |at| self.flops[item][rung][at])
    }

    /// The items that all rungs answered.
    fn complete(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.scores.len()).filter(|&item| !self.scores[item].is_empty())
    }

    fn mean(&self, values: impl Iterator<Item = f64>) -> f64 {
        let values: Vec<f64> = values.collect();
        let sum: f64 = self.complete().map(|item| values[item]).sum();
        sum / self.complete().count() as f64
    }

    fn one_each(&self, rung: impl Fn(usize) -> usize) -> Routing {
        let chances = |item| {
            let mut chances = vec![0.0; self.rungs];
            chances[rung(item)] = 1.0;
            chances
        };
        Routing { chances: (0..self.families.len()).map(chances).collect() }
    }

    /// How often the row took each rung on some of the items. Where it had none of them, the
    /// cheapest, so that there is a chance of something.
    fn histogram(&self, row: &Row, of: impl Fn(usize) -> bool) -> Result<Vec<f64>, ReferenceError> {
        let mut counts = vec![0.0; self.rungs];
        for item in self.complete().filter(|item| of(*item)) {
            match row.answers[item].rung {
                Some(rung) => counts[usize::from(rung)] += 1.0,
                None => {
                    let row = row.head.name.clone();
                    return Err(ReferenceError::NotRouted { row, item });
                }
            }
        }
        let n: f64 = counts.iter().sum();
        match n {
            0.0 => counts[0] = 1.0,
            _ => counts.iter_mut().for_each(|count| *count /= n),
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests;
