//! What the policy picks: a bar a family (VISOR, Fig. 7), and how its layers grow with the number
//! of steps that a question takes.

use super::heading;
use crate::analyze::record::{AnalyzeRecord, Pick, Picks};
use crate::compare::plot::PlotError;
use crate::compare::plot::axis::Axis;
use crate::compare::plot::font::Fonts;
use crate::compare::plot::scene::{Anchor, MIDDLE, Point, Scene, Style, at};
use crate::compare::plot::theme::{AXIS, Color, FAINT_INK, GRID, INK, PAGE, sequential};
use crate::compare::render::format::percent;
use std::collections::BTreeMap;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 846.0;
const TOP: f64 = 124.0;
const BAR: f64 = 26.0;
const STEP: f64 = 36.0;
const PANEL: (f64, f64) = (165.0, 130.0);
const PANEL_STEP: f64 = 225.0;
const MOST_PANELS: usize = 4;

pub(super) fn scene(record: &AnalyzeRecord) -> Result<Option<Scene>, PlotError> {
    let Some(picks) = &record.choices else { return Ok(None) };
    let fonts = Fonts::new()?;
    let mut bars: Vec<(&str, &str, &Pick)> = record
        .families
        .iter()
        .filter_map(|family| {
            Some((family.name.as_str(), family.kind.word(), picks.families.get(&family.name)?))
        })
        .collect();
    bars.push(("all questions", "", &picks.all));
    let below = TOP + STEP * bars.len() as f64 + 34.0;
    let height = if panels(picks).next().is_none() { 0.0 } else { PANEL.1 + 110.0 };
    let mut scene = Scene::new(WIDTH, below + height);
    let policy = record.policy.as_ref().map_or("the policy", |policy| policy.name.as_str());
    let more = ": share of the questions that run at each rung, %";
    heading(&mut scene, record, &format!("What {policy} picks, by family"), more);
    legend(&mut scene, &fonts, &picks.ladder);
    let style = Style::new(12.0, FAINT_INK).anchor(Anchor::End);
    scene.text(at(WIDTH - 24.0, TOP - 10.0), "mean SA layers", style);
    for (number, (name, kind, pick)) in bars.iter().enumerate() {
        // What all families add up to stands apart.
        let apart = if number + 1 == bars.len() { 12.0 } else { 0.0 };
        bar(&mut scene, &fonts, (name, kind), pick, TOP + STEP * number as f64 + apart);
    }
    below_bars(&mut scene, picks, below + 62.0);
    Ok(Some(scene))
}

/// The colour of a rung: the dearer the darker.
fn of_rung(rung: usize, rungs: usize) -> Color {
    sequential(if rungs > 1 { rung as f64 / (rungs - 1) as f64 } else { 0.5 })
}

fn legend(scene: &mut Scene, fonts: &Fonts, ladder: &[String]) {
    let mut x = LEFT;
    for (rung, name) in ladder.iter().enumerate() {
        scene.rectangle(at(x, 72.0), at(x + 14.0, 86.0), of_rung(rung, ladder.len()));
        scene.text(at(x + 20.0, 79.0 + MIDDLE * 12.5), name, Style::new(12.5, INK));
        x += 20.0 + fonts.width(name, 12.5, false) + 24.0;
    }
}

fn bar(scene: &mut Scene, fonts: &Fonts, (name, kind): (&str, &str), pick: &Pick, top: f64) {
    let baseline = top + BAR / 2.0 + MIDDLE * 13.0;
    let style = Style::new(13.0, INK).anchor(Anchor::End);
    let style = if kind.is_empty() { style.bold() } else { style };
    scene.text(at(LEFT - 12.0, baseline), name, style);
    scene.text(at(24.0, baseline), kind, Style::new(12.0, FAINT_INK));
    let mut from = LEFT;
    for (rung, share) in pick.shares.iter().enumerate() {
        let to = from + share * (RIGHT - LEFT);
        let color = of_rung(rung, pick.shares.len());
        scene.rectangle(at(from, top), at(to, top + BAR), color);
        let text = percent(*share);
        if to - from > fonts.width(&text, 12.0, false) + 8.0 {
            let style = Style::new(12.0, color.ink_on()).anchor(Anchor::Middle);
            scene.text(at((from + to) / 2.0, top + BAR / 2.0 + MIDDLE * 12.0), text, style);
        }
        if from > LEFT && *share > 0.0 {
            scene.rectangle(at(from - 0.5, top), at(from + 0.5, top + BAR), PAGE);
        }
        from = to;
    }
    let style = Style::new(13.0, INK).anchor(Anchor::End);
    scene.text(at(WIDTH - 24.0, baseline), format!("{:.2}", pick.layers), style);
}

/// Families whose picks are known by a number: by steps first, then by the answer.
fn panels(picks: &Picks) -> impl Iterator<Item = (String, &BTreeMap<u32, Pick>)> {
    let hops = picks.by_hops.iter().map(|(family, by)| (format!("{family}, by steps"), by));
    let numbers = picks.by_number.iter().map(|(family, by)| (format!("{family}, by answer"), by));
    hops.chain(numbers).take(MOST_PANELS)
}

/// A panel a family.
fn below_bars(scene: &mut Scene, picks: &Picks, top: f64) {
    if panels(picks).next().is_none() {
        return;
    }
    let title =
        "Mean number of SA layers by steps to the answer, or by the answer; intervals of 95 %";
    scene.text(at(24.0, top - 36.0), title, Style::new(15.0, INK).bold());
    for (number, (name, by)) in panels(picks).enumerate() {
        let left = 48.0 + number as f64 * PANEL_STEP;
        let most = picks.ladder.len().saturating_sub(1).max(1) as f64;
        panel(scene, &name, by, most, at(left, top));
    }
}

fn panel(scene: &mut Scene, name: &str, hops: &BTreeMap<u32, Pick>, most: f64, corner: Point) {
    let (right, bottom) = (corner.x + PANEL.0, corner.y + PANEL.1);
    let first = hops.keys().next().copied().map_or(0.0, f64::from);
    let last = hops.keys().next_back().copied().map_or(1.0, f64::from);
    let x = Axis::linear((first - 0.3, last + 0.3), (corner.x, right), Vec::new());
    let y = Axis::linear((0.0, 1.06 * most), (bottom, corner.y), Vec::new());
    scene.text(at(corner.x, corner.y - 10.0), name, Style::new(13.0, INK).bold());
    for tick in 0..=most as usize {
        let place = y.place(tick as f64);
        scene.line(vec![at(corner.x, place), at(right, place)], 1.0, GRID);
        let style = Style::new(11.0, FAINT_INK).anchor(Anchor::End);
        scene.text(at(corner.x - 7.0, place + MIDDLE * 11.0), tick.to_string(), style);
    }
    scene.line(vec![at(corner.x, bottom), at(right, bottom)], 1.0, AXIS);
    let color = sequential(0.8);
    let place = |hops: u32, layers: f64| at(x.place(f64::from(hops)), y.place(layers));
    let line: Vec<Point> = hops.iter().map(|(&hops, pick)| place(hops, pick.layers)).collect();
    scene.line(line, 1.75, color);
    for (&hops, pick) in hops {
        let style = Style::new(11.0, FAINT_INK).anchor(Anchor::Middle);
        scene.text(at(place(hops, 0.0).x, bottom + 16.0), hops.to_string(), style);
        if let Some(half) = pick.layers_plus_minus {
            let ends = [pick.layers - half, pick.layers + half].map(|l| l.clamp(0.0, most));
            scene.line(
                ends.map(|layers| place(hops, layers)).to_vec(),
                1.25,
                color.towards(PAGE, 0.4),
            );
        }
        scene.disc(place(hops, pick.layers), 4.0, color);
    }
}
