//! A matrix of coloured cells with names at its sides.

use crate::compare::plot::font::Fonts;
use crate::compare::plot::scene::{Anchor, MIDDLE, Point, Scene, Style, at};
use crate::compare::plot::theme::{Color, FAINT_INK, GRID, INK};

/// A cell.
pub(super) enum Cell {
    /// Its colour and what stands in it.
    Known(Color, String),
    /// Nothing is known of it.
    Unknown,
    /// There is none: the other half of what is symmetric.
    Absent,
}

/// A matrix in front of being drawn.
pub(super) struct Heat<'a> {
    /// Its upper left corner, names not counted.
    pub(super) corner: Point,
    /// Width and height of a cell.
    pub(super) cell: (f64, f64),
    /// Names at the left.
    pub(super) rows: &'a [String],
    /// Names above.
    pub(super) columns: &'a [String],
    /// Columns before which a gap stands, so that groups are told apart.
    pub(super) gaps: &'a [usize],
    /// Size of all text.
    pub(super) text: f64,
}

/// Width of a gap.
pub(super) const GAP: f64 = 10.0;

impl Heat<'_> {
    /// Room that the names at the left need.
    pub(super) fn left(fonts: &Fonts, rows: &[String], text: f64) -> f64 {
        rows.iter().map(|name| fonts.width(name, text, false)).fold(0.0, f64::max) + 12.0
    }

    fn x(&self, column: usize) -> f64 {
        let gaps = self.gaps.iter().filter(|gap| **gap <= column).count();
        self.corner.x + column as f64 * self.cell.0 + gaps as f64 * GAP
    }

    /// Where it ends at the right and below.
    pub(super) fn end(&self) -> Point {
        let right =
            self.columns.len().checked_sub(1).map_or(0.0, |last| self.x(last) + self.cell.0);
        at(right, self.corner.y + self.rows.len() as f64 * self.cell.1)
    }

    /// Draws it; `cell` is asked for row and column.
    pub(super) fn draw(&self, scene: &mut Scene, cell: impl Fn(usize, usize) -> Cell) {
        let (width, height) = self.cell;
        for (column, name) in self.columns.iter().enumerate() {
            let style = Style::new(self.text, INK).anchor(Anchor::Middle);
            scene.text(at(self.x(column) + width / 2.0, self.corner.y - 7.0), name, style);
        }
        for (row, name) in self.rows.iter().enumerate() {
            let top = self.corner.y + row as f64 * height;
            let baseline = top + height / 2.0 + MIDDLE * self.text - 0.75;
            let style = Style::new(self.text, FAINT_INK).anchor(Anchor::End);
            scene.text(at(self.corner.x - 8.0, baseline), name, style);
            for column in 0..self.columns.len() {
                let x = self.x(column);
                let (low, high) = (at(x, top), at(x + width - 1.5, top + height - 1.5));
                let (color, text) = match cell(row, column) {
                    Cell::Known(color, text) => (color, text),
                    Cell::Unknown => {
                        scene.rectangle(low, high, GRID);
                        continue;
                    }
                    Cell::Absent => continue,
                };
                scene.rectangle(low, high, color);
                let style = Style::new(self.text, color.ink_on()).anchor(Anchor::Middle);
                scene.text(at(x + width / 2.0 - 0.75, baseline), text, style);
            }
        }
    }
}
