//! Accuracy when layers do not see the picture, and which families lose alike (VISOR, Fig. 4).

use super::heading;
use super::heat::{Cell, Heat};
use super::rungs::{columns, kinds};
use crate::analyze::record::{AnalyzeRecord, Cluster, DroppedSubset, Dropping};
use crate::compare::plot::PlotError;
use crate::compare::plot::font::Fonts;
use crate::compare::plot::scene::{Scene, Style, at};
use crate::compare::plot::theme::{Color, FAINT_INK, INK, sequential};
use crate::compare::render::format::{percent, signed};

const TEXT: f64 = 12.5;
const CELL: (f64, f64) = (74.0, 28.0);
const SMALL: (f64, f64) = (58.0, 28.0);
const TOP: f64 = 116.0;

pub(super) fn scene(record: &AnalyzeRecord) -> Result<Option<Scene>, PlotError> {
    let Some(dropping) = &record.dropping else { return Ok(None) };
    let fonts = Fonts::new()?;
    let rows: Vec<String> = dropping.subsets.iter().map(|subset| label(record, subset)).collect();
    let (shown, gaps) = columns(record);
    let left = 24.0 + Heat::left(&fonts, &rows, TEXT);
    let heat = Heat {
        corner: at(left, TOP),
        cell: CELL,
        rows: &rows,
        columns: &shown,
        gaps: &gaps,
        text: TEXT,
    };
    let order: Vec<usize> = order(dropping);
    let names: Vec<String> = order.iter().map(|&at| dropping.families[at].clone()).collect();
    let second = heat.end().y + 104.0;
    let split = dropping.clusters.first().map_or(0, |cluster| cluster.families.len());
    let gap = [split];
    let pairs = Heat {
        corner: at(left, second),
        cell: SMALL,
        rows: &names,
        columns: &names,
        gaps: if split < names.len() { &gap } else { &[] },
        text: TEXT,
    };
    let (width, end) = (heat.end().x.max(pairs.end().x + 250.0), pairs.end());
    let mut scene = Scene::new((width + 24.0).max(640.0), end.y + 28.0);
    let more = format!(", at {}", record.level);
    heading(&mut scene, record, "Accuracy when layers do not see the picture, %", &more);
    kinds(&mut scene, record, left, TOP - 28.0);
    let of = |row: usize, column: usize| {
        let subset = &dropping.subsets[row];
        match record.families.get(column) {
            Some(family) => subset.families.get(&family.name).map(|found| found.mean),
            None => Some(subset.accuracy.mean),
        }
    };
    heat.draw(&mut scene, |row, column| {
        let Some(value) = of(row, column) else { return Cell::Unknown };
        Cell::Known(sequential(value), percent(value))
    });
    let title = "Which families lose alike: correlation of the columns above";
    scene.text(at(24.0, second - 42.0), title, Style::new(15.0, INK).bold());
    pairs.draw(&mut scene, |row, column| match dropping.correlation[order[row]][order[column]] {
        _ if column > row => Cell::Absent,
        Some(value) => Cell::Known(diverging(value), format!("{value:.2}")),
        None => Cell::Unknown,
    });
    clusters(&mut scene, dropping, end.x + 24.0, second + 4.0);
    Ok(Some(scene))
}

/// A subset with what its layers do, as `layer 4 (reads)`.
fn label(record: &AnalyzeRecord, subset: &DroppedSubset) -> String {
    use crate::analyze::record::Mode;
    let word = |layer: usize| match record.modes.get(layer) {
        Some(Mode::CrossAttention) => "CA",
        Some(Mode::SelfAttention) => "SA",
        Some(Mode::TextOnly) | None => "text",
    };
    match subset.layers.as_slice() {
        [] => "nothing dropped".to_owned(),
        [layer] => format!("layer {layer} ({})", word(*layer)),
        [first, .., last] => format!("{}: {first} to {last}", subset.name),
    }
}

/// Families with those of a cluster beside each other.
fn order(dropping: &Dropping) -> Vec<usize> {
    let place = |name: &String| dropping.families.iter().position(|other| other == name);
    dropping.clusters.iter().flat_map(|cluster| cluster.families.iter().filter_map(place)).collect()
}

/// The colour of a correlation: white at none, blue where alike, grey where opposite.
fn diverging(value: f64) -> Color {
    match value >= 0.0 {
        true => sequential(value),
        false => sequential(0.0).towards(Color(0x8C, 0x95, 0x9F), -value),
    }
}

fn clusters(scene: &mut Scene, dropping: &Dropping, x: f64, top: f64) {
    let words = ["loses less", "loses more"];
    let mut y = top + 12.0;
    for (Cluster { families, mean_loss }, word) in dropping.clusters.iter().zip(words) {
        let title = format!("{word}: {} points on the mean", signed(-mean_loss));
        scene.text(at(x, y), title, Style::new(12.5, INK).bold());
        for names in families.chunks(3) {
            y += 18.0;
            scene.text(at(x, y), names.join(", "), Style::new(12.5, INK));
        }
        y += 30.0;
    }
    let (fit, declared) = dropping.as_declared;
    if declared > 0 {
        let text = format!("{fit} of {declared} families as declared");
        scene.text(at(x, y), text, Style::new(12.5, FAINT_INK));
    }
}
