//! What the policy chooses: a bar a family, a part of it a rung.

use super::PlotError;
use super::font::Fonts;
use super::legend::{SIZE, legend};
use super::scene::{Anchor, MIDDLE, Scene, Style, at};
use super::theme::{Color, FAINT_INK, INK, PAGE, sequential};
use crate::compare::record::CompareRecord;
use crate::compare::render::format::percent;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 846.0;
const TOP: f64 = 124.0;
const BAR: f64 = 26.0;
const STEP: f64 = 36.0;

/// A bar.
struct Bar<'a> {
    name: &'a str,
    kind: &'static str,
    shares: &'a [f64],
    accuracy: Option<f64>,
}

pub(super) fn scene(record: &CompareRecord) -> Result<Option<Scene>, PlotError> {
    let row = record.routed.as_deref().and_then(|name| record.row(name));
    let Some((row, shares)) = row.and_then(|row| Some((row, row.routing.as_ref()?))) else {
        return Ok(None);
    };
    let fonts = Fonts::new()?;
    let mut bars: Vec<Bar<'_>> = record
        .families
        .iter()
        .filter_map(|family| {
            Some(Bar {
                name: &family.name,
                kind: family.kind.word(),
                shares: shares.families.get(&family.name)?,
                accuracy: row.families.get(&family.name).map(|found| found.mean),
            })
        })
        .collect();
    let accuracy = row.accuracy.map(|found| found.mean);
    bars.push(Bar { name: "all questions", kind: "", shares: &shares.all, accuracy });
    let names: Vec<&str> = record.ladder.iter().map(String::as_str).collect();
    let keys = legend(&fonts, &names, (LEFT, WIDTH - 24.0), 79.0, 20.0);
    let below = TOP + keys.more;
    let mut scene = Scene::new(WIDTH, below + STEP * bars.len() as f64 + 34.0);
    let title = format!("What {} chooses, by family", row.name);
    scene.text(at(24.0, 32.0), title, Style::new(18.0, INK).bold());
    let under = format!(
        "{} on {}, {}: share of the questions that run at each rung, %",
        record.model.name, record.suite.name, record.suite.split
    );
    scene.text(at(24.0, 54.0), under, Style::new(12.5, FAINT_INK));
    for (rung, (name, key)) in names.iter().zip(keys.keys).enumerate() {
        let color = of_rung(rung, names.len());
        scene.rectangle(at(key.x, key.y - 7.0), at(key.x + 14.0, key.y + 7.0), color);
        scene.text(at(key.x + 20.0, key.y + MIDDLE * SIZE), *name, Style::new(SIZE, INK));
    }
    let style = Style::new(12.0, FAINT_INK).anchor(Anchor::End);
    scene.text(at(WIDTH - 24.0, below - 10.0), "accuracy, %", style);
    for (number, bar) in bars.iter().enumerate() {
        // What all families add up to stands apart.
        let apart = if number + 1 == bars.len() { 12.0 } else { 0.0 };
        draw(&mut scene, &fonts, bar, below + STEP * number as f64 + apart);
    }
    Ok(Some(scene))
}

/// The colour of a rung: the dearer the darker.
fn of_rung(rung: usize, rungs: usize) -> Color {
    sequential(if rungs > 1 { rung as f64 / (rungs - 1) as f64 } else { 0.5 })
}

fn draw(scene: &mut Scene, fonts: &Fonts, bar: &Bar<'_>, top: f64) {
    let baseline = top + BAR / 2.0 + MIDDLE * 13.0;
    let name = Style::new(13.0, INK).anchor(Anchor::End);
    scene.text(
        at(LEFT - 12.0, baseline),
        bar.name,
        if bar.kind.is_empty() { name.bold() } else { name },
    );
    scene.text(at(24.0, baseline), bar.kind, Style::new(12.0, FAINT_INK));
    let (mut from, all) = (LEFT, RIGHT - LEFT);
    for (rung, share) in bar.shares.iter().enumerate() {
        let to = from + share * all;
        let color = of_rung(rung, bar.shares.len());
        scene.rectangle(at(from, top), at(to, top + BAR), color);
        let text = percent(*share);
        if to - from > fonts.width(&text, 12.0, false) + 8.0 {
            let style = Style::new(12.0, color.ink_on()).anchor(Anchor::Middle);
            scene.text(at((from + to) / 2.0, top + BAR / 2.0 + MIDDLE * 12.0), text, style);
        }
        // A gap, so that neighbours of like colour are told apart.
        if from > LEFT && *share > 0.0 {
            scene.rectangle(at(from - 0.5, top), at(from + 0.5, top + BAR), PAGE);
        }
        from = to;
    }
    if let Some(accuracy) = bar.accuracy {
        let style = Style::new(13.0, INK).anchor(Anchor::End);
        scene.text(at(WIDTH - 24.0, baseline), percent(accuracy), style);
    }
}
