//! Families whose pictures are squares of cells: one mark a cell, one cell a patch.

mod chain;
mod colour;
mod count;
mod grounding;
mod group;
mod knobs;
mod read;
mod render;
mod scene;
mod shape;
#[cfg(test)]
mod solver;
mod tiles;
mod twin;

pub(crate) use knobs::{Knobs, ON_CELLS};

use crate::rng::Rng;
pub(crate) use crate::sample::Ask;
use crate::sample::QUESTIONS;
use crate::{Family, Sample};
use scene::{Cell, Scene};

/// How often further questions of a scene are tried before fewer must do.
const TRIALS: usize = 24;

/// A scene and its first question.
pub(crate) struct Drawn {
    scene: Scene,
    first: Ask,
}

/// Draws a scene of a family, `None` for a family that is not drawn on cells.
fn draw(family: Family, rng: &mut Rng, knobs: &Knobs) -> Option<Drawn> {
    Some(match family {
        Family::Colour => colour::draw(rng, knobs),
        Family::Shape => shape::draw(rng, knobs),
        Family::Count => count::draw(rng, knobs),
        Family::Read => read::draw(rng, knobs),
        Family::Chain => chain::draw(rng, knobs),
        Family::Group => group::draw(rng, knobs),
        Family::Twin => twin::draw(rng, knobs),
        _ => return None,
    })
}

/// The families of a scene's further questions. A family that stands twice is drawn twice as often.
/// Left out is what the scenes of a family would answer too much alike, such as counts of few objects.
fn further(family: Family) -> &'static [Family] {
    match family {
        Family::Read => &[Family::Colour, Family::Shape],
        Family::Chain => &[Family::Colour, Family::Shape, Family::Chain, Family::Chain],
        Family::Group => &[Family::Colour, Family::Twin, Family::Group, Family::Group],
        _ => &[Family::Colour, Family::Shape, Family::Count, Family::Twin],
    }
}

fn another(family: Family, rng: &mut Rng, scene: &Scene, knobs: &Knobs) -> Option<Ask> {
    match family {
        Family::Colour => colour::another(rng, scene),
        Family::Shape => shape::another(rng, scene),
        Family::Count => count::another(rng, scene, knobs),
        Family::Chain => chain::another(rng, scene, knobs),
        Family::Group => group::another(rng, scene, knobs),
        Family::Twin => twin::another(rng, scene),
        _ => None,
    }
}

/// Draws one sample from a stream of random numbers; `None` where the scene is another split's, or
/// too bare for a second question.
pub(crate) fn sample(
    family: Family,
    knobs: &Knobs,
    mut rng: Rng,
    owns: impl Fn(u64) -> bool,
) -> Option<Sample> {
    let Drawn { scene, first } = draw(family, &mut rng, knobs)?;
    if !owns(scene.fingerprint()) {
        return None;
    }
    let mut asks = vec![first];
    for _ in 0..TRIALS {
        if asks.len() == QUESTIONS {
            break;
        }
        let Some(next) = rng.pick(further(family)) else { break };
        let Some(ask) = another(next, &mut rng, &scene, knobs) else { continue };
        if asks.iter().all(|earlier| earlier.text != ask.text) {
            asks.push(ask);
        }
    }
    if asks.len() < 2 {
        return None;
    }
    let picture = render::render(&scene, knobs.patch, &mut rng);
    let objects = scene.how_many(|cell| cell != Cell::Empty);
    let patches = scene.cells.len();
    Some(Sample {
        picture,
        questions: asks.into_iter().map(|ask| ask.question(patches, objects)).collect(),
        caption: scene.caption(),
        grounding: grounding::ground(&scene),
    })
}
