//! Accuracy by rung and family, the better the darker (VISOR, Fig. 6).

use super::heading;
use super::heat::{Cell, Heat};
use crate::analyze::record::{AnalyzeRecord, RungAnswers};
use crate::compare::plot::PlotError;
use crate::compare::plot::font::Fonts;
use crate::compare::plot::scene::{Scene, Style, at};
use crate::compare::plot::theme::{FAINT_INK, sequential};
use crate::compare::render::format::percent;

const TEXT: f64 = 12.5;
const CELL: (f64, f64) = (74.0, 32.0);
const TOP: f64 = 116.0;

pub(super) fn scene(record: &AnalyzeRecord) -> Result<Option<Scene>, PlotError> {
    let Some(rungs) = &record.rungs else { return Ok(None) };
    let fonts = Fonts::new()?;
    let row = |rung: &RungAnswers| match rung.self_attention_layers.as_slice() {
        [] => format!("{}: no layer", rung.name),
        layers => {
            let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
            format!("{}: {}", rung.name, layers.join(", "))
        }
    };
    let rows: Vec<String> = rungs.iter().map(row).collect();
    let (columns, gaps) = columns(record);
    let left = 24.0 + Heat::left(&fonts, &rows, TEXT);
    let corner = at(left, TOP);
    let heat = Heat { corner, cell: CELL, rows: &rows, columns: &columns, gaps: &gaps, text: TEXT };
    let end = heat.end();
    let mut scene = Scene::new((end.x + 24.0).max(620.0), end.y + 24.0);
    heading(&mut scene, record, "Accuracy by rung and family, %", "");
    kinds(&mut scene, record, left, TOP - 28.0);
    let of = |row: usize, column: usize| {
        let rung = &rungs[row];
        match record.families.get(column) {
            Some(family) => rung.families.get(&family.name).map(|found| found.mean),
            None => Some(rung.accuracy.mean),
        }
    };
    let all = (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| (row, column)));
    let least = all.filter_map(|(row, column)| of(row, column)).fold(1.0, f64::min);
    heat.draw(&mut scene, |row, column| {
        let Some(value) = of(row, column) else { return Cell::Unknown };
        Cell::Known(sequential((value - least) / (1.0 - least).max(0.05)), percent(value))
    });
    Ok(Some(scene))
}

/// Families and all questions together, and where gaps stand between kinds.
pub(super) fn columns(record: &AnalyzeRecord) -> (Vec<String>, Vec<usize>) {
    let mut columns: Vec<String> = record.family_names().map(str::to_owned).collect();
    let mut gaps: Vec<usize> = (1..record.families.len())
        .filter(|&at| record.families[at].kind != record.families[at - 1].kind)
        .collect();
    gaps.push(columns.len());
    columns.push("all".to_owned());
    (columns, gaps)
}

/// What families of the columns were declared to need, above the first of each kind.
pub(super) fn kinds(scene: &mut Scene, record: &AnalyzeRecord, left: f64, y: f64) {
    let (_, gaps) = columns(record);
    let mut last = None;
    for (column, family) in record.families.iter().enumerate() {
        if last != Some(family.kind) {
            let before = gaps.iter().filter(|gap| **gap <= column).count() as f64;
            let x = left + column as f64 * CELL.0 + before * super::heat::GAP;
            scene.text(at(x + 2.0, y), family.kind.word(), Style::new(12.0, FAINT_INK));
        }
        last = Some(family.kind);
    }
}
