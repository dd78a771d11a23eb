//! Accuracy by row and family, the better the darker.

use super::PlotError;
use super::font::Fonts;
use super::scene::{Anchor, MIDDLE, Scene, Style, at};
use super::theme::{FAINT_INK, GRID, INK, of_group, sequential};
use crate::compare::observation::{Group, Kind};
use crate::compare::record::{CompareRecord, RowRecord};
use crate::compare::render::format::percent;

const NAME: f64 = 12.5;
const CELL: f64 = 72.0;
const LINE: f64 = 25.0;
const TOP: f64 = 112.0;
/// Between groups of columns and of rows.
const GAP: f64 = 10.0;

/// A column.
struct Column<'a> {
    name: &'a str,
    kind: Kind,
    is_mean: bool,
}

impl Column<'_> {
    /// What a row has in it.
    fn of(&self, row: &RowRecord) -> Option<f64> {
        let mean = match (self.is_mean, self.kind) {
            (false, _) => return row.families.get(self.name).map(|found| found.mean),
            (true, Kind::Easy) => row.easy,
            (true, Kind::Hard) => row.hard,
            (true, Kind::Other) => None,
        };
        mean.map(|mean| mean.accuracy.mean)
    }
}

pub(super) fn scene(record: &CompareRecord) -> Result<Option<Scene>, PlotError> {
    let mut rows: Vec<&RowRecord> = record
        .main_rows()
        .filter(|row| row.group != Group::Reference && row.accuracy.is_some())
        .collect();
    rows.sort_by_key(|row| row.group);
    let columns = columns(record);
    if rows.is_empty() || record.families.is_empty() {
        return Ok(None);
    }
    let fonts = Fonts::new()?;
    let widest = rows.iter().map(|row| fonts.width(&row.name, NAME, true)).fold(0.0, f64::max);
    let left = 24.0 + widest + 14.0;
    let wide = columns.iter().map(|column| fonts.width(column.name, 12.0, column.is_mean) + 12.0);
    let cell = wide.fold(CELL, f64::max);
    let places = places(columns.iter().map(|column| column.kind.word()), left, cell);
    let tops = places_of_rows(&rows);
    let width = places.last().map_or(left, |last| last + cell) + 24.0;
    let height = tops.last().map_or(TOP, |last| last + LINE) + 24.0;
    let mut scene = Scene::new(width.max(640.0), height);
    heading(&mut scene, record, &columns, &places, cell);
    let least = rows
        .iter()
        .flat_map(|row| columns.iter().filter_map(|column| column.of(row)))
        .fold(1.0, f64::min);
    for (row, top) in rows.iter().zip(&tops) {
        let bold = matches!(row.group, Group::Rung | Group::Auto);
        let style = Style::new(NAME, of_group(row.group)).anchor(Anchor::End);
        let style = if bold { style.bold() } else { style };
        scene.text(at(left - 12.0, top + LINE / 2.0 + MIDDLE * NAME), &row.name, style);
        for (column, x) in columns.iter().zip(&places) {
            let (low, high) = (at(*x, *top), at(x + cell - 1.5, top + LINE - 1.5));
            let Some(value) = column.of(row) else {
                scene.rectangle(low, high, GRID);
                continue;
            };
            let color = sequential((value - least) / (1.0 - least).max(0.05));
            scene.rectangle(low, high, color);
            let style = Style::new(12.0, color.ink_on()).anchor(Anchor::Middle);
            let style = if column.is_mean { style.bold() } else { style };
            let place = at(x + cell / 2.0, top + LINE / 2.0 + MIDDLE * 12.0 - 0.75);
            scene.text(place, percent(value), style);
        }
    }
    Ok(Some(scene))
}

fn columns(record: &CompareRecord) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    for kind in [Kind::Easy, Kind::Hard, Kind::Other] {
        let families = record.families.iter().filter(|family| family.kind == kind);
        let before = columns.len();
        columns.extend(families.map(|f| Column { name: &f.name, kind, is_mean: false }));
        if kind != Kind::Other && columns.len() > before {
            columns.push(Column { name: "mean", kind, is_mean: true });
        }
    }
    columns
}

/// Where columns begin; kinds stand apart.
fn places<'a>(kinds: impl Iterator<Item = &'a str>, left: f64, cell: f64) -> Vec<f64> {
    let (mut x, mut last) = (left, None);
    kinds
        .map(|kind| {
            if last.is_some_and(|last| last != kind) {
                x += GAP;
            }
            last = Some(kind);
            x += cell;
            x - cell
        })
        .collect()
}

/// Where rows begin; groups stand apart.
fn places_of_rows(rows: &[&RowRecord]) -> Vec<f64> {
    places(rows.iter().map(|row| row.group.word()), TOP, LINE)
}

fn heading(
    scene: &mut Scene,
    record: &CompareRecord,
    columns: &[Column<'_>],
    places: &[f64],
    cell: f64,
) {
    scene.text(at(24.0, 32.0), "Accuracy by family, %", Style::new(18.0, INK).bold());
    let under = format!("{} on {}, {}", record.model.name, record.suite.name, record.suite.split);
    scene.text(at(24.0, 54.0), under, Style::new(12.5, FAINT_INK));
    let mut last = None;
    for (column, x) in columns.iter().zip(places) {
        let style = Style::new(12.0, INK).anchor(Anchor::Middle);
        let style = if column.is_mean { style.bold() } else { style };
        scene.text(at(x + cell / 2.0, TOP - 8.0), column.name, style);
        if last != Some(column.kind) {
            let style = Style::new(12.0, FAINT_INK);
            scene.text(at(x + 2.0, TOP - 28.0), column.kind.word(), style);
        }
        last = Some(column.kind);
    }
}
