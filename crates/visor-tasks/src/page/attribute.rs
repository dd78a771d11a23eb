//! The colour or the shape of the one object that two other attributes single out.

use super::things::{self, Look, Thing};
use super::{Drawn, Frame};
use crate::Family;
use crate::rng::Rng;
use crate::sample::Ask;
use crate::words::{COLOURS, SHAPES};

/// Which attribute is asked for; the size and the other one single the object out.
#[derive(Clone, Copy)]
enum Asked {
    Colour,
    Shape,
}

impl Asked {
    fn any(rng: &mut Rng) -> Self {
        if rng.coin() { Self::Colour } else { Self::Shape }
    }

    /// Whether a look has the attributes by which the object is named.
    fn named(self, target: Look, look: Look) -> bool {
        let alike = match self {
            Self::Colour => look.shape == target.shape,
            Self::Shape => look.colour == target.colour,
        };
        alike && look.large == target.large
    }
}

/// One object of a look drawn first, near misses of it, and others.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let (asked, target) = (Asked::any(rng), Look::any(rng));
    let mut looks = vec![
        target,
        Look { large: !target.large, colour: rng.below(COLOURS.len()), ..target },
        Look { large: !target.large, shape: rng.below(SHAPES.len()), ..target },
    ];
    for _ in looks.len()..things::how_many(rng, frame) {
        looks.push(Look::unlike(rng, |look| asked.named(target, look)));
    }
    let list = things::place(rng, frame, &looks);
    let first = about(frame, list[0], asked);
    let asks = super::further(rng, frame, &list, first);
    things::finish(frame, &list, asks)
}

/// A question about a colour and shape drawn first, where the scene has one object to name so.
pub(crate) fn another(rng: &mut Rng, frame: &Frame, list: &[Thing]) -> Option<Ask> {
    let asked = Asked::any(rng);
    let wanted = Look::any(rng);
    let single = |thing: &Thing| {
        let answers = match asked {
            Asked::Colour => thing.look.colour == wanted.colour,
            Asked::Shape => thing.look.shape == wanted.shape,
        };
        answers && things::those(list, |look| asked.named(thing.look, look)).len() == 1
    };
    let fitting: Vec<Thing> = list.iter().copied().filter(single).collect();
    Some(about(frame, rng.pick(&fitting)?, asked))
}

fn about(frame: &Frame, target: Thing, asked: Asked) -> Ask {
    let (look, evidence) = (target.look, things::patches(frame, target));
    let (text, answer) = match asked {
        Asked::Colour => {
            let text = format!("colour of the {} {} ?", look.size(), SHAPES[look.shape]);
            (text, COLOURS[look.colour])
        }
        Asked::Shape => {
            let text = format!("shape of the {} {} ?", look.size(), COLOURS[look.colour]);
            (text, SHAPES[look.shape])
        }
    };
    Ask::new(Family::Attribute, text, answer, evidence)
}
