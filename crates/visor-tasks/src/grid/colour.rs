//! The colour of the object in a named cell: one look at one place.

use super::knobs::Knobs;
use super::scene::{COLOUR_COUNT, Cell, KIND_COUNT, SHAPE_COUNT, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words::COLOURS;

/// Objects of any kind, one of them of the colour drawn first.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let colour = rng.below(COLOUR_COUNT);
    let mut scene = Scene::empty(knobs.side);
    let mut cells = scene.free();
    rng.shuffle(&mut cells);
    cells.truncate(rng.between(knobs.objects.0, knobs.objects.1));
    for &at in &cells {
        scene.cells[at] = Cell::object(rng.below(KIND_COUNT));
    }
    let target = cells[0];
    scene.cells[target] = Cell::object(colour * SHAPE_COUNT + rng.below(SHAPE_COUNT));
    let first = about(&scene, target, colour);
    Drawn { scene, first }
}

/// A question about an object of a colour that is drawn first.
pub(crate) fn another(rng: &mut Rng, scene: &Scene) -> Option<Ask> {
    let colour = rng.below(COLOUR_COUNT);
    let target = rng.pick(&scene.positions(|cell| cell.colour() == Some(colour)))?;
    Some(about(scene, target, colour))
}

fn about(scene: &Scene, target: usize, colour: usize) -> Ask {
    let text = format!("colour at {} ?", scene.place(target));
    Ask::new(Family::Colour, text, COLOURS[colour], vec![target])
}
