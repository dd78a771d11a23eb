//! How best to spend a mean cost over groups of items when each group may mix its rungs.
//!
//! A multiple-choice knapsack that may be cut: with each group's rungs on the upper concave hull of
//! score over cost, taking the steepest steps first is the exact optimum of the linear programme.
//! With one group it is the best mixture of two fixed rungs; with a group a family, what one could
//! do who is told the family.

/// Items that are routed alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Share of all items.
    pub share: f64,
    /// Mean cost of each rung on these items.
    pub costs: Vec<f64>,
    /// Mean score of each rung.
    pub scores: Vec<f64>,
}

/// How often each group takes each rung.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Shares by group and rung; those of a group add up to 1.
    pub weights: Vec<Vec<f64>>,
    /// Mean cost over all items.
    pub cost: f64,
    /// Mean score over all items.
    pub score: f64,
}

/// A step from one rung of a group to a dearer one that is better.
#[derive(Clone, Copy, Debug)]
struct Step {
    pool: usize,
    from: usize,
    to: usize,
    cost: f64,
    gain: f64,
}

/// The best shares whose mean cost is at most `budget`. Where even the cheapest rungs cost more,
/// these are taken: the solution's cost is then above the budget.
pub fn solve(pools: &[Pool], budget: f64) -> Solution {
    let mut solution = cheapest(pools);
    for step in steps(pools) {
        let left = budget - solution.cost;
        let part = if step.cost > 0.0 { (left / step.cost).clamp(0.0, 1.0) } else { 1.0 };
        if part == 0.0 {
            break;
        }
        solution.take(step, part);
    }
    solution
}

/// Cost and score of every corner of the best that can be had, from the cheapest on. Between two
/// corners it is a straight line.
pub fn frontier(pools: &[Pool]) -> Vec<(f64, f64)> {
    let mut solution = cheapest(pools);
    let mut corners = vec![(solution.cost, solution.score)];
    for step in steps(pools) {
        solution.take(step, 1.0);
        corners.push((solution.cost, solution.score));
    }
    corners
}

impl Solution {
    fn take(&mut self, step: Step, part: f64) {
        let weights = &mut self.weights[step.pool];
        weights[step.to] += part;
        weights[step.from] = if part == 1.0 { 0.0 } else { weights[step.from] - part };
        self.cost += part * step.cost;
        self.score += part * step.gain;
    }
}

fn cheapest(pools: &[Pool]) -> Solution {
    let mut solution = Solution { weights: Vec::new(), cost: 0.0, score: 0.0 };
    for pool in pools {
        let mut weights = vec![0.0; pool.costs.len()];
        if let Some(&first) = hull(pool).first() {
            weights[first] = 1.0;
            solution.cost += pool.share * pool.costs[first];
            solution.score += pool.share * pool.scores[first];
        }
        solution.weights.push(weights);
    }
    solution
}

/// All steps of all groups, steepest first. Those of one group come in their order, because a
/// concave hull becomes flatter.
fn steps(pools: &[Pool]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, pool) in pools.iter().enumerate() {
        steps.extend(hull(pool).windows(2).map(|pair| Step {
            pool: number,
            from: pair[0],
            to: pair[1],
            cost: pool.share * (pool.costs[pair[1]] - pool.costs[pair[0]]),
            gain: pool.share * (pool.scores[pair[1]] - pool.scores[pair[0]]),
        }));
    }
    steps.sort_by(|a, b| (b.gain * a.cost).total_cmp(&(a.gain * b.cost)));
    steps
}

/// The rungs on the rising part of the upper concave hull, cheapest first.
fn hull(pool: &Pool) -> Vec<usize> {
    let (costs, scores) = (&pool.costs, &pool.scores);
    let mut rungs: Vec<usize> = (0..costs.len()).collect();
    rungs.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]).then(scores[b].total_cmp(&scores[a])));
    let mut hull: Vec<usize> = Vec::new();
    for rung in rungs {
        if hull.last().is_some_and(|&last| scores[rung] <= scores[last]) {
            continue;
        }
        // A corner below the line from the one before it to the new one is no corner.
        while let [.., before, last] = hull[..] {
            let (cost, gain) = (costs[last] - costs[before], scores[last] - scores[before]);
            let (far, rise) = (costs[rung] - costs[before], scores[rung] - scores[before]);
            if gain * far > rise * cost {
                break;
            }
            hull.pop();
        }
        hull.push(rung);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(share: f64, points: &[(f64, f64)]) -> Pool {
        let (costs, scores) = points.iter().copied().unzip();
        Pool { share, costs, scores }
    }

    #[test]
    fn one_pool_mixes_the_two_rungs_beside_the_budget() {
        let pools = [pool(1.0, &[(1.0, 0.5), (2.0, 0.7), (4.0, 0.9)])];
        let found = solve(&pools, 3.0);
        assert_eq!(found.weights, [[0.0, 0.5, 0.5]]);
        assert!((found.score - 0.8).abs() < 1e-12 && (found.cost - 3.0).abs() < 1e-12);
        assert_eq!(frontier(&pools).len(), 3);
    }

    #[test]
    fn a_rung_below_the_line_of_its_neighbours_is_never_taken() {
        let pools = [pool(1.0, &[(1.0, 0.5), (2.0, 0.6), (3.0, 0.9)])];
        assert_eq!(solve(&pools, 2.0).weights, [[0.5, 0.0, 0.5]]);
    }

    #[test]
    fn what_costs_more_and_is_no_better_is_never_bought() {
        let pools = [pool(1.0, &[(1.0, 0.5), (2.0, 0.9), (3.0, 0.9), (4.0, 0.7)])];
        let found = solve(&pools, 100.0);
        assert_eq!((found.weights, found.cost), (vec![vec![0.0, 1.0, 0.0, 0.0]], 2.0));
    }

    #[test]
    fn a_budget_below_the_cheapest_takes_the_cheapest_and_shows_its_cost() {
        let found = solve(&[pool(1.0, &[(2.0, 0.5), (3.0, 0.9)])], 1.0);
        assert_eq!((found.weights, found.cost), (vec![vec![1.0, 0.0]], 2.0));
    }

    #[test]
    fn the_group_that_gains_most_is_served_first() {
        let easy = pool(0.5, &[(1.0, 0.9), (3.0, 1.0)]);
        let hard = pool(0.5, &[(1.0, 0.3), (3.0, 0.9)]);
        let found = solve(&[easy, hard], 1.5);
        assert_eq!(found.weights, [[1.0, 0.0], [0.5, 0.5]]);
    }

    fn pools() -> impl Strategy<Value = Vec<Pool>> {
        let point = (1_u8..20, 0_u8..=20).prop_map(|(c, s)| (f64::from(c), f64::from(s) / 20.0));
        let pool = (1_u8..5, prop::collection::vec(point, 2..4))
            .prop_map(|(share, points)| pool(f64::from(share), &points));
        prop::collection::vec(pool, 1..4).prop_map(|mut pools| {
            let all: f64 = pools.iter().map(|pool| pool.share).sum();
            pools.iter_mut().for_each(|pool| pool.share /= all);
            pools
        })
    }

    /// Every corner of the programme: all groups at one rung but at most one, which mixes two so
    /// that the budget is used up.
    fn brute_force(pools: &[Pool], budget: f64) -> Option<f64> {
        let mut best: Option<f64> = None;
        let mut offer = |score: f64| best = Some(best.map_or(score, |best| best.max(score)));
        let counts: Vec<usize> = pools.iter().map(|pool| pool.costs.len()).collect();
        for mut code in 0..counts.iter().product() {
            let choice: Vec<usize> = counts
                .iter()
                .map(|n| {
                    let rung = code % n;
                    code /= n;
                    rung
                })
                .collect();
            let sum = |of: &dyn Fn(&Pool, usize) -> f64| -> f64 {
                pools.iter().zip(&choice).map(|(pool, &rung)| pool.share * of(pool, rung)).sum()
            };
            let cost = sum(&|pool, rung| pool.costs[rung]);
            let score = sum(&|pool, rung| pool.scores[rung]);
            if cost <= budget + 1e-12 {
                offer(score);
            }
            for (pool, &rung) in pools.iter().zip(&choice) {
                for other in 0..pool.costs.len() {
                    let far = pool.share * (pool.costs[other] - pool.costs[rung]);
                    let part = (budget - cost) / far;
                    if far != 0.0 && (0.0..=1.0).contains(&part) {
                        offer(score + part * pool.share * (pool.scores[other] - pool.scores[rung]));
                    }
                }
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_other_mixture_is_better(pools in pools(), budget in 0.0_f64..22.0) {
            let found = solve(&pools, budget);
            for weights in &found.weights {
                prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!(weights.iter().all(|weight| (-1e-12..=1.0 + 1e-9).contains(weight)));
            }
            match brute_force(&pools, budget) {
                Some(best) => {
                    prop_assert!((found.score - best).abs() < 1e-9, "{} {best}", found.score);
                    prop_assert!(found.cost <= budget + 1e-9);
                }
                None => prop_assert!(found.cost > budget),
            }
        }

        #[test]
        fn every_solution_lies_on_the_frontier(pools in pools(), budget in 0.0_f64..22.0) {
            let (found, corners) = (solve(&pools, budget), frontier(&pools));
            let (first, last) = (corners[0], corners[corners.len() - 1]);
            prop_assert!(found.cost >= first.0 - 1e-9 && found.cost <= last.0 + 1e-9);
            let on_line = corners.windows(2).any(|pair| {
                let ((c0, s0), (c1, s1)) = (pair[0], pair[1]);
                let inside = c0 - 1e-9 <= found.cost && found.cost <= c1 + 1e-9;
                let part = if c1 > c0 { (found.cost - c0) / (c1 - c0) } else { 1.0 };
                inside && (s0 + part * (s1 - s0) - found.score).abs() < 1e-9
            });
            let at_corner = corners.iter().any(|(_, score)| (score - found.score).abs() < 1e-9);
            prop_assert!(on_line || at_corner);
        }
    }
}
