//! What the generator knows about single cells: labels for dense supervision during training.

use super::scene::{Cell, Direction, Part, Scene};
use crate::words::SIZES;
use crate::{Grounding, Slot};

/// All labels of a scene, cell by cell.
///
/// Group sizes and twins are labelled in scenes of plain objects only: among arrows and digits
/// nobody asks for them.
pub(crate) fn ground(scene: &Scene) -> Vec<Grounding> {
    let plain = scene.cells.iter().all(|cell| matches!(cell, Cell::Empty | Cell::Object { .. }));
    let sizes = if plain { scene.blob_sizes() } else { Vec::new() };
    let kinds = scene.kinds();
    let mut labels = Vec::with_capacity(scene.cells.len() * 7);
    for (at, &cell) in scene.cells.iter().enumerate() {
        let mut label = |slot, class: usize, from_depth: usize| {
            let (class, from_depth) = (class as u8, from_depth as u8);
            labels.push(Grounding { patch: at as u16, slot, class, from_depth });
        };
        match cell {
            Cell::Empty | Cell::Digit { part: Part::Quarter(_), .. } => {}
            Cell::Digit { digit, part: Part::Whole } => label(Slot::Digit, usize::from(digit), 0),
            Cell::Object { colour, shape } => {
                label(Slot::Colour, usize::from(colour), 0);
                label(Slot::Shape, usize::from(shape), 0);
            }
            Cell::Arrow(_) => {
                let path = scene.chain(at);
                if let Some(colour) = scene.cells[path[path.len() - 1]].colour() {
                    label(Slot::ChainEnd, colour, path.len() - 1);
                }
            }
        }
        if let (true, Some(kind)) = (plain, cell.kind()) {
            if sizes[at] <= SIZES.len() {
                label(Slot::GroupSize, sizes[at] - 1, 1);
            }
            label(Slot::Twin, usize::from(kinds[kind] > 1), 1);
        }
        let shown = |next: Option<usize>| {
            next.and_then(|next| scene.cells[next].colour()).map_or(0, |colour| colour + 1)
        };
        label(Slot::NeighbourLeft, shown(scene.step(at, Direction::Left)), 1);
        label(Slot::NeighbourRight, shown(scene.step(at, Direction::Right)), 1);
        label(Slot::NeighbourUp, shown(scene.step(at, Direction::Up)), 1);
        label(Slot::NeighbourDown, shown(scene.step(at, Direction::Down)), 1);
        let row = at / scene.side * scene.side;
        label(Slot::Mirror, shown(Some(row + scene.side - 1 - (at - row))), 1);
    }
    labels
}
