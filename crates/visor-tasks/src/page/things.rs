//! Scenes of free-standing objects of two sizes: what `exist`, `attribute` and `relation` ask about.

use super::canvas::Area;
use super::{Drawn, Frame};
use crate::Slot;
use crate::rng::Rng;
use crate::sample::Ask;
use crate::words::{self, COLOURS, SHAPES};

/// Objects stand one to a square of this many pixels.
const PLOT: usize = 64;

/// What an object looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) colour: usize,
    pub(crate) shape: usize,
    pub(crate) large: bool,
}

impl Look {
    /// A uniform look.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        Self { colour: rng.below(COLOURS.len()), shape: rng.below(SHAPES.len()), large: rng.coin() }
    }

    /// A uniform look that does not fulfil a condition, which must leave some.
    pub(crate) fn unlike(rng: &mut Rng, holds: impl Fn(Self) -> bool) -> Self {
        loop {
            let look = Self::any(rng);
            if !holds(look) {
                return look;
            }
        }
    }

    /// The words for colour and shape.
    pub(crate) fn name(self) -> String {
        format!("{} {}", COLOURS[self.colour], SHAPES[self.shape])
    }

    /// The word for the size.
    pub(crate) fn size(self) -> &'static str {
        if self.large { "large" } else { "small" }
    }

    /// Whether colour and shape are the same.
    pub(crate) fn same_kind(self, other: Self) -> bool {
        self.colour == other.colour && self.shape == other.shape
    }
}

/// An object at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) look: Look,
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) radius: usize,
}

impl Thing {
    fn area(self) -> Area {
        let side = 2 * self.radius;
        Area { x: self.x - self.radius, y: self.y - self.radius, width: side, height: side }
    }
}

/// How many objects a scene has.
pub(crate) fn how_many(rng: &mut Rng, frame: &Frame) -> usize {
    let plots = (frame.size / PLOT).pow(2);
    if frame.harder { rng.between(plots * 7 / 8, plots) } else { rng.between(3, plots * 3 / 4) }
}

/// Puts objects at uniform places, each on a plot of its own.
pub(crate) fn place(rng: &mut Rng, frame: &Frame, looks: &[Look]) -> Vec<Thing> {
    let side = frame.size / PLOT;
    let mut plots: Vec<usize> = (0..side * side).collect();
    rng.shuffle(&mut plots);
    looks
        .iter()
        .zip(plots)
        .map(|(&look, plot)| {
            let radius = if look.large { rng.between(17, 22) } else { rng.between(8, 11) };
            let x = plot % side * PLOT + rng.between(radius + 2, PLOT - radius - 2);
            let y = plot / side * PLOT + rng.between(radius + 2, PLOT - radius - 2);
            Thing { look, x, y, radius }
        })
        .collect()
}

/// The patches of an object.
pub(crate) fn patches(frame: &Frame, thing: Thing) -> Vec<usize> {
    frame.page().touched(thing.area())
}

/// The things that fulfil a condition.
pub(crate) fn those(things: &[Thing], holds: impl Fn(Look) -> bool) -> Vec<Thing> {
    things.iter().copied().filter(|thing| holds(thing.look)).collect()
}

/// Draws the objects and hands over the questions about them.
pub(crate) fn finish(frame: &Frame, things: &[Thing], asks: Vec<Ask>) -> Drawn {
    let mut page = frame.page();
    for thing in things {
        page.shape(thing.look.shape, thing.look.colour, (thing.x, thing.y), thing.radius);
        let middle = page.patch_at(thing.x, thing.y);
        page.label(middle, Slot::Colour, thing.look.colour, 0);
        // No object fits into one patch: its shape shows once patches have met.
        page.label(middle, Slot::Shape, thing.look.shape, 1);
    }
    Drawn { page, asks, caption: caption(things), things: things.len() }
}

fn caption(things: &[Thing]) -> String {
    let mut words = Vec::new();
    for (colour, name) in COLOURS.into_iter().enumerate() {
        let count = things.iter().filter(|thing| thing.look.colour == colour).count();
        if count > 0 {
            words.extend([words::quantity(count), name]);
        }
    }
    words.join(" ")
}
