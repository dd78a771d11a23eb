//! References of every routed row, and the pairs of rows that questions are about.

use super::line::{Line, Plan};
use super::{Comparison, Context, EQUAL_COST, RecordError};
use crate::compare::observation::{Group, Observations, Row, Scope};
use crate::compare::references::Choices;

/// A computed row.
pub(super) struct Reference {
    pub(super) line: Line,
    pub(super) about: String,
    /// The routed row that it belongs to.
    pub(super) of: Option<String>,
}

/// Names of the references of a routed row; those of the main one are plain.
fn named(base: &str, row: &str, main: bool) -> String {
    if main { base.to_owned() } else { format!("{base} of {row}") }
}

/// The oracle, and for every routed row what could be had at its cost or with its histogram.
pub(super) fn references(
    run: &Observations,
    context: &Context,
    main: Option<&str>,
) -> Result<Vec<Reference>, RecordError> {
    if run.ladder().is_empty() {
        return Ok(Vec::new());
    }
    let choices = Choices::new(run)?;
    let oracle = choices.expect(&choices.oracle());
    let mut references = vec![Reference {
        line: Line::expected("oracle".to_owned(), oracle),
        about: "the cheapest rung that is right, the cheapest where none is".to_owned(),
        of: None,
    }];
    for row in run.rows().iter().filter(|row| row.head.group == Group::Auto) {
        let is_main = Some(row.head.name.as_str()) == main;
        references.extend(of_routed(run, &choices, context, row, is_main)?);
    }
    Ok(references)
}

fn of_routed(
    run: &Observations,
    choices: &Choices,
    context: &Context,
    row: &Row,
    main: bool,
) -> Result<Vec<Reference>, RecordError> {
    let scope = context.cost_scope;
    let cost = choices.mean_cost(row, scope);
    let mut routings = Vec::new();
    if let Some(rung) = choices.best_fixed(scope, cost) {
        let about =
            format!("the best single rung at no more cost: {}", run.ladder()[rung].head.name);
        routings.push(("best-fixed", about, choices.fixed(rung)));
    }
    let about = "the best mixture of two rungs at equal cost, fitted on these items".to_owned();
    routings.push(("best-mixture", about, choices.best_mixture(scope, cost)));
    let about = "chance with the same histogram of rungs".to_owned();
    routings.push(("random-routing", about, choices.random(row)?));
    let about = "chance with the same histogram of rungs in every family".to_owned();
    routings.push(("random-in-family", about, choices.random_within_families(row)?));
    if let Some(fitting) = &context.fitting {
        let about = format!("told the family, equal cost, fitted on {}", fitting.name);
        routings.push(("family-lookup", about, choices.look_up(&fitting.scores, scope, cost)?));
    }
    let about = "told the family, equal cost, fitted on these very items".to_owned();
    let flattered = choices.look_up(&choices.family_scores(), scope, cost)?;
    routings.push(("family-lookup-in-sample", about, flattered));
    let reference = |(base, about, routing)| Reference {
        line: Line::expected(named(base, &row.head.name, main), choices.expect(&routing)),
        about,
        of: Some(row.head.name.clone()),
    };
    Ok(routings.into_iter().map(reference).collect())
}

/// All pairs that are reported, of the main routed row first.
pub(super) fn comparisons(
    run: &Observations,
    plan: &Plan<'_>,
    lines: &[Line],
    roles: &Roles<'_>,
    scope: Scope,
) -> Result<Vec<Comparison>, RecordError> {
    let line = |name: &str| lines.iter().find(|line| line.name == name);
    let mut pairs: Vec<(String, &Line, &Line)> = Vec::new();
    let autos = || lines.iter().filter(|line| line.group == Group::Auto);
    let main_first = autos()
        .filter(|auto| Some(auto.name.as_str()) == roles.routed)
        .chain(autos().filter(|auto| Some(auto.name.as_str()) != roles.routed));
    for auto in main_first {
        let is_main = Some(auto.name.as_str()) == roles.routed;
        let mut add = |what: &str, base: &str| {
            let name =
                if base == "oracle" { base.to_owned() } else { named(base, &auto.name, is_main) };
            pairs.extend(line(&name).map(|other| (what.to_owned(), auto, other)));
        };
        add("routing against one rung at no more cost", "best-fixed");
        add("routing against mixing two rungs", "best-mixture");
        add("routing against chance with its histogram", "random-routing");
        add("routing against chance within families", "random-in-family");
        add("routing against being told the family", "family-lookup");
        add("the same, fitted on these very items", "family-lookup-in-sample");
        add("regret to the oracle", "oracle");
        if let Some(full) = line(roles.full) {
            pairs.push(("routing against the full budget".to_owned(), auto, full));
        }
    }
    let routed = roles.routed.and_then(line);
    for other in
        lines.iter().filter(|other| matches!(other.group, Group::Baseline | Group::Control))
    {
        let what = format!("routing against a {}", other.group.word());
        pairs.extend(routed.map(|routed| (what, routed, other)));
    }
    let mut comparisons: Vec<Comparison> =
        pairs.into_iter().filter_map(|(name, a, b)| compare(plan, name, a, b, scope)).collect();
    comparisons.extend(rungs_against_baselines(run, plan, lines, scope)?);
    Ok(comparisons)
}

/// The rows that play a part.
pub(super) struct Roles<'a> {
    pub(super) full: &'a str,
    pub(super) routed: Option<&'a str>,
}

/// Every baseline beside the best mixture of rungs that costs no more.
fn rungs_against_baselines(
    run: &Observations,
    plan: &Plan<'_>,
    lines: &[Line],
    scope: Scope,
) -> Result<Vec<Comparison>, RecordError> {
    if run.ladder().is_empty() {
        return Ok(Vec::new());
    }
    let choices = Choices::new(run)?;
    let mut comparisons = Vec::new();
    for baseline in lines.iter().filter(|line| line.group == Group::Baseline) {
        let cost = baseline.mean_cost(scope);
        let routing = choices.best_mixture(scope, cost);
        let name = format!("mixture@{}", baseline.name);
        let mixture = Line::expected(name, choices.expect(&routing));
        // No rung may be so cheap: there is nothing to compare with then.
        if mixture.mean_cost(scope) > cost * (1.0 + EQUAL_COST) {
            continue;
        }
        let what = "rungs against a baseline at no more cost".to_owned();
        comparisons.extend(compare(plan, what, &mixture, baseline, scope));
    }
    Ok(comparisons)
}

fn compare(plan: &Plan<'_>, name: String, a: &Line, b: &Line, scope: Scope) -> Option<Comparison> {
    let found = plan.difference(a, b)?;
    let ratio = a.mean_cost(scope) / b.mean_cost(scope);
    let cost_ratio = ratio.is_finite().then_some(ratio);
    Some(Comparison {
        name,
        a: a.name.clone(),
        b: b.name.clone(),
        difference: found.difference,
        low: found.low,
        high: found.high,
        p: found.p,
        n: found.n,
        cost_ratio,
        equal_cost: cost_ratio.is_some_and(|ratio| (ratio - 1.0).abs() <= EQUAL_COST),
    })
}
