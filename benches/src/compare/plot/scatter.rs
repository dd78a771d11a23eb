//! Accuracy against a cost: what can be run as points with their intervals, the front among them,
//! and what could be had from the rungs at best.

use super::PlotError;
use super::axis::{Axis, even_ticks, frame};
use super::font::Fonts;
use super::labels::{Area, Named, Placed, place};
use super::scene::{MIDDLE, Point, Scene, Style, at};
use super::theme::{Color, FAINT_INK, FRONT, INK, PAGE, of_group};
use crate::compare::observation::{Group, Scope, Stage};
use crate::compare::record::{CompareRecord, RowRecord};
use crate::compare::render::format::FlopUnit;

/// What is drawn to the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    Flops(Scope),
    FirstToken,
}

impl Cost {
    /// In the axis' unit.
    fn of(self, row: &RowRecord, unit: FlopUnit) -> Option<f64> {
        match self {
            Self::Flops(scope) => Some(unit.of_giga(row.gflops.of(scope))),
            Self::FirstToken => Some(row.times_ms.get(&Stage::FirstToken)?.median),
        }
    }

    fn dominated(self, row: &RowRecord) -> bool {
        let by = match self {
            Self::Flops(Scope::EndToEnd) => &row.dominated_by.end_to_end,
            Self::Flops(_) => &row.dominated_by.lm_prefill,
            Self::FirstToken => &row.dominated_by.first_token,
        };
        by.is_some()
    }

    fn what(self) -> &'static str {
        match self {
            Self::Flops(Scope::EndToEnd) => "compute before the first token, end to end",
            Self::Flops(_) => "compute of the language model's prefill",
            Self::FirstToken => "measured time to the first token",
        }
    }

    fn axis(self, unit: FlopUnit) -> String {
        match self {
            Self::Flops(Scope::EndToEnd) => {
                format!("mean {} a question, encoder to first token (log)", unit.name)
            }
            Self::Flops(_) => format!("mean {} a question, LM prefill (log)", unit.name),
            Self::FirstToken => "median time to the first token, ms (log)".to_owned(),
        }
    }
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 680.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 936.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = 618.0;
const NAME: f64 = 11.5;

/// A row that has a place.
struct Spot<'a> {
    row: &'a RowRecord,
    cost: f64,
    /// Accuracy in percent, with its interval.
    accuracy: f64,
    low: f64,
    high: f64,
    dominated: bool,
}

pub(super) fn scene(record: &CompareRecord, cost: Cost) -> Result<Option<Scene>, PlotError> {
    let unit = FlopUnit::of(record);
    let spot = |row| {
        let row: &RowRecord = row;
        let accuracy = row.accuracy?;
        let of = cost.of(row, unit).filter(|cost| *cost > 0.0)?;
        Some(Spot {
            row,
            cost: of,
            accuracy: 100.0 * accuracy.mean,
            low: 100.0 * accuracy.low,
            high: 100.0 * accuracy.high,
            dominated: cost.dominated(row),
        })
    };
    let shown = |row: &&RowRecord| row.group != Group::Control;
    let mut spots: Vec<Spot<'_>> = record.main_rows().filter(shown).filter_map(spot).collect();
    // A reference that is a rung would hide it.
    let rungs: Vec<(f64, f64)> = spots
        .iter()
        .filter(|spot| spot.row.group == Group::Rung)
        .map(|spot| (spot.cost, spot.accuracy))
        .collect();
    spots.retain(|spot| {
        spot.row.group != Group::Reference || !rungs.contains(&(spot.cost, spot.accuracy))
    });
    // What matters most is drawn last.
    let depth = |group| match group {
        Group::Reference => 0,
        Group::Control | Group::Baseline => 1,
        Group::Rung | Group::Patches => 2,
        Group::Auto => 3,
    };
    spots.sort_by_key(|spot| depth(spot.row.group));
    if spots.is_empty() {
        return Ok(None);
    }
    let fonts = Fonts::new()?;
    let mut scene = Scene::new(WIDTH, HEIGHT);
    let (x, y) = axes(&spots);
    frame(&mut scene, &x, &y, &cost.axis(unit), "accuracy, %");
    title(&mut scene, &fonts, record, cost, &spots);
    let mixtures = mixtures(&mut scene, record, cost, unit, (&x, &y));
    let front = front(&mut scene, &spots, (&x, &y));
    let centers: Vec<Point> =
        spots.iter().map(|spot| at(x.place(spot.cost), y.place(spot.accuracy))).collect();
    let mut lines: Vec<(Point, Point)> = Vec::new();
    for list in [&mixtures, &front] {
        lines.extend(list.windows(2).map(|pair| (pair[0], pair[1])));
    }
    for (spot, center) in spots.iter().zip(&centers) {
        let (low, high) = (at(center.x, y.place(spot.low)), at(center.x, y.place(spot.high)));
        let color = of_group(spot.row.group).towards(PAGE, 0.45);
        scene.line(vec![low, high], 1.25, color);
        for end in [low, high] {
            scene.line(vec![at(end.x - 3.0, end.y), at(end.x + 3.0, end.y)], 1.25, color);
        }
        lines.push((low, high));
    }
    let named: Vec<Named> = spots
        .iter()
        .zip(&centers)
        .map(|(spot, center)| Named {
            point: *center,
            width: fonts.width(&spot.row.name, NAME, is_bold(spot.row.group)) + 2.0,
            height: NAME,
            first: is_bold(spot.row.group),
        })
        .collect();
    let area = Area { low: at(LEFT + 2.0, TOP + 2.0), high: at(RIGHT - 2.0, BOTTOM - 3.0) };
    let placed = place(area, &named, &lines);
    for leader in placed.iter().filter_map(|placed| placed.leader) {
        scene.line(vec![leader.0, leader.1], 0.75, FRONT);
    }
    for Placed { area, .. } in &placed {
        scene.rectangle(area.low, area.high, PAGE);
    }
    for (spot, center) in spots.iter().zip(&centers) {
        marker(&mut scene, spot.row.group, *center, spot.dominated);
    }
    for (spot, placed) in spots.iter().zip(&placed) {
        let style = Style::new(NAME, of_group(spot.row.group));
        let style = if is_bold(spot.row.group) { style.bold() } else { style };
        let middle = (placed.area.low.y + placed.area.high.y) / 2.0;
        scene.text(at(placed.area.low.x + 1.0, middle + MIDDLE * NAME), &spot.row.name, style);
    }
    Ok(Some(scene))
}

fn is_bold(group: Group) -> bool {
    matches!(group, Group::Rung | Group::Auto)
}

/// Axes with room around all points and their intervals.
fn axes(spots: &[Spot<'_>]) -> (Axis, Axis) {
    let least = |of: &dyn Fn(&Spot<'_>) -> f64| spots.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: &dyn Fn(&Spot<'_>) -> f64| spots.iter().map(of).fold(0.0, f64::max);
    let (cheap, dear) = (least(&|spot| spot.cost), most(&|spot| spot.cost));
    let room = (dear / cheap).powf(0.08).max(1.06);
    let x = Axis::logarithmic((cheap / room, dear * room), (LEFT, RIGHT));
    let (low, high) = (least(&|spot| spot.low), most(&|spot| spot.high));
    // More above, where the best rows are and their names want room.
    let room = (0.05 * (high - low)).max(0.5);
    let (low, high) = ((low - room).max(-1.0), high + 2.0 * room);
    let mut ticks = even_ticks(low, high, 7.0);
    ticks.retain(|tick| (0.0..=100.0).contains(tick));
    (x, Axis::linear((low, high), (BOTTOM, TOP), ticks))
}

fn title(scene: &mut Scene, fonts: &Fonts, record: &CompareRecord, cost: Cost, spots: &[Spot<'_>]) {
    scene.text(
        at(24.0, 32.0),
        format!("Accuracy against {}", cost.what()),
        Style::new(18.0, INK).bold(),
    );
    let under = format!(
        "{} on {}, {}: {} questions, intervals of 95 %. Hollow: dominated.",
        record.model.name, record.suite.name, record.suite.split, record.items
    );
    scene.text(at(24.0, 54.0), under, Style::new(12.5, FAINT_INK));
    let mut x = 30.0;
    let style = Style::new(12.5, INK);
    let groups = [
        (Group::Rung, "fixed rung"),
        (Group::Patches, "rung, chosen patches"),
        (Group::Auto, "policy"),
        (Group::Baseline, "baseline"),
        (Group::Reference, "reference, cannot be run"),
    ];
    for (group, name) in groups {
        if spots.iter().any(|spot| spot.row.group == group) {
            marker(scene, group, at(x, 78.0), false);
            scene.text(at(x + 12.0, 78.0 + MIDDLE * 12.5), name, style);
            x += 12.0 + fonts.width(name, 12.5, false) + 26.0;
        }
    }
    let line = [at(x - 4.0, 78.0), at(x + 20.0, 78.0)];
    scene.line(line.to_vec(), 2.0, FRONT);
    scene.text(at(x + 26.0, 78.0 + MIDDLE * 12.5), "Pareto front", style);
    x += 26.0 + fonts.width("Pareto front", 12.5, false) + 26.0;
    if cost != Cost::FirstToken && !record.frontier.is_empty() {
        let line = [at(x, 78.0), at(x + 24.0, 78.0)];
        scene.dashed(&line, 1.5, of_group(Group::Reference), 4.0);
        scene.text(at(x + 30.0, 78.0 + MIDDLE * 12.5), "best mixture of rungs", style);
    }
}

/// The best that chance between two rungs can have; the line as it was drawn.
fn mixtures(
    scene: &mut Scene,
    record: &CompareRecord,
    cost: Cost,
    unit: FlopUnit,
    (x, y): (&Axis, &Axis),
) -> Vec<Point> {
    let of_scope = |scope| record.frontier.iter().find(|frontier| frontier.scope == scope);
    let Cost::Flops(scope) = cost else { return Vec::new() };
    let corners = of_scope(scope).map(|frontier| frontier.corners.as_slice()).unwrap_or_default();
    let mut points = Vec::new();
    for pair in corners.windows(2) {
        // A straight line of costs is a curve where they are drawn by their logarithm.
        const PIECES: usize = 16;
        for piece in 0..=PIECES {
            let part = piece as f64 / PIECES as f64;
            let cost = pair[0].0 + part * (pair[1].0 - pair[0].0);
            let score = pair[0].1 + part * (pair[1].1 - pair[0].1);
            points.push(at(x.place(unit.of_giga(cost)), y.place(100.0 * score)));
        }
    }
    scene.dashed(&points, 1.5, of_group(Group::Reference), 4.0);
    points
}

/// Steps along what is not dominated; the line as it was drawn.
fn front(scene: &mut Scene, spots: &[Spot<'_>], (x, y): (&Axis, &Axis)) -> Vec<Point> {
    let runs = |spot: &&Spot<'_>| spot.row.group != Group::Reference && !spot.dominated;
    let mut best: Vec<&Spot<'_>> = spots.iter().filter(runs).collect();
    best.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let mut points: Vec<Point> = Vec::new();
    for spot in &best {
        let place = at(x.place(spot.cost), y.place(spot.accuracy));
        points.extend(points.last().map(|last| at(place.x, last.y)));
        points.push(place);
    }
    // What costs more is no better than the last.
    points.extend(points.last().map(|last| at(RIGHT, last.y)));
    if points.len() > 1 {
        scene.line(points.clone(), 2.0, FRONT);
    }
    points
}

/// Hollow where nobody should take it.
fn marker(scene: &mut Scene, group: Group, center: Point, hollow: bool) {
    let color = of_group(group);
    let at_angle = |radius: f64, eighths: f64| {
        let angle = std::f64::consts::FRAC_PI_4 * eighths;
        at(center.x + radius * angle.cos(), center.y - radius * angle.sin())
    };
    let corners = |radius: f64| -> Vec<Point> {
        match group {
            Group::Rung | Group::Patches | Group::Auto => {
                (0..4).map(|i| at_angle(1.25 * radius, 2.0 * f64::from(i))).collect()
            }
            Group::Baseline | Group::Control => {
                (0..4).map(|i| at_angle(1.2 * radius, 1.0 + 2.0 * f64::from(i))).collect()
            }
            Group::Reference => {
                (0..3).map(|i| at_angle(1.15 * radius, 2.0 + f64::from(i) * 8.0 / 3.0)).collect()
            }
        }
    };
    filled(scene, group, center, 7.0, PAGE, &corners);
    filled(scene, group, center, 5.5, color, &corners);
    if hollow {
        filled(scene, group, center, 3.6, PAGE, &corners);
    }
}

fn filled(
    scene: &mut Scene,
    group: Group,
    center: Point,
    radius: f64,
    color: Color,
    corners: &dyn Fn(f64) -> Vec<Point>,
) {
    match group {
        Group::Rung | Group::Patches => scene.disc(center, radius, color),
        _ => scene.polygon(corners(radius), color),
    }
}
