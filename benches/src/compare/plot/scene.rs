//! A figure as shapes at known places. Units are those of the SVG; y points down.

use super::theme::{Color, PAGE};

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

pub(crate) fn at(x: f64, y: f64) -> Point {
    Point { x, y }
}

/// What of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Style {
    /// Height of an em.
    pub(crate) size: f64,
    pub(crate) color: Color,
    pub(crate) anchor: Anchor,
    pub(crate) bold: bool,
    /// A quarter turn to the left: it is read from below.
    pub(crate) upright: bool,
}

impl Style {
    pub(crate) fn new(size: f64, color: Color) -> Self {
        Self { size, color, anchor: Anchor::Start, bold: false, upright: false }
    }

    pub(crate) fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) fn upright(self) -> Self {
        Self { upright: true, ..self }
    }
}

/// Something drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A line along points.
    Line { points: Vec<Point>, width: f64, color: Color },
    /// A filled polygon.
    Polygon { points: Vec<Point>, color: Color },
    /// A filled disc.
    Disc { center: Point, radius: f64, color: Color },
    /// A text whose baseline is at a place.
    Text { at: Point, text: String, style: Style },
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// In the order in which they are drawn.
    pub(crate) shapes: Vec<Shape>,
}

impl Scene {
    /// An empty page, of whole units.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let (width, height) = (width.ceil(), height.ceil());
        let mut scene = Self { width, height, shapes: Vec::new() };
        scene.rectangle(at(0.0, 0.0), at(width, height), PAGE);
        scene
    }

    pub(crate) fn line(&mut self, points: Vec<Point>, width: f64, color: Color) {
        self.shapes.push(Shape::Line { points, width, color });
    }

    pub(crate) fn dashed(&mut self, points: &[Point], width: f64, color: Color, dash: f64) {
        let (mut drawn, mut left) = (true, dash);
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.x - from.x).hypot(to.y - from.y);
            let on_line = |far: f64| {
                let part = far / length;
                at(from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part)
            };
            let mut done = 0.0;
            while done < length {
                let end = (done + left).min(length);
                if drawn {
                    self.line(vec![on_line(done), on_line(end)], width, color);
                }
                left -= end - done;
                done = end;
                if left <= 1e-9 {
                    (drawn, left) = (!drawn, dash);
                }
            }
        }
    }

    pub(crate) fn polygon(&mut self, points: Vec<Point>, color: Color) {
        self.shapes.push(Shape::Polygon { points, color });
    }

    pub(crate) fn rectangle(&mut self, corner: Point, opposite: Point, color: Color) {
        let (x0, y0, x1, y1) = (corner.x, corner.y, opposite.x, opposite.y);
        self.polygon(vec![at(x0, y0), at(x1, y0), at(x1, y1), at(x0, y1)], color);
    }

    pub(crate) fn disc(&mut self, center: Point, radius: f64, color: Color) {
        self.shapes.push(Shape::Disc { center, radius, color });
    }

    pub(crate) fn text(&mut self, at: Point, text: impl Into<String>, style: Style) {
        self.shapes.push(Shape::Text { at, text: text.into(), style });
    }
}

/// How far below the middle of capital letters and digits the baseline is, in ems.
pub(crate) const MIDDLE: f64 = 0.36;
