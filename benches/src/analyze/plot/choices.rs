//! What the policy picks: a bar a family (VISOR, Fig. 7), and how its layers grow with the number
//! of steps that a question takes.

use super::heading;
use crate::analyze::record::{AnalyzeRecord, Pick, Picks};
use crate::compare::plot::PlotError;
use crate::compare::plot::axis::Axis;
use crate::compare::plot::bars::{Bar, Bars, WIDTH};
use crate::compare::plot::scene::{Anchor, MIDDLE, Point, Scene, Style, at};
use crate::compare::plot::theme::{AXIS, FAINT_INK, GRID, INK, PAGE, sequential};
use std::collections::BTreeMap;

const PANEL: (f64, f64) = (165.0, 130.0);
const PANEL_STEP: f64 = 225.0;
const MOST_PANELS: usize = 4;

pub(super) fn scene(record: &AnalyzeRecord) -> Result<Option<Scene>, PlotError> {
    let Some(picks) = &record.choices else { return Ok(None) };
    let mut bars: Vec<Bar<'_>> = record
        .families
        .iter()
        .filter_map(|family| {
            Some(bar(&family.name, family.kind.word(), picks.families.get(&family.name)?))
        })
        .collect();
    bars.push(bar("all questions", "", &picks.all));
    let bars = Bars::new(&picks.ladder, bars)?;
    let below = bars.height();
    let more = if panels(picks).next().is_none() { 0.0 } else { PANEL.1 + 110.0 };
    let mut scene = Scene::new(WIDTH, below + more);
    let policy = record.policy.as_ref().map_or("the policy", |policy| policy.name.as_str());
    let under = ": share of the questions that run at each rung, %";
    heading(&mut scene, record, &format!("What {policy} picks, by family"), under);
    bars.draw(&mut scene, "mean SA layers");
    below_bars(&mut scene, picks, below + 62.0);
    Ok(Some(scene))
}

fn bar<'a>(name: &'a str, kind: &'static str, pick: &'a Pick) -> Bar<'a> {
    Bar { name, kind, shares: &pick.shares, figure: Some(format!("{:.2}", pick.layers)) }
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
