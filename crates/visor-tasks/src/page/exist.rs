//! Whether there is an object of a colour and a shape: one look for a conjunction.
//!
//! Near misses, one of the colour and one of the shape, stand in every scene, so that neither
//! attribute alone tells the answer.

use super::things::{self, Look, Thing};
use super::{Drawn, Frame};
use crate::Family;
use crate::rng::Rng;
use crate::sample::Ask;
use crate::words::{self, COLOURS, SHAPES};

/// A scene around a yes or a no that is drawn first.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let (yes, wanted) = (rng.coin(), Look::any(rng));
    let count = things::how_many(rng, frame);
    let other_shape = rng.other_than(wanted.shape, SHAPES.len());
    let other_colour = rng.other_than(wanted.colour, COLOURS.len());
    let mut looks = vec![
        Look { shape: other_shape, large: rng.coin(), ..wanted },
        Look { colour: other_colour, large: rng.coin(), ..wanted },
    ];
    while looks.len() < count {
        looks.push(Look::unlike(rng, |look| look.same_kind(wanted)));
    }
    if yes {
        looks[2] = wanted;
    }
    let list = things::place(rng, frame, &looks);
    let first = about(frame, &list, wanted, yes);
    let asks = super::further(rng, frame, &list, first);
    things::finish(frame, &list, asks)
}

/// A question whose answer is drawn first.
pub(crate) fn another(rng: &mut Rng, frame: &Frame, list: &[Thing]) -> Option<Ask> {
    let yes = rng.coin();
    let there = |look: Look| list.iter().any(|thing| thing.look.same_kind(look));
    // Kinds that are made of a colour and a shape of the scene, but are not in it.
    let absent: Vec<Look> = list
        .iter()
        .flat_map(|one| list.iter().map(|other| Look { colour: other.look.colour, ..one.look }))
        .filter(|&look| !there(look))
        .collect();
    let present = rng.pick(list)?.look;
    let missing = rng.pick(&absent)?;
    Some(about(frame, list, if yes { present } else { missing }, yes))
}

/// Evidence of a yes is the objects meant; of a no, the near misses that could have been.
fn about(frame: &Frame, list: &[Thing], wanted: Look, yes: bool) -> Ask {
    let seen = things::those(list, |look| {
        let (colour, shape) = (look.colour == wanted.colour, look.shape == wanted.shape);
        if yes { colour && shape } else { colour || shape }
    });
    let evidence = seen.into_iter().flat_map(|thing| things::patches(frame, thing)).collect();
    Ask::new(Family::Exist, format!("any {} ?", wanted.name()), words::yes_no(yes), evidence)
}
