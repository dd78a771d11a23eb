//! Pairs of a rung and a number of patches: one ladder for both savings (VISOR and QGSA).

use super::{Ladder, LadderError, Rung};
use crate::{LayerIdx, LayerMode};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// A rung, and how many patches cross-attention reads at it.
///
/// The choice of patches takes hold at the decision layer, where the pair is decided: looks before
/// it are at every patch, whatever is decided. A picture with fewer patches is read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name of the rung.
    pub rung: String,
    /// The most patches that are read.
    pub patches: NonZeroUsize,
}

impl Pair {
    /// The name of the pair as a budget: `sa1-k8` for eight patches at `sa1`.
    pub fn name(&self) -> String {
        format!("{}-k{}", self.rung, self.patches)
    }

    /// The pair that a budget's name means, if it means one.
    pub fn parse(name: &str) -> Option<Self> {
        let (rung, patches) = name.rsplit_once("-k")?;
        let digits = patches.chars().all(|c| c.is_ascii_digit()) && !patches.starts_with('0');
        let patches = patches.parse().ok().filter(|_| digits && !rung.is_empty())?;
        Some(Self { rung: rung.to_owned(), patches })
    }
}

impl Ladder {
    /// The plain rungs of this ladder with `pairs` beside them: those of a rung stand in front of
    /// it, the fewest patches first, so that cost still ascends where reading fewer patches saves
    /// more than choosing them costs.
    ///
    /// # Errors
    /// [`LadderError::UnknownRung`], [`LadderError::Name`] if a pair is listed twice, and
    /// [`LadderError::NothingReads`] if no layer cross-attends once a pair is decided.
    pub fn with_pairs(&self, pairs: &[Pair]) -> Result<Self, LadderError> {
        if let Some(stranger) = pairs.iter().find(|pair| self.plain(&pair.rung).is_none()) {
            let (asked, legal) = (stranger.rung.clone(), self.to_string());
            return Err(LadderError::UnknownRung { asked, legal });
        }
        let decision_layer = self.decision_layer.0;
        let schedule = self.schedule(self.cheapest());
        if !pairs.is_empty()
            && !schedule.modes()[decision_layer..].contains(&LayerMode::CrossAttention)
        {
            return Err(LadderError::NothingReads { decision_layer });
        }
        let mut rungs: Vec<Rung> = Vec::with_capacity(self.rungs.len() + pairs.len());
        for rung in self.rungs.iter().filter(|rung| rung.patches.is_none()) {
            let mut own: Vec<&Pair> = pairs.iter().filter(|pair| pair.rung == rung.name).collect();
            own.sort_by_key(|pair| pair.patches);
            rungs.extend(own.into_iter().map(|pair| Rung {
                name: pair.name(),
                active: rung.active.clone(),
                patches: Some(pair.patches),
            }));
            rungs.push(rung.clone());
        }
        for (place, rung) in rungs.iter().enumerate() {
            if rungs[..place].iter().any(|earlier| earlier.name == rung.name) {
                let because = "another rung has the name";
                return Err(LadderError::Name { name: rung.name.clone(), because });
            }
        }
        Ok(Self { rungs: rungs.into(), ..self.clone() })
    }

    /// The pairs that this ladder has beside plain rungs, cheapest first.
    pub fn pairs(&self) -> Vec<Pair> {
        let plain = |active: &BTreeSet<LayerIdx>| {
            self.rungs.iter().find(|rung| rung.patches.is_none() && rung.active == *active)
        };
        let pair = |rung: &Rung| {
            let name = plain(&rung.active)?.name.clone();
            rung.patches.map(|patches| Pair { rung: name, patches })
        };
        self.rungs.iter().filter_map(pair).collect()
    }

    /// The rung of this name that reads every patch.
    fn plain(&self, name: &str) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.name == name && rung.patches.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    fn ladder(cross: &[usize]) -> Ladder {
        let layout = Layout::try_new(7, cross, &[2, 3, 5]).expect("a layout");
        let rungs = [("sa0".to_owned(), vec![]), ("sa1".to_owned(), vec![3])];
        Ladder::try_new(layout, 2, &rungs).expect("a ladder")
    }

    fn pair(rung: &str, patches: usize) -> Pair {
        let patches = NonZeroUsize::new(patches).expect("not zero");
        Pair { rung: rung.to_owned(), patches }
    }

    #[test]
    fn pairs_stand_in_front_of_their_rung_fewest_patches_first() {
        let pairs = [pair("sa1", 8), pair("sa0", 4), pair("sa1", 4)];
        let ladder = ladder(&[1, 4, 6]).with_pairs(&pairs).expect("a ladder");
        let names: Vec<&str> = ladder.rungs().iter().map(Rung::name).collect();
        assert_eq!(names, ["sa0-k4", "sa0", "sa1-k4", "sa1-k8", "sa1"]);
        assert_eq!(ladder.pairs(), [pair("sa0", 4), pair("sa1", 4), pair("sa1", 8)]);
        let patches = |name| ladder.rung(ladder.by_name(name).expect("a rung")).patches();
        assert_eq!((patches("sa1-k8").map(NonZeroUsize::get), patches("sa1")), (Some(8), None));
    }

    #[test]
    fn a_pair_runs_the_layers_of_its_rung() {
        let ladder = ladder(&[1, 4, 6]).with_pairs(&[pair("sa1", 8)]).expect("a ladder");
        let [paired, plain] = ["sa1-k8", "sa1"].map(|name| ladder.by_name(name).expect("a rung"));
        assert_eq!(ladder.schedule(paired), ladder.schedule(plain));
        assert_eq!(ladder.rung(paired).active(), ladder.rung(plain).active());
    }

    #[test]
    fn the_name_of_a_pair_reads_back_and_other_names_are_none() {
        assert_eq!(Pair::parse("sa1-k8"), Some(pair("sa1", 8)));
        assert_eq!(Pair::parse("a-k1-k16"), Some(pair("a-k1", 16)));
        for name in ["sa1", "sa1-k", "sa1-k0", "sa1-k08", "sa1-k+8", "-k8", "sa1-k8x"] {
            assert_eq!(Pair::parse(name), None, "{name}");
        }
    }

    #[test]
    fn pairs_of_no_rung_twice_the_same_and_pairs_that_nothing_reads_are_refused() {
        let refused =
            |ladder: Ladder, pairs: &[Pair]| ladder.with_pairs(pairs).expect_err("refused");
        let error = refused(ladder(&[1, 4, 6]), &[pair("sa7", 4)]).to_string();
        assert!(error.contains("sa7") && error.contains("`sa1` [3]"), "{error}");
        let twice = refused(ladder(&[1, 4, 6]), &[pair("sa0", 4), pair("sa0", 4)]);
        assert!(matches!(twice, LadderError::Name { .. }), "{twice}");
        let layout = Layout::try_new(7, &[1, 4], &[2, 3]).expect("a layout");
        let late = Ladder::try_new(layout, 5, &[("sa0".to_owned(), vec![])]).expect("a ladder");
        let error = refused(late, &[pair("sa0", 4)]);
        assert_eq!(error, LadderError::NothingReads { decision_layer: 5 });
    }
}
