//! From observations to the record.

use super::comparisons::{Reference, Roles, comparisons, references};
use super::line::{Line, Plan, average};
use super::{
    AtDifficulty, CompareRecord, Context, Costs, Dominated, FamilyHead, FamilyMean, Frontier,
    RecordError, RowRecord, SCHEMA_VERSION, Savings, Shares, pareto, rounding,
};
use crate::compare::observation::{Group, Item, Kind, Observations, Row, Scope, Stage};
use crate::compare::references::Choices;
use crate::compare::statistics::{Estimate, Spread, saving};
use crate::quantile;
use std::collections::BTreeMap;

/// A scalar of difficulty with more values than this is no axis of a table.
const DIFFICULTIES: usize = 16;

/// FLOPs of a GFLOP.
const GIGA: f64 = 1e9;

impl CompareRecord {
    /// Computes everything that is reported.
    ///
    /// # Errors
    /// [`RecordError`], where the context names rows that are not there, or references cannot be
    /// computed.
    pub fn new(run: &Observations, context: Context) -> Result<Self, RecordError> {
        let ladder: Vec<String> = run.ladder().iter().map(|row| row.head.name.clone()).collect();
        let full = context.full.clone().or_else(|| ladder.last().cloned());
        let full = full.ok_or(RecordError::NoFull)?;
        known(run, &full, "the full budget")?;
        let dense = match &context.dense {
            Some(dense) => Some(known(run, dense, "dense")?),
            None => run.row("dense"),
        };
        let routed = match &context.routed {
            Some(name) => Some(known(run, name, "the routed row")?),
            None => run.rows().iter().find(|row| row.head.group == Group::Auto),
        };
        if let Some(row) = routed.filter(|row| row.head.group != Group::Auto) {
            return Err(RecordError::NotRouted {
                row: row.head.name.clone(),
                group: row.head.group,
            });
        }
        let routed = routed.map(|row| row.head.name.as_str());
        let references = references(run, &context, routed)?;
        if let Some(computed) = references.iter().find(|of| run.row(&of.line.name).is_some()) {
            return Err(RecordError::Repeated { row: computed.line.name.clone() });
        }
        let plan = Plan::new(run);
        let (mut heads, mut lines) = (Vec::new(), Vec::new());
        for row in run.rows() {
            heads.push(Head::Observed(row));
            lines.push(Line::observed(row, ladder.len()));
        }
        for Reference { line, about, of } in references {
            heads.push(Head::Computed { about, of });
            lines.push(line);
        }
        let maker = Maker {
            plan: &plan,
            full: lines.iter().find(|line| line.name == full),
            dense: dense.and_then(|dense| lines.iter().find(|l| l.name == dense.head.name)),
        };
        let mut rows: Vec<RowRecord> =
            heads.into_iter().zip(&lines).map(|(head, line)| maker.row(head, line)).collect();
        pareto::mark(&mut rows);
        let roles = Roles { full: &full, routed };
        let record = Self {
            schema_version: SCHEMA_VERSION,
            comparisons: comparisons(run, &plan, &lines, &roles, context.cost_scope)?,
            dense: dense.map(|row| row.head.name.clone()),
            routed: routed.map(str::to_owned),
            environment: context.environment,
            model: context.model,
            policy: context.policy,
            suite: run.suite().clone(),
            items: run.items().len(),
            pictures: plan.pictures(),
            families: families(run),
            settings: context.settings,
            protocol: context.protocol,
            cost_scope: context.cost_scope,
            fitted_on: context.fitting.map(|fitting| fitting.name),
            frontier: frontier(run)?,
            benchmark: context.benchmark,
            selection: context.selection,
            full,
            ladder,
            rows,
        };
        Ok(rounding::rounded(&record)?)
    }
}

/// Where a row comes from.
enum Head<'a> {
    Observed(&'a Row),
    Computed {
        about: String,
        /// The routed row that it belongs to.
        of: Option<String>,
    },
}

fn known<'a>(
    run: &'a Observations,
    name: &str,
    role: &'static str,
) -> Result<&'a Row, RecordError> {
    run.row(name).ok_or_else(|| RecordError::UnknownRow {
        row: name.to_owned(),
        role,
        rows: run.rows().iter().map(|row| row.head.name.clone()).collect(),
    })
}

fn families(run: &Observations) -> Vec<FamilyHead> {
    let head = |(name, kind): (&str, Kind)| FamilyHead {
        name: name.to_owned(),
        kind,
        items: run.items().iter().filter(|item| item.family == name).count(),
    };
    let mut families: Vec<FamilyHead> = run.families().into_iter().map(head).collect();
    families.sort_by_key(|family| family.kind);
    families
}

fn frontier(run: &Observations) -> Result<Vec<Frontier>, RecordError> {
    if run.ladder().is_empty() {
        return Ok(Vec::new());
    }
    let choices = Choices::new(run)?;
    let of_scope = |scope| {
        let corners = choices.mixture_frontier(scope).into_iter();
        Frontier { scope, corners: corners.map(|(cost, score)| (cost / GIGA, score)).collect() }
    };
    Ok([Scope::EndToEnd, Scope::LmPrefill].map(of_scope).into())
}

/// Makes rows out of lines.
struct Maker<'a> {
    plan: &'a Plan<'a>,
    full: Option<&'a Line>,
    dense: Option<&'a Line>,
}

impl Maker<'_> {
    fn row(&self, head: Head<'_>, line: &Line) -> RowRecord {
        let plan = self.plan;
        let (row, about, of) = match head {
            Head::Observed(row) => (Some(row), row.head.about.clone(), None),
            Head::Computed { about, of } => (None, about, of),
        };
        let of_scopes = |of: &dyn Fn(&Vec<f64>) -> f64| {
            Costs::from_all([0, 1, 2, 3].map(|scope| of(&line.flops[scope]) / GIGA))
        };
        let other = self.full.filter(|full| full.name != line.name);
        RowRecord {
            name: line.name.clone(),
            group: line.group,
            about,
            network: row.and_then(|row| row.head.network.clone()),
            visual_tokens: row.and_then(|row| row.head.visual_tokens),
            of,
            accuracy: plan.mean(line, |_| true),
            difference: other.and_then(|full| plan.difference(line, full)),
            easy: self.family_mean(line, |item| item.kind == Kind::Easy),
            hard: self.family_mean(line, |item| item.kind == Kind::Hard),
            all_families: self.family_mean(line, |_| true),
            families: self.by_family(line),
            difficulty: self.by_difficulty(line),
            gflops: of_scopes(&|costs| average(costs)),
            gflops_median: of_scopes(&|costs| quantile(costs, 0.5).unwrap_or(0.0)),
            gflops_p95: of_scopes(&|costs| quantile(costs, 0.95).unwrap_or(0.0)),
            savings: self.dense.map(|dense| savings(dense, line)),
            self_attention_layers: average(&line.layers),
            times_ms: row.map(times).unwrap_or_default(),
            peak_rss_bytes: row.and_then(|row| row.peak_rss_bytes),
            routing: line.chances.as_ref().map(|chances| self.shares(chances)),
            dominated_by: Dominated::default(),
        }
    }

    fn family_mean(&self, line: &Line, of: impl Fn(&Item) -> bool) -> Option<FamilyMean> {
        let accuracy = self.plan.family_mean(line, &of)?;
        let other = self.full.filter(|full| full.name != line.name);
        let difference = other.and_then(|full| self.plan.family_difference(line, full, &of));
        Some(FamilyMean { accuracy, difference })
    }

    fn by_family(&self, line: &Line) -> BTreeMap<String, Estimate> {
        let mut families = BTreeMap::new();
        for item in self.plan.items {
            if !families.contains_key(&item.family)
                && let Some(mean) = self.plan.mean(line, |other| other.family == item.family)
            {
                families.insert(item.family.clone(), mean);
            }
        }
        families
    }

    fn by_difficulty(&self, line: &Line) -> BTreeMap<String, BTreeMap<String, Vec<AtDifficulty>>> {
        let mut values: BTreeMap<(&str, &str), Vec<f32>> = BTreeMap::new();
        for item in self.plan.items {
            for (scalar, value) in &item.difficulty {
                let seen = values.entry((&item.family, scalar)).or_default();
                if seen.len() <= DIFFICULTIES && !seen.contains(value) {
                    seen.push(*value);
                }
            }
        }
        let mut table: BTreeMap<String, BTreeMap<String, Vec<AtDifficulty>>> = BTreeMap::new();
        for ((family, scalar), mut values) in values {
            if !(2..=DIFFICULTIES).contains(&values.len()) {
                continue;
            }
            values.sort_by(f32::total_cmp);
            let at = |value: f32| {
                let here = |item: &Item| {
                    item.family == family && item.difficulty.get(scalar) == Some(&value)
                };
                let accuracy = self.plan.mean(line, here)?;
                Some(AtDifficulty { value: f64::from(value), accuracy })
            };
            let cells: Vec<AtDifficulty> = values.into_iter().filter_map(at).collect();
            if !cells.is_empty() {
                table.entry(family.to_owned()).or_default().insert(scalar.to_owned(), cells);
            }
        }
        table
    }

    fn shares(&self, chances: &[Vec<f64>]) -> Shares {
        let mut all = Sum::default();
        let mut families: BTreeMap<String, Sum> = BTreeMap::new();
        for (item, chances) in self.plan.items.iter().zip(chances) {
            all.add(chances);
            families.entry(item.family.clone()).or_default().add(chances);
        }
        let families = families.into_iter().map(|(family, sum)| (family, sum.shares()));
        Shares { all: all.shares(), families: families.collect() }
    }
}

/// A sum of chances.
#[derive(Default)]
struct Sum {
    chances: Vec<f64>,
    n: f64,
}

impl Sum {
    fn add(&mut self, chances: &[f64]) {
        self.chances.resize(chances.len(), 0.0);
        self.chances.iter_mut().zip(chances).for_each(|(sum, chance)| *sum += chance);
        self.n += 1.0;
    }

    fn shares(self) -> Vec<f64> {
        self.chances.into_iter().map(|sum| sum / self.n).collect()
    }
}

fn savings(dense: &Line, line: &Line) -> Savings {
    let [end_to_end, lm_prefill, vision_side, decode_step] =
        [0, 1, 2, 3].map(|scope| saving(&dense.flops[scope], &line.flops[scope]));
    Savings { end_to_end, lm_prefill, vision_side, decode_step }
}

/// In milliseconds.
fn times(row: &Row) -> BTreeMap<Stage, Spread> {
    let of_stage = |stage: Stage| {
        let times: Vec<f64> = row.timing.iter().map(|s| s.of(stage) as f64 / 1e6).collect();
        Some((stage, Spread::of(&times)?))
    };
    Stage::ALL.into_iter().filter_map(of_stage).collect()
}
