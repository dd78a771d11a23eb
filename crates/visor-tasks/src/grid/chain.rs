//! The colour at the end of a chain of arrows: a serial look for each arrow, or refined patches.
//!
//! The longest chain of a scene is never shorter than the hops asked for, but may be as short: scenes
//! with few arrows are cheap and look it, and the wording is the same.

use super::knobs::Knobs;
use super::scene::{COLOUR_COUNT, Cell, Direction, KIND_COUNT, SHAPE_COUNT, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words::COLOURS;

/// A drawn walk is given up after this many dead ends.
const WALK_TRIALS: usize = 20;

/// Several chains that share no cell, each with an object of its own at the end. Up to the number
/// of colours, all the ends differ in colour.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let hops = rng.between(knobs.hops.0, knobs.hops.1);
    let colour = rng.below(COLOUR_COUNT);
    let longest = rng.between(hops, knobs.hops.1);
    let chains = rng.between(knobs.chains.0, knobs.chains.1);
    loop {
        if let Some(drawn) = build(rng, knobs, hops, colour, longest, chains) {
            return drawn;
        }
    }
}

fn build(
    rng: &mut Rng,
    knobs: &Knobs,
    hops: usize,
    colour: usize,
    longest: usize,
    chains: usize,
) -> Option<Drawn> {
    let mut scene = Scene::empty(knobs.side);
    let mut colours: Vec<usize> = (0..COLOUR_COUNT).filter(|&c| c != colour).collect();
    rng.shuffle(&mut colours);
    colours.insert(0, colour);
    let length = rng.between(hops, longest);
    let asked = lay(rng, &mut scene, length, colour)?;
    let mut laid = 1;
    for index in 1..chains {
        // The second chain shows how long chains are here, whatever the one asked about.
        let length = if index == 1 { longest } else { rng.between(1, longest) };
        let end = colours[index % COLOUR_COUNT];
        laid += usize::from(lay(rng, &mut scene, length, end).is_some());
    }
    if laid < chains.min(knobs.chains.0) {
        return None;
    }
    let mut free = scene.free();
    rng.shuffle(&mut free);
    for &at in free.iter().take(rng.between(knobs.decoys.0, knobs.decoys.1)) {
        scene.cells[at] = Cell::object(rng.below(KIND_COUNT));
    }
    let start = asked[asked.len() - 1 - hops];
    let first = about(&scene, start);
    Some(Drawn { scene, first })
}

/// Lays a chain of `length` arrows over free cells and gives its cells, the end last.
fn lay(rng: &mut Rng, scene: &mut Scene, length: usize, colour: usize) -> Option<Vec<usize>> {
    let free = scene.free();
    for _ in 0..WALK_TRIALS {
        let mut path = vec![rng.pick(&free)?];
        let mut turns = Vec::with_capacity(length);
        while turns.len() < length {
            let here = path[path.len() - 1];
            let ways: Vec<(Direction, usize)> = Direction::ALL
                .into_iter()
                .filter_map(|way| Some((way, scene.step(here, way)?)))
                .filter(|(_, at)| scene.cells[*at] == Cell::Empty && !path.contains(at))
                .collect();
            let Some((way, at)) = rng.pick(&ways) else { break };
            turns.push(way);
            path.push(at);
        }
        if turns.len() < length {
            continue;
        }
        for (&at, &way) in path.iter().zip(&turns) {
            scene.cells[at] = Cell::Arrow(way);
        }
        scene.cells[path[length]] = Cell::object(colour * SHAPE_COUNT + rng.below(SHAPE_COUNT));
        return Some(path);
    }
    None
}

/// A question whose number of hops is drawn first, where an arrow has that many to its end.
pub(crate) fn another(rng: &mut Rng, scene: &Scene, knobs: &Knobs) -> Option<Ask> {
    let hops = rng.between(1, knobs.hops.1);
    let starts: Vec<usize> = scene
        .positions(|cell| matches!(cell, Cell::Arrow(_)))
        .into_iter()
        .filter(|&at| scene.chain(at).len() == hops + 1)
        .collect();
    Some(about(scene, rng.pick(&starts)?))
}

fn about(scene: &Scene, start: usize) -> Ask {
    let path = scene.chain(start);
    let end = scene.cells[path[path.len() - 1]].colour();
    let text = format!("follow {} ?", scene.place(start));
    let hops = path.len() - 1;
    let mut ask = Ask::new(Family::Chain, text, end.map_or("", |colour| COLOURS[colour]), path);
    ask.hops = hops as u8;
    ask
}
