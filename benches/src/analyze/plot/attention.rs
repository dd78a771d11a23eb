//! Where the text looks, layer by layer: a panel a family (VISOR, Fig. 2).

use super::{BLUE, GREEN, ORANGE, heading};
use crate::analyze::record::{AnalyzeRecord, LayerLook, Mode};
use crate::compare::plot::PlotError;
use crate::compare::plot::axis::Axis;
use crate::compare::plot::font::Fonts;
use crate::compare::plot::scene::{Anchor, MIDDLE, Point, Scene, Style, at};
use crate::compare::plot::theme::{AXIS, Color, FAINT_INK, GRID, INK, PAGE};

const PANEL: (f64, f64) = (250.0, 150.0);
const LEFT: f64 = 64.0;
const TOP: f64 = 152.0;
const GAP: (f64, f64) = (30.0, 56.0);
const PANELS_A_ROW: usize = 4;

/// What is drawn: its name, its colour, and its value in a layer.
type Line = (&'static str, Color, fn(&LayerLook) -> Option<f64>);

const LINES: [Line; 3] = [
    ("text to image", BLUE, |layer| Some(layer.question?.image())),
    ("answer to image", ORANGE, |layer| Some(layer.answer?.image())),
    ("answer to question", GREEN, |layer| Some(layer.answer?.to_question)),
];

pub(super) fn scene(record: &AnalyzeRecord) -> Result<Option<Scene>, PlotError> {
    let Some(attention) = &record.attention else { return Ok(None) };
    let panels: Vec<(&str, &Vec<LayerLook>)> =
        record.family_names().filter_map(|name| Some((name, attention.get(name)?))).collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let fonts = Fonts::new()?;
    let across = panels.len().min(PANELS_A_ROW);
    let down = panels.len().div_ceil(PANELS_A_ROW);
    let width = LEFT + across as f64 * (PANEL.0 + GAP.0);
    let height = TOP + down as f64 * (PANEL.1 + GAP.1) - 8.0;
    let mut scene = Scene::new(width.max(720.0), height);
    let more =
        format!(", at {}: mean share of attention, %, by layer of the decoder", record.level);
    heading(&mut scene, record, "Where the text looks", &more);
    legend(&mut scene, &fonts);
    for (number, (name, layers)) in panels.into_iter().enumerate() {
        let x = LEFT + (number % PANELS_A_ROW) as f64 * (PANEL.0 + GAP.0);
        let y = TOP + (number / PANELS_A_ROW) as f64 * (PANEL.1 + GAP.1);
        panel(&mut scene, &record.modes, layers, name, at(x, y));
    }
    Ok(Some(scene))
}

fn legend(scene: &mut Scene, fonts: &Fonts) {
    let mut x = 24.0;
    for (name, color, _) in LINES {
        scene.line(vec![at(x, 79.0), at(x + 22.0, 79.0)], 2.0, color);
        scene.text(at(x + 28.0, 79.0 + MIDDLE * 12.5), name, Style::new(12.5, INK));
        x += 28.0 + fonts.width(name, 12.5, false) + 22.0;
    }
    let kinds = [
        (Mode::SelfAttention, "SA: picture and text share a softmax"),
        (Mode::CrossAttention, "CA: the picture shares one with the null key"),
        (Mode::TextOnly, "text alone: no picture to look at"),
    ];
    let mut x = 24.0;
    for (mode, name) in kinds {
        mark(scene, mode, at(x + 11.0, 101.0), FAINT_INK);
        scene.text(at(x + 28.0, 101.0 + MIDDLE * 12.5), name, Style::new(12.5, FAINT_INK));
        x += 28.0 + fonts.width(name, 12.5, false) + 22.0;
    }
}

/// A disc where the layer joins picture and text, a ring where it reads the picture, a dot where
/// it does not see it.
fn mark(scene: &mut Scene, mode: Mode, center: Point, color: Color) {
    match mode {
        Mode::SelfAttention => scene.disc(center, 4.0, color),
        Mode::CrossAttention => {
            scene.disc(center, 4.5, color);
            scene.disc(center, 2.5, PAGE);
        }
        Mode::TextOnly => scene.disc(center, 1.75, color),
    }
}

fn panel(scene: &mut Scene, modes: &[Mode], layers: &[LayerLook], name: &str, corner: Point) {
    let (right, bottom) = (corner.x + PANEL.0, corner.y + PANEL.1);
    let last = layers.len().saturating_sub(1).max(1) as f64;
    let x = Axis::linear((-0.3, last + 0.3), (corner.x, right), Vec::new());
    let y = Axis::linear((0.0, 104.0), (bottom, corner.y), Vec::new());
    scene.text(at(corner.x, corner.y - 10.0), name, Style::new(13.0, INK).bold());
    for tick in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let place = y.place(tick);
        scene.line(vec![at(corner.x, place), at(right, place)], 1.0, GRID);
        // All panels have the same shares; the first of a row names them.
        if corner.x <= LEFT {
            let style = Style::new(11.0, FAINT_INK).anchor(Anchor::End);
            scene.text(at(corner.x - 7.0, place + MIDDLE * 11.0), format!("{tick:.0}"), style);
        }
    }
    // Of many layers every third one is named, so that names do not touch.
    let step = if layers.len() > 12 { 3 } else { 1 };
    for layer in (0..layers.len()).step_by(step) {
        let place = x.place(layer as f64);
        scene.line(vec![at(place, bottom), at(place, bottom + 4.0)], 1.0, AXIS);
        let style = Style::new(11.0, FAINT_INK).anchor(Anchor::Middle);
        scene.text(at(place, bottom + 16.0), layer.to_string(), style);
    }
    scene.line(vec![at(corner.x, bottom), at(right, bottom)], 1.0, AXIS);
    for (_, color, of) in LINES {
        let points: Vec<(Mode, Point)> = layers
            .iter()
            .enumerate()
            .filter_map(|(number, layer)| {
                let mode = *modes.get(number)?;
                Some((mode, at(x.place(number as f64), y.place(100.0 * of(layer)?))))
            })
            .collect();
        scene.line(points.iter().map(|(_, point)| *point).collect(), 1.75, color);
        for (mode, point) in points {
            mark(scene, mode, point, color);
        }
    }
}
