//! A row as numbers by item, observed or expected: what all statistics are computed from.

use crate::compare::observation::{Group, Item, Observations, Row, Scope};
use crate::compare::references::Expected;
use crate::compare::statistics::{
    self, Clusters, Difference, Estimate, mean_over_families, paired, paired_over_families,
};

/// One row.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) group: Group,
    pub(super) scores: Vec<Option<f64>>,
    /// By scope in the order of [`Scope::ALL`], and item.
    pub(super) flops: [Vec<f64>; 4],
    pub(super) layers: Vec<f64>,
    /// Chance of each rung by item, where the row chooses.
    pub(super) chances: Option<Vec<Vec<f64>>>,
}

impl Line {
    pub(super) fn observed(row: &Row, rungs: usize) -> Self {
        let flops = Scope::ALL
            .map(|scope| row.answers.iter().map(|answer| answer.flops.of(scope) as f64).collect());
        let one = |rung: u16| (0..rungs).map(move |r| f64::from(u8::from(r == usize::from(rung))));
        let chances = row.answers.iter().map(|answer| Some(one(answer.rung?).collect()));
        Self {
            name: row.head.name.clone(),
            group: row.head.group,
            scores: row.answers.iter().map(|answer| answer.score.map(f64::from)).collect(),
            flops,
            layers: row.answers.iter().map(|a| f64::from(a.self_attention_layers)).collect(),
            chances: chances.collect(),
        }
    }

    pub(super) fn expected(name: String, expected: Expected) -> Self {
        Self {
            name,
            group: Group::Reference,
            scores: expected.scores,
            flops: expected.flops,
            layers: expected.layers,
            chances: Some(expected.chances),
        }
    }

    /// Mean FLOPs in a scope.
    pub(super) fn mean_cost(&self, scope: Scope) -> f64 {
        let at = Scope::ALL.iter().position(|of| *of == scope).unwrap_or(0);
        average(&self.flops[at])
    }
}

/// The mean; not a number of none.
pub(super) fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Which items there are: their families and pictures.
pub(super) struct Plan<'a> {
    pub(super) items: &'a [Item],
    /// Number of each item's family, in the order of names.
    families: Vec<usize>,
    clusters: Clusters,
}

impl<'a> Plan<'a> {
    pub(super) fn new(run: &'a Observations) -> Self {
        let names: Vec<&str> = run.families().into_keys().collect();
        let number = |item: &Item| names.partition_point(|name| **name < *item.family);
        Self {
            items: run.items(),
            families: run.items().iter().map(number).collect(),
            clusters: Clusters::by(run.items().iter().map(|item| item.picture)),
        }
    }

    pub(super) fn pictures(&self) -> usize {
        self.clusters.len()
    }

    /// Mean score over the items that `of` takes.
    pub(super) fn mean(&self, line: &Line, of: impl Fn(&Item) -> bool) -> Option<Estimate> {
        let (items, [scores]) = self.answered([line], of);
        statistics::mean(&scores, &self.clusters.of_items(&items))
    }

    /// Mean over families of the items that `of` takes.
    pub(super) fn family_mean(&self, line: &Line, of: impl Fn(&Item) -> bool) -> Option<Estimate> {
        let (items, [scores]) = self.answered([line], of);
        let families = self.families_of(&items);
        mean_over_families(&scores, &families, &self.clusters.of_items(&items))
    }

    /// `a` less `b` over the items that both answered.
    pub(super) fn difference(&self, a: &Line, b: &Line) -> Option<Difference> {
        let (items, [a, b]) = self.answered([a, b], |_| true);
        paired(&a, &b, &self.clusters.of_items(&items))
    }

    /// The same as a mean over families.
    pub(super) fn family_difference(
        &self,
        a: &Line,
        b: &Line,
        of: impl Fn(&Item) -> bool,
    ) -> Option<Difference> {
        let (items, [a, b]) = self.answered([a, b], of);
        let families = self.families_of(&items);
        paired_over_families(&a, &b, &families, &self.clusters.of_items(&items))
    }

    fn families_of(&self, items: &[usize]) -> Vec<usize> {
        items.iter().map(|&item| self.families[item]).collect()
    }

    /// The items that `of` takes and all lines answered, with the lines' scores.
    fn answered<const N: usize>(
        &self,
        lines: [&Line; N],
        of: impl Fn(&Item) -> bool,
    ) -> (Vec<usize>, [Vec<f64>; N]) {
        let taken = |item: &usize| {
            of(&self.items[*item]) && lines.iter().all(|line| line.scores[*item].is_some())
        };
        let items: Vec<usize> = (0..self.items.len()).filter(taken).collect();
        let scores = lines.map(|line| items.iter().filter_map(|&i| line.scores[i]).collect());
        (items, scores)
    }
}
