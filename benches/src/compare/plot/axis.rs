//! Axes: where ticks stand, and the frame of a chart.

use super::scene::{Anchor, MIDDLE, Point, Scene, Style, at};
use super::theme::{AXIS, FAINT_INK, GRID, INK};

/// One direction of a chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where `low` and `high` are drawn.
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Axis {
    /// Even steps from `low` to `high`.
    pub(crate) fn linear((low, high): (f64, f64), ends: (f64, f64), ticks: Vec<f64>) -> Self {
        Self { low, high, logarithmic: false, ends, ticks }
    }

    /// Even ratios from `low` to `high`, both above 0.
    pub(crate) fn logarithmic((low, high): (f64, f64), ends: (f64, f64)) -> Self {
        Self { low, high, logarithmic: true, ends, ticks: ratio_ticks(low, high) }
    }

    /// Where a value is drawn.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.ends.0 + part * (self.ends.1 - self.ends.0)
    }
}

/// Multiples of a round step within a range, about `count` of them.
pub(crate) fn even_ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let rough = (high - low) / count;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * magnitude);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|number| number as f64 * step).collect()
}

/// Round values within a range: as fine a pattern of every decade as has at most nine of them.
fn ratio_ticks(low: f64, high: f64) -> Vec<f64> {
    const PATTERNS: [&[f64]; 6] = [
        &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
        &[1.0],
    ];
    let decades = low.log10().floor() as i32..=high.log10().floor() as i32;
    let of_pattern = |pattern: &[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|decade| pattern.iter().map(move |m| (*m, decade)));
        let values = all.map(|(multiple, decade)| multiple * 10_f64.powi(decade));
        values.filter(|value| (low..=high).contains(value)).collect()
    };
    let found = PATTERNS.into_iter().map(of_pattern).find(|ticks| ticks.len() <= 9);
    match found {
        Some(ticks) if ticks.len() > 1 => ticks,
        _ => even_ticks(low, high, 6.0),
    }
}

/// A tick's value in as few digits as it has.
pub(crate) fn tick_label(value: f64) -> String {
    let label = format!("{value:.4}");
    label.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Grid, ticks and titles of a chart.
pub(crate) fn frame(scene: &mut Scene, x: &Axis, y: &Axis, x_title: &str, y_title: &str) {
    const TICK: f64 = 12.0;
    let ((left, right), (bottom, top)) = (x.ends, y.ends);
    for value in &y.ticks {
        let place = y.place(*value);
        scene.line(vec![at(left, place), at(right, place)], 1.0, GRID);
        let style = Style::new(TICK, FAINT_INK).anchor(Anchor::End);
        scene.text(at(left - 8.0, place + MIDDLE * TICK), tick_label(*value), style);
    }
    for value in &x.ticks {
        let place = x.place(*value);
        scene.line(vec![at(place, bottom), at(place, top)], 1.0, GRID);
        scene.line(vec![at(place, bottom), at(place, bottom + 5.0)], 1.0, AXIS);
        let style = Style::new(TICK, FAINT_INK).anchor(Anchor::Middle);
        scene.text(at(place, bottom + 8.0 + TICK), tick_label(*value), style);
    }
    scene.line(vec![at(left, bottom), at(right, bottom)], 1.0, AXIS);
    let style = Style::new(13.0, INK).anchor(Anchor::Middle);
    scene.text(at((left + right) / 2.0, bottom + 44.0), x_title, style);
    let place: Point = at(left - 46.0, (top + bottom) / 2.0);
    scene.text(place, y_title, style.upright());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ticks_are_round_and_within_the_range() {
        assert_eq!(even_ticks(52.0, 100.5, 6.0), [60.0, 70.0, 80.0, 90.0, 100.0]);
        assert_eq!(even_ticks(97.0, 100.0, 6.0), [97.0, 97.5, 98.0, 98.5, 99.0, 99.5, 100.0]);
    }

    #[test]
    fn ratio_ticks_are_few_whatever_the_range() {
        assert_eq!(ratio_ticks(0.9, 1100.0), [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]);
        assert_eq!(ratio_ticks(8.0, 30.0), [8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0]);
        for (low, high) in [(1.0, 1.1), (0.001, 1e6), (4.9, 5.2), (99.0, 101.0)] {
            let ticks = ratio_ticks(low, high);
            assert!((2..=12).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low * 0.999..=high * 1.001).contains(tick)));
        }
    }

    #[test]
    fn places_lie_between_the_ends() {
        let axis = Axis::logarithmic((1.0, 100.0), (50.0, 250.0));
        assert!((axis.place(10.0) - 150.0).abs() < 1e-9);
        let axis = Axis::linear((0.0, 10.0), (300.0, 100.0), Vec::new());
        assert!((axis.place(2.5) - 250.0).abs() < 1e-9);
        assert_eq!(
            (tick_label(12.5), tick_label(20.0), tick_label(0.05)),
            ("12.5".into(), "20".into(), "0.05".into())
        );
    }
}
