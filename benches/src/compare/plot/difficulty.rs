//! Accuracy by how difficult a question is: a panel a family, a line a rung.

use super::PlotError;
use super::axis::{Axis, even_ticks, tick_label};
use super::font::Fonts;
use super::legend::{SIZE, legend};
use super::scene::{Anchor, MIDDLE, Point, Scene, Style, at};
use super::theme::{AXIS, Color, FAINT_INK, GRID, INK, PAGE, of_group, sequential};
use crate::compare::observation::Group;
use crate::compare::record::{AtDifficulty, CompareRecord, RowRecord};

const PANEL: f64 = 300.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 72.0;
const TOP: f64 = 124.0;
const GAP: f64 = 64.0;
const PANELS_A_ROW: usize = 3;

pub(super) fn scene(record: &CompareRecord) -> Result<Option<Scene>, PlotError> {
    let main = record.routed.as_deref();
    let shown = |row: &&RowRecord| {
        let name = Some(row.name.as_str());
        row.group == Group::Rung || name == main || name == record.dense.as_deref()
    };
    let mut rows: Vec<&RowRecord> = record.rows.iter().filter(shown).collect();
    rows.sort_by_key(|row| row.group == Group::Auto);
    let panels: Vec<(&str, &str)> = rows
        .iter()
        .find(|row| !row.difficulty.is_empty())
        .into_iter()
        .flat_map(|row| &row.difficulty)
        .flat_map(|(family, scalars)| {
            scalars.keys().map(|scalar| (family.as_str(), scalar.as_str()))
        })
        .collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let fonts = Fonts::new()?;
    let (across, down) = (panels.len().min(PANELS_A_ROW), panels.len().div_ceil(PANELS_A_ROW));
    let width = LEFT + across as f64 * (PANEL + GAP) - GAP + 32.0;
    let width = width.max(720.0);
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let keys = legend(&fonts, &names, (24.0, width - 24.0), 79.0, 28.0);
    let below = TOP + keys.more;
    let mut scene = Scene::new(width, below + down as f64 * (HEIGHT + GAP + 24.0) - 24.0);
    scene.text(at(24.0, 32.0), "Accuracy by difficulty, %", Style::new(18.0, INK).bold());
    let under = format!(
        "{} on {}, {}; intervals of 95 %",
        record.model.name, record.suite.name, record.suite.split
    );
    scene.text(at(24.0, 54.0), under, Style::new(12.5, FAINT_INK));
    for ((row, color), key) in colors(&rows).into_iter().zip(keys.keys) {
        scene.line(vec![key, at(key.x + 22.0, key.y)], 2.5, color);
        let place = at(key.x + 28.0, key.y + MIDDLE * SIZE);
        scene.text(place, &row.name, Style::new(SIZE, INK));
    }
    for (number, (family, scalar)) in panels.into_iter().enumerate() {
        let left = LEFT + (number % PANELS_A_ROW) as f64 * (PANEL + GAP);
        let top = below + (number / PANELS_A_ROW) as f64 * (HEIGHT + GAP + 24.0);
        panel(&mut scene, &rows, (family, scalar), at(left, top));
    }
    Ok(Some(scene))
}

/// Rungs by cost, as in the other figures; others in the colour of their group.
fn colors<'a>(rows: &[&'a RowRecord]) -> Vec<(&'a RowRecord, Color)> {
    let rungs = rows.iter().filter(|row| row.group == Group::Rung).count();
    let mut rung = 0;
    let color = |row: &&'a RowRecord| match row.group {
        Group::Rung => {
            rung += 1;
            // The lightest is not seen as a line.
            let part = if rungs > 1 { (rung - 1) as f64 / (rungs - 1) as f64 } else { 1.0 };
            (*row, sequential(0.3 + 0.7 * part))
        }
        group => (*row, of_group(group)),
    };
    rows.iter().map(color).collect()
}

fn panel(scene: &mut Scene, rows: &[&RowRecord], (family, scalar): (&str, &str), corner: Point) {
    let lines: Vec<(&[AtDifficulty], Color)> = colors(rows)
        .into_iter()
        .filter_map(|(row, color)| {
            Some((row.difficulty.get(family)?.get(scalar)?.as_slice(), color))
        })
        .collect();
    let values: Vec<f64> = lines.iter().flat_map(|(cells, _)| *cells).map(|c| c.value).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let room = 0.06 * (most - least);
    let mut ticks = values.clone();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let (right, bottom) = (corner.x + PANEL, corner.y + HEIGHT);
    let x = Axis::linear((least - room, most + room), (corner.x, right), Vec::new());
    let low = lines.iter().flat_map(|(cells, _)| *cells).map(|c| 100.0 * c.accuracy.low);
    let low = (low.fold(100.0, f64::min) - 2.0).max(0.0);
    let y = Axis::linear((low, 101.0), (bottom, corner.y), Vec::new());
    scene.text(at(corner.x, corner.y - 10.0), family, Style::new(13.0, INK).bold());
    for tick in even_ticks(low, 100.0, 5.0) {
        let place = y.place(tick);
        scene.line(vec![at(corner.x, place), at(right, place)], 1.0, GRID);
        let style = Style::new(12.0, FAINT_INK).anchor(Anchor::End);
        scene.text(at(corner.x - 8.0, place + MIDDLE * 12.0), tick_label(tick), style);
    }
    for tick in &ticks {
        let place = x.place(*tick);
        scene.line(vec![at(place, bottom), at(place, bottom + 5.0)], 1.0, AXIS);
        let style = Style::new(12.0, FAINT_INK).anchor(Anchor::Middle);
        scene.text(at(place, bottom + 20.0), tick_label(*tick), style);
    }
    scene.line(vec![at(corner.x, bottom), at(right, bottom)], 1.0, AXIS);
    let style = Style::new(12.5, INK).anchor(Anchor::Middle);
    scene.text(at((corner.x + right) / 2.0, bottom + 40.0), scalar, style);
    for (number, (cells, color)) in lines.iter().enumerate() {
        // Beside each other, so that intervals of the same value are told apart.
        let shift = 3.5 * (number as f64 - (lines.len() - 1) as f64 / 2.0);
        let place = |cell: &AtDifficulty, share: f64| {
            at(x.place(cell.value) + shift, y.place(100.0 * share))
        };
        for cell in *cells {
            let ends = [cell.accuracy.low, cell.accuracy.high].map(|share| place(cell, share));
            scene.line(ends.to_vec(), 1.25, color.towards(PAGE, 0.45));
        }
        let points: Vec<Point> = cells.iter().map(|c| place(c, c.accuracy.mean)).collect();
        for point in &points {
            scene.disc(*point, 3.2, *color);
        }
        if points.len() > 1 {
            scene.line(points, 2.0, *color);
        }
    }
}
