//! The size of the connected group of one colour around a named cell.
//!
//! Place and size are drawn first, each on its own, and the group is grown around the place: a corner
//! is as often in a large group as the middle.

use super::knobs::Knobs;
use super::scene::{COLOUR_COUNT, Cell, SHAPE_COUNT, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words::DIGITS;

/// Three colours make groups of all sizes likely and the colour of a cell tell little.
const PALETTE: usize = 3;

/// A group of the drawn size around the drawn place, in a crowd of three colours.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let mut palette: Vec<usize> = (0..COLOUR_COUNT).collect();
    rng.shuffle(&mut palette);
    palette.truncate(PALETTE);
    let crowd = rng.between(knobs.crowd.0, knobs.crowd.1);
    let mut scene = Scene::empty(knobs.side);
    // Cells whose groups are grown to their size and must not be touched by more of their colour.
    let mut settled: Vec<usize> = Vec::new();
    let target = rng.below(scene.cells.len());
    let mut start = Some(target);
    // Beside the group asked about others are planted, so that further questions find all sizes too.
    for colour in (0..=knobs.side / 2).map(|index| palette[index % PALETTE]) {
        let size = rng.between(knobs.sizes.0, knobs.sizes.1);
        let room = settled.is_empty() || settled.len() + size <= crowd;
        if let (true, Some(start)) = (room, start) {
            settled.extend(plant(rng, &mut scene, start, size, colour));
        }
        start = rng.pick(&scene.free());
    }
    let mut free = scene.free();
    rng.shuffle(&mut free);
    for &at in free.iter().take(crowd.saturating_sub(settled.len())) {
        let touched = |colour: &usize| {
            scene
                .neighbours(at)
                .any(|next| scene.cells[next].colour() == Some(*colour) && settled.contains(&next))
        };
        let fitting: Vec<usize> = palette.iter().copied().filter(|c| !touched(c)).collect();
        if let Some(colour) = rng.pick(&fitting) {
            scene.cells[at] = object(rng, colour);
        }
    }
    let first = about(&scene, target);
    Drawn { scene, first }
}

fn object(rng: &mut Rng, colour: usize) -> Cell {
    Cell::object(colour * SHAPE_COUNT + rng.below(SHAPE_COUNT))
}

/// Grows a connected group of `size` free cells from `start`, one uniform border cell after another,
/// keeping clear of other objects of the colour. Gives no cells where there is no room.
fn plant(rng: &mut Rng, scene: &mut Scene, start: usize, size: usize, colour: usize) -> Vec<usize> {
    let clear = |at: usize| {
        scene.cells[at] == Cell::Empty
            && scene.neighbours(at).all(|next| scene.cells[next].colour() != Some(colour))
    };
    let mut group = Vec::with_capacity(size);
    let mut border = if clear(start) { vec![start] } else { Vec::new() };
    while group.len() < size {
        let Some(at) = rng.pick(&border) else { return Vec::new() };
        group.push(at);
        border.extend(scene.neighbours(at).filter(|&next| clear(next)));
        border.retain(|next| !group.contains(next));
        border.sort_unstable();
        border.dedup();
    }
    for &at in &group {
        scene.cells[at] = object(rng, colour);
    }
    group
}

/// A question whose answer is drawn first, where the scene has a group of that size.
pub(crate) fn another(rng: &mut Rng, scene: &Scene, knobs: &Knobs) -> Option<Ask> {
    let size = rng.between(knobs.sizes.0, knobs.sizes.1);
    let sizes = scene.blob_sizes();
    let fitting: Vec<usize> = (0..sizes.len()).filter(|&at| sizes[at] == size).collect();
    Some(about(scene, rng.pick(&fitting)?))
}

fn about(scene: &Scene, target: usize) -> Ask {
    let group = scene.blob(target);
    let text = format!("group at {} ?", scene.place(target));
    let hops = reach(scene, &group);
    let mut ask = Ask::new(Family::Group, text, DIGITS[group.len()], group);
    ask.hops = hops;
    ask
}

/// Steps from the first cell of a group to its farthest; the group is in breadth-first order.
fn reach(scene: &Scene, group: &[usize]) -> u8 {
    let mut steps = vec![0_u8; group.len()];
    for later in 1..group.len() {
        let nearest = (0..later)
            .filter(|&earlier| scene.neighbours(group[later]).any(|at| at == group[earlier]))
            .map(|earlier| steps[earlier])
            .min();
        steps[later] = nearest.map_or(0, |step| step + 1);
    }
    steps.into_iter().max().unwrap_or(0)
}
