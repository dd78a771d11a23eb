//! Whether another object has the colour and shape of the one in a named cell.
//!
//! Yes and no are drawn first, and so is whether the scene has some other pair of twins: that a pair
//! exists somewhere tells nothing about the object asked for.

use super::knobs::Knobs;
use super::scene::{Cell, KIND_COUNT, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words;

/// From a few objects to many, one of which has a twin or not.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let (yes, pair) = (rng.coin(), rng.coin());
    let kind = rng.below(KIND_COUNT);
    let mut scene = Scene::empty(knobs.side);
    let mut cells = scene.free();
    rng.shuffle(&mut cells);
    cells.truncate(rng.between(knobs.pairing.0, knobs.pairing.1));
    for &at in &cells {
        scene.cells[at] = Cell::object(rng.other_than(kind, KIND_COUNT));
    }
    let target = cells[0];
    scene.cells[target] = Cell::object(kind);
    if yes {
        scene.cells[cells[1]] = Cell::object(kind);
    }
    if pair && cells.len() >= 4 {
        scene.cells[cells[3]] = scene.cells[cells[2]];
    }
    let first = about(&scene, target, yes);
    Drawn { scene, first }
}

/// A question whose answer is drawn first, on a scene where both answers can be met.
pub(crate) fn another(rng: &mut Rng, scene: &Scene) -> Option<Ask> {
    let yes = rng.coin();
    let kinds = scene.kinds();
    let paired = |cell: Cell| cell.kind().map(|kind| kinds[kind] > 1);
    let fitting = scene.positions(|cell| paired(cell) == Some(yes));
    let others = scene.how_many(|cell| paired(cell) == Some(!yes));
    if others == 0 { None } else { Some(about(scene, rng.pick(&fitting)?, yes)) }
}

fn about(scene: &Scene, target: usize, yes: bool) -> Ask {
    let alike = scene.positions(|cell| cell == scene.cells[target]);
    let text = format!("twin of {} ?", scene.place(target));
    Ask::new(Family::Twin, text, words::yes_no(yes), alike)
}
