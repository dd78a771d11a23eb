//! A rung by the family of the question: what can be had without looking at a sample.

use crate::Fixed;
use std::collections::BTreeMap;
use visor_core::{Ladder, RungId};
use visor_model::init::Noise;

/// What a family gets: one rung, or two with chance between them, so that any mean cost between
/// two rungs can be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    rungs: [RungId; 2],
    share: f32,
}

impl Mixture {
    /// Always the same rung.
    pub fn always(rung: RungId) -> Self {
        Self { rungs: [rung, rung], share: 0.0 }
    }

    /// `second` for this share of the samples, from 0 to 1, and else `first`; `None` if `share` is
    /// out of range.
    pub fn between(first: RungId, second: RungId, share: f32) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self { rungs: [first, second], share })
    }
}

/// A table of families.
#[derive(Clone, Debug, PartialEq)]
pub struct LookUp {
    table: BTreeMap<String, Mixture>,
    rungs: usize,
    seed: u64,
}

impl LookUp {
    /// A table over the rungs of `ladder`.
    pub fn new(ladder: &Ladder, table: BTreeMap<String, Mixture>, seed: u64) -> Self {
        Self { table, rungs: ladder.rungs().len(), seed }
    }

    /// The policy for a sample of this family and number; `None` for a family that is not in the
    /// table. A seed, a family and a number always give the same.
    pub fn told(&self, family: &str, sample: u64) -> Option<Fixed> {
        let Mixture { rungs: [first, second], share } = self.table.get(family)?;
        let chance = Noise::new(self.seed, &format!("look-up {family} {sample}")).uniform();
        let rung = if chance < *share { second } else { first };
        Some(Fixed::chosen_by("look-up", rung.index(), self.rungs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::tests::{choose, ladder};

    #[test]
    fn a_family_gets_its_rung_or_its_mixture() {
        let ladder = ladder(3);
        let [low, mid, high] = [0, 1, 2].map(|place| ladder.ids().nth(place).expect("a rung"));
        let mixture = Mixture::between(low, high, 0.25).expect("a share");
        let table = [("colour".to_owned(), Mixture::always(mid)), ("count".to_owned(), mixture)];
        let look_up = LookUp::new(&ladder, table.into(), 3);
        let of = |family: &str, sample| {
            choose(&look_up.told(family, sample).expect("in the table"), &ladder)
        };
        assert!((0..100).all(|sample| of("colour", sample) == 1));
        let high = (0..4000).map(|sample| of("count", sample)).filter(|rung| *rung == 2).count();
        assert!((900..1100).contains(&high), "{high}");
        assert!((0..100).all(|sample| of("count", sample) == of("count", sample)));
        assert_eq!(look_up.told("shape", 0), None);
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        let rung = ladder(2).cheapest();
        assert!([0.0, 1.0].iter().all(|share| Mixture::between(rung, rung, *share).is_some()));
        for share in [-0.1, 1.1, f32::NAN] {
            assert_eq!(Mixture::between(rung, rung, share), None);
        }
    }
}
