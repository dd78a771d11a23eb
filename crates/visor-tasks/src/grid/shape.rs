//! The shape of the only object of a colour: one look, found by content.

use super::knobs::Knobs;
use super::scene::{COLOUR_COUNT, Cell, KIND_COUNT, SHAPE_COUNT, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words::{COLOURS, SHAPES};

/// One object of a colour that no other object has.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let (colour, shape) = (rng.below(COLOUR_COUNT), rng.below(SHAPE_COUNT));
    let mut scene = Scene::empty(knobs.side);
    let mut cells = scene.free();
    rng.shuffle(&mut cells);
    cells.truncate(rng.between(knobs.objects.0, knobs.objects.1));
    for &at in &cells {
        let other = rng.other_than(colour, COLOUR_COUNT);
        scene.cells[at] = Cell::object(other * SHAPE_COUNT + rng.below(SHAPE_COUNT));
    }
    let target = cells[0];
    scene.cells[target] = Cell::object(colour * SHAPE_COUNT + shape);
    let first = about(target, colour, shape);
    Drawn { scene, first }
}

/// A question about a shape that is drawn first, where an object of it is alone in its colour.
pub(crate) fn another(rng: &mut Rng, scene: &Scene) -> Option<Ask> {
    let shape = rng.below(SHAPE_COUNT);
    let colours = scene.colours();
    let kinds = scene.kinds();
    let alone: Vec<usize> = (0..KIND_COUNT)
        .filter(|&kind| kind % SHAPE_COUNT == shape)
        .filter(|&kind| kinds[kind] == 1 && colours[kind / SHAPE_COUNT] == 1)
        .collect();
    let kind = rng.pick(&alone)?;
    let target = scene.cells.iter().position(|cell| cell.kind() == Some(kind))?;
    Some(about(target, kind / SHAPE_COUNT, shape))
}

fn about(target: usize, colour: usize, shape: usize) -> Ask {
    let text = format!("shape of the {} ?", COLOURS[colour]);
    Ask::new(Family::Shape, text, SHAPES[shape], vec![target])
}
