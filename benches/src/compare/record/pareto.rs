//! Which rows nobody should take: another one is at least as good and at most as dear.

use super::{Dominated, RowRecord};
use crate::compare::observation::{Group, Stage};

/// A row as a point.
struct Point<'a> {
    name: &'a str,
    cost: f64,
    accuracy: f64,
}

/// Fills in by what each row is dominated. Only what a user can run takes part.
pub(super) fn mark(rows: &mut [RowRecord]) {
    let marks: Vec<Dominated> = {
        let end_to_end = points(rows, |row| Some(row.gflops.end_to_end));
        let lm_prefill = points(rows, |row| Some(row.gflops.lm_prefill));
        let time = |row: &RowRecord| Some(row.times_ms.get(&Stage::FirstToken)?.median);
        let first_token = points(rows, time);
        let mark = |row: &RowRecord| Dominated {
            end_to_end: dominator(&end_to_end, &row.name),
            lm_prefill: dominator(&lm_prefill, &row.name),
            first_token: dominator(&first_token, &row.name),
        };
        rows.iter().map(mark).collect()
    };
    rows.iter_mut().zip(marks).for_each(|(row, mark)| row.dominated_by = mark);
}

fn points(rows: &[RowRecord], cost: impl Fn(&RowRecord) -> Option<f64>) -> Vec<Point<'_>> {
    let runnable = |row: &&RowRecord| match row.group {
        Group::Rung | Group::Patches | Group::Auto | Group::Baseline => true,
        Group::Control | Group::Reference => false,
    };
    let point = |row| -> Option<Point<'_>> {
        let row: &RowRecord = row;
        Some(Point { name: &row.name, cost: cost(row)?, accuracy: row.accuracy?.mean })
    };
    rows.iter().filter(runnable).filter_map(point).collect()
}

/// Of the points that dominate one, the most accurate, then the cheapest.
fn dominator(points: &[Point<'_>], name: &str) -> Option<String> {
    let row = points.iter().find(|point| point.name == name)?;
    let dominates = |point: &&Point<'_>| {
        let no_worse = point.cost <= row.cost && point.accuracy >= row.accuracy;
        no_worse && (point.cost < row.cost || point.accuracy > row.accuracy)
    };
    let best = points
        .iter()
        .filter(dominates)
        .max_by(|a, b| a.accuracy.total_cmp(&b.accuracy).then(b.cost.total_cmp(&a.cost)))?;
    Some(best.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_dominated_by_the_best_that_is_no_dearer_and_never_by_its_equal() {
        let point = |name, cost, accuracy| Point { name, cost, accuracy };
        let points = [
            point("cheap", 1.0, 0.5),
            point("twin", 1.0, 0.5),
            point("good", 2.0, 0.9),
            point("as good", 3.0, 0.9),
            point("worse", 3.0, 0.6),
        ];
        let by = |name| dominator(&points, name);
        assert_eq!(by("cheap"), None);
        assert_eq!(by("good"), None);
        assert_eq!(by("as good").as_deref(), Some("good"));
        assert_eq!(by("worse").as_deref(), Some("good"));
        assert_eq!(by("not there"), None);
    }
}
