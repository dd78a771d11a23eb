//! How two objects lie to each other, or which is larger: two looks side by side, compared in words.

use super::things::{self, Look, Thing};
use super::{Drawn, Frame};
use crate::Family;
use crate::rng::Rng;
use crate::sample::Ask;
use crate::words;

/// What may hold between two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Left,
    Right,
    Above,
    Below,
    Larger,
    Smaller,
}

impl Relation {
    const ALL: [Self; 6] =
        [Self::Left, Self::Right, Self::Above, Self::Below, Self::Larger, Self::Smaller];

    fn words(self) -> &'static str {
        match self {
            Self::Left => "left of",
            Self::Right => "right of",
            Self::Above => "above",
            Self::Below => "below",
            Self::Larger => "larger than",
            Self::Smaller => "smaller than",
        }
    }

    /// By how many pixels the relation holds from `a` to `b`; negative where its opposite holds.
    fn margin(self, a: Thing, b: Thing) -> i32 {
        let apart = |here: usize, there: usize| there as i32 - here as i32;
        match self {
            Self::Left => apart(a.x, b.x),
            Self::Right => apart(b.x, a.x),
            Self::Above => apart(a.y, b.y),
            Self::Below => apart(b.y, a.y),
            Self::Larger => apart(b.radius, a.radius),
            Self::Smaller => apart(a.radius, b.radius),
        }
    }

    /// The margins at which the relation or its opposite is plain enough to ask about.
    fn plain(self, frame: &Frame) -> std::ops::RangeInclusive<i32> {
        match (self, frame.harder) {
            (Self::Larger | Self::Smaller, _) => 5..=frame.size as i32,
            (_, false) => 24..=frame.size as i32,
            (_, true) => 10..=23,
        }
    }
}

/// Two objects of their kinds in the scene, related or not as is drawn first.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let yes = rng.coin();
    let relation = Relation::ALL[rng.below(Relation::ALL.len())];
    let one = Look::any(rng);
    let two = Look::unlike(rng, |look| look.same_kind(one));
    let mut looks = vec![one, two];
    for _ in 2..things::how_many(rng, frame) {
        looks.push(Look::unlike(rng, |look| look.same_kind(one) || look.same_kind(two)));
    }
    if matches!(relation, Relation::Larger | Relation::Smaller) {
        looks[1].large = !looks[0].large;
    }
    loop {
        let mut list = things::place(rng, frame, &looks);
        let margin = relation.margin(list[0], list[1]);
        if !relation.plain(frame).contains(&margin.abs()) {
            continue;
        }
        if (margin > 0) != yes {
            // The looks change places, the sizes stay: nothing outgrows its plot.
            let (a, b) = (list[0].look, list[1].look);
            list[0].look = Look { large: a.large, ..b };
            list[1].look = Look { large: b.large, ..a };
            list.swap(0, 1);
        }
        let first = about(frame, relation, list[0], list[1], yes);
        let asks = super::further(rng, frame, &list, first);
        return things::finish(frame, &list, asks);
    }
}

/// A question whose answer is drawn first, about two objects that are the only ones of their kinds.
pub(crate) fn another(rng: &mut Rng, frame: &Frame, list: &[Thing]) -> Option<Ask> {
    let yes = rng.coin();
    let relation = Relation::ALL[rng.below(Relation::ALL.len())];
    let (mut a, mut b) = (rng.pick(list)?, rng.pick(list)?);
    if (relation.margin(a, b) > 0) != yes {
        (a, b) = (b, a);
    }
    let single = |thing: Thing| things::those(list, |look| look.same_kind(thing.look)).len() == 1;
    let plain = relation.plain(frame).contains(&relation.margin(a, b).abs());
    (plain && single(a) && single(b)).then(|| about(frame, relation, a, b, yes))
}

fn about(frame: &Frame, relation: Relation, a: Thing, b: Thing, yes: bool) -> Ask {
    let mut evidence = things::patches(frame, a);
    evidence.extend(things::patches(frame, b));
    let text = format!("{} {} {} ?", a.look.name(), relation.words(), b.look.name());
    Ask::new(Family::Relation, text, words::yes_no(yes), evidence)
}
