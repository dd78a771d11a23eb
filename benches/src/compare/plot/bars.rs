//! What a policy chooses: a bar a family, a part of it a rung.

use super::PlotError;
use super::font::Fonts;
use super::legend::{Legend, SIZE, legend};
use super::scene::{Anchor, MIDDLE, Scene, Style, at};
use super::theme::{Color, FAINT_INK, INK, PAGE, sequential};
use crate::compare::render::format::percent;

/// Width of a figure of bars.
pub(crate) const WIDTH: f64 = 960.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 846.0;
const TOP: f64 = 124.0;
const HEIGHT: f64 = 26.0;
const STEP: f64 = 36.0;
/// How far what all families add up to stands apart.
const APART: f64 = 12.0;

/// A bar.
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    /// What kind of family it is; empty for what all add up to.
    pub(crate) kind: &'static str,
    /// The share of each rung, cheapest first.
    pub(crate) shares: &'a [f64],
    /// What stands behind it.
    pub(crate) figure: Option<String>,
}

/// Bars below a title and a legend, the last of them what all add up to.
pub(crate) struct Bars<'a> {
    fonts: Fonts,
    rungs: &'a [String],
    legend: Legend,
    bars: Vec<Bar<'a>>,
}

impl<'a> Bars<'a> {
    pub(crate) fn new(rungs: &'a [String], bars: Vec<Bar<'a>>) -> Result<Self, PlotError> {
        let fonts = Fonts::new()?;
        let names: Vec<&str> = rungs.iter().map(String::as_str).collect();
        let legend = legend(&fonts, &names, (LEFT, WIDTH - 24.0), 79.0, 20.0);
        Ok(Self { fonts, rungs, legend, bars })
    }

    fn top(&self) -> f64 {
        TOP + self.legend.more
    }

    /// The height of the figure down to where the bars end.
    pub(crate) fn height(&self) -> f64 {
        self.top() + STEP * self.bars.len() as f64 + 34.0
    }

    /// Draws legend and bars; `figures` says what stands behind these.
    pub(crate) fn draw(&self, scene: &mut Scene, figures: &str) {
        for (rung, (name, key)) in self.rungs.iter().zip(&self.legend.keys).enumerate() {
            let color = of_rung(rung, self.rungs.len());
            scene.rectangle(at(key.x, key.y - 7.0), at(key.x + 14.0, key.y + 7.0), color);
            scene.text(at(key.x + 20.0, key.y + MIDDLE * SIZE), name, Style::new(SIZE, INK));
        }
        let style = Style::new(12.0, FAINT_INK).anchor(Anchor::End);
        scene.text(at(WIDTH - 24.0, self.top() - 10.0), figures, style);
        for (number, bar) in self.bars.iter().enumerate() {
            let apart = if number + 1 == self.bars.len() { APART } else { 0.0 };
            bar.draw(scene, &self.fonts, self.top() + STEP * number as f64 + apart);
        }
    }
}

impl Bar<'_> {
    fn draw(&self, scene: &mut Scene, fonts: &Fonts, top: f64) {
        let baseline = top + HEIGHT / 2.0 + MIDDLE * 13.0;
        let name = Style::new(13.0, INK).anchor(Anchor::End);
        let name = if self.kind.is_empty() { name.bold() } else { name };
        scene.text(at(LEFT - 12.0, baseline), self.name, name);
        scene.text(at(24.0, baseline), self.kind, Style::new(12.0, FAINT_INK));
        let mut from = LEFT;
        for (rung, share) in self.shares.iter().enumerate() {
            let to = from + share * (RIGHT - LEFT);
            let color = of_rung(rung, self.shares.len());
            scene.rectangle(at(from, top), at(to, top + HEIGHT), color);
            let text = percent(*share);
            if to - from > fonts.width(&text, 12.0, false) + 8.0 {
                let style = Style::new(12.0, color.ink_on()).anchor(Anchor::Middle);
                let middle = at((from + to) / 2.0, top + HEIGHT / 2.0 + MIDDLE * 12.0);
                scene.text(middle, text, style);
            }
            // A gap, so that neighbours of like colour are told apart.
            if from > LEFT && *share > 0.0 {
                scene.rectangle(at(from - 0.5, top), at(from + 0.5, top + HEIGHT), PAGE);
            }
            from = to;
        }
        if let Some(figure) = &self.figure {
            let style = Style::new(13.0, INK).anchor(Anchor::End);
            scene.text(at(WIDTH - 24.0, baseline), figure, style);
        }
    }
}

/// The colour of a rung: the dearer the darker.
fn of_rung(rung: usize, rungs: usize) -> Color {
    sequential(if rungs > 1 { rung as f64 / (rungs - 1) as f64 } else { 0.5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_below_a_legend_however_long_it_is() {
        let height = |rungs: usize| {
            let rungs = vec!["sa3-k16".to_owned(); rungs];
            let shares = vec![1.0 / rungs.len() as f64; rungs.len()];
            let bar = Bar { name: "all", kind: "", shares: &shares, figure: None };
            Bars::new(&rungs, vec![bar]).expect("the fonts are part of the program").height()
        };
        assert_eq!(height(2), height(3));
        assert!(height(20) > height(3));
    }
}
