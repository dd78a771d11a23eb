//! How many objects have a colour: one look, spread over the picture.

use super::knobs::Knobs;
use super::scene::{COLOUR_COUNT, Cell, SHAPE_COUNT, Scene};
use super::{Ask, Drawn};
use crate::Family;
use crate::rng::Rng;
use crate::words::{COLOURS, DIGITS};

/// How much more often a colour is asked about than one that most scenes have as many of, by count.
const RARITY: [usize; 6] = [2, 2, 3, 6, 12, 30];

/// A number of objects of one colour, drawn first, among a number of others that tells nothing.
pub(crate) fn draw(rng: &mut Rng, knobs: &Knobs) -> Drawn {
    let (colour, count) = (rng.below(COLOUR_COUNT), rng.between(knobs.counts.0, knobs.counts.1));
    let others = rng.between(knobs.distractors.0, knobs.distractors.1);
    let mut scene = Scene::empty(knobs.side);
    let mut cells = scene.free();
    rng.shuffle(&mut cells);
    for (index, &at) in cells.iter().take(count + others).enumerate() {
        let own = if index < count { colour } else { rng.other_than(colour, COLOUR_COUNT) };
        scene.cells[at] = Cell::object(own * SHAPE_COUNT + rng.below(SHAPE_COUNT));
    }
    let first = about(&scene, colour, count);
    Drawn { scene, first }
}

/// A question about any colour, the rarer its count in scenes of objects the likelier.
pub(crate) fn another(rng: &mut Rng, scene: &Scene, knobs: &Knobs) -> Option<Ask> {
    let colours = scene.colours();
    let draws: Vec<usize> = (0..COLOUR_COUNT)
        .filter(|&colour| (knobs.counts.0..=knobs.counts.1).contains(&colours[colour]))
        .flat_map(|colour| {
            let count = colours[colour];
            std::iter::repeat_n(colour, RARITY[count.min(RARITY.len() - 1)])
        })
        .collect();
    let colour = rng.pick(&draws)?;
    Some(about(scene, colour, colours[colour]))
}

fn about(scene: &Scene, colour: usize, count: usize) -> Ask {
    let mut evidence = scene.positions(|cell| cell.colour() == Some(colour));
    if evidence.is_empty() {
        // That there is none is seen on all the objects that are something else.
        evidence = scene.positions(|cell| cell.colour().is_some());
    }
    let text = format!("count {} ?", COLOURS[colour]);
    Ask::new(Family::Count, text, DIGITS[count], evidence)
}
