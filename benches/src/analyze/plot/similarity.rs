//! How alike the picture is between layers: a matrix a family (VISOR, Fig. 3).

use super::heading;
use super::heat::{Cell, Heat};
use crate::analyze::record::AnalyzeRecord;
use crate::compare::plot::PlotError;
use crate::compare::plot::font::Fonts;
use crate::compare::plot::scene::{Scene, Style, at};
use crate::compare::plot::theme::{INK, sequential};

const TOP: f64 = 110.0;
const PANELS_A_ROW: usize = 4;
/// Most units along a side of a matrix.
const SIDE: f64 = 176.0;

pub(super) fn scene(record: &AnalyzeRecord) -> Result<Option<Scene>, PlotError> {
    let Some(alike) = &record.similarity else { return Ok(None) };
    let shown: Vec<(&str, &Vec<Vec<f64>>)> = record
        .family_names()
        .filter_map(|name| Some((name, alike.families.get(name)?.as_ref()?)))
        .collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let fonts = Fonts::new()?;
    let n = alike.stages.len();
    let (text, cell) = match n {
        ..=5 => (12.0, SIDE / 4.0),
        6..=9 => (10.0, 28.0),
        _ => (8.0, 22.0),
    };
    let columns: Vec<String> =
        alike.stages.iter().map(|stage| stage.replace("after ", "")).collect();
    let left = Heat::left(&fonts, &alike.stages, text);
    let (wide, high) = (left + n as f64 * cell + 26.0, n as f64 * cell * 0.8 + 64.0);
    let across = shown.len().min(PANELS_A_ROW);
    let down = shown.len().div_ceil(PANELS_A_ROW);
    let width = 24.0 + across as f64 * wide;
    let mut scene = Scene::new(width.max(640.0), TOP + down as f64 * high - 24.0);
    let more = format!(
        ", at {}: the entry of the decoder, and behind each layer that changes it",
        record.level
    );
    heading(&mut scene, record, "How alike the picture is between layers: CKA", &more);
    for (number, (name, rows)) in shown.into_iter().enumerate() {
        let x = 24.0 + (number % PANELS_A_ROW) as f64 * wide;
        let y = TOP + (number / PANELS_A_ROW) as f64 * high;
        scene.text(at(x + left, y - 24.0), name, Style::new(13.0, INK).bold());
        let heat = Heat {
            corner: at(x + left, y),
            cell: (cell, cell * 0.8),
            rows: &alike.stages,
            columns: &columns,
            gaps: &[],
            text,
        };
        heat.draw(&mut scene, |row, column| {
            let value = rows.get(row).and_then(|row| row.get(column));
            match value {
                _ if column > row => Cell::Absent,
                // From a half on: below it nothing much is alike.
                Some(value) => Cell::Known(sequential(2.0 * value - 1.0), format!("{value:.2}")),
                None => Cell::Unknown,
            }
        });
    }
    Ok(Some(scene))
}
