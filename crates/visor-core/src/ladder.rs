//! The budgets that one checkpoint was trained for.

mod pairs;

pub use pairs::Pair;

use crate::{LayerIdx, Layout, Schedule};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use thiserror::Error;

/// The place of a rung on its ladder, cheapest first. Only a ladder makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RungId(usize);

impl RungId {
    /// The place as a number, 0 for the cheapest.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A named set of active self-attention layers; in a [`Pair`], with fewer patches to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    name: String,
    active: BTreeSet<LayerIdx>,
    patches: Option<NonZeroUsize>,
}

impl Rung {
    /// The name that users ask for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The self-attention layers that run, ascending.
    pub fn active(&self) -> &BTreeSet<LayerIdx> {
        &self.active
    }

    /// The active layers as plain numbers, ascending.
    pub fn active_layers(&self) -> Vec<usize> {
        self.active.iter().map(|layer| layer.0).collect()
    }

    /// The most patches that cross-attention reads from the decision layer on; `None` where it
    /// reads all of them.
    pub fn patches(&self) -> Option<NonZeroUsize> {
        self.patches
    }
}

/// Why a list of rungs is no ladder.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LadderError {
    /// There is nothing to choose.
    #[error("a ladder needs at least one rung")]
    Empty,
    /// A rung names a layer that cannot run self-attention over the picture.
    #[error(
        "rung `{rung}` switches on layer {layer}, which is not self-attention capable \
         (capable: {capable:?})"
    )]
    NotCapable {
        /// The rung.
        rung: String,
        /// The layer.
        layer: usize,
        /// The layers that could be switched on.
        capable: Vec<usize>,
    },
    /// Two rungs differ in a layer that runs before the decision.
    #[error(
        "rungs `{first}` and `{second}` differ in layer {layer}, before the decision layer \
         {decision_layer}"
    )]
    DiffersBeforeDecision {
        /// One rung.
        first: String,
        /// The other.
        second: String,
        /// Where they differ.
        layer: usize,
        /// The decision layer.
        decision_layer: usize,
    },
    /// The decision layer is beyond the decoder.
    #[error("decision layer {decision_layer} is beyond the {n_layers} layers of the decoder")]
    DecisionLayer {
        /// The decision layer.
        decision_layer: usize,
        /// Number of layers.
        n_layers: usize,
    },
    /// Rungs are not in order of cost.
    #[error(
        "rungs must run from cheap to dear without repeats: `{second}` ({second_layers} \
         self-attention layers) follows `{first}` ({first_layers})"
    )]
    NotAscending {
        /// The earlier rung.
        first: String,
        /// Its number of active layers.
        first_layers: usize,
        /// The later rung.
        second: String,
        /// Its number of active layers.
        second_layers: usize,
    },
    /// A name is used twice, empty, or reserved.
    #[error("`{name}` cannot name a rung: {because}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        because: &'static str,
    },
    /// A pair of a rung that there is not.
    #[error("no rung is called `{asked}`; the ladder has {legal}")]
    UnknownRung {
        /// The name.
        asked: String,
        /// The rungs.
        legal: String,
    },
    /// A choice of patches that no layer would read.
    #[error(
        "no layer from the decision layer {decision_layer} on cross-attends: there is nothing that \
         could read fewer patches"
    )]
    NothingReads {
        /// The decision layer.
        decision_layer: usize,
    },
}

/// The rungs of one checkpoint, cheapest first.
///
/// Never empty; the number of active layers strictly ascends, and so does the cost, since all
/// layers have the same shape; all rungs agree on every layer before the decision layer. With
/// [pairs](Self::with_pairs) it ascends from plain rung to plain rung, and patches between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    layout: Layout,
    decision_layer: LayerIdx,
    rungs: Box<[Rung]>,
}

/// Names that mean something else where a budget is asked for.
const RESERVED: [&str; 3] = ["auto", "dense", "all"];

impl Ladder {
    /// Checks `rungs` (name and active layers) against the layout.
    ///
    /// # Errors
    /// See [`LadderError`].
    pub fn try_new(
        layout: Layout,
        decision_layer: usize,
        rungs: &[(String, Vec<usize>)],
    ) -> Result<Self, LadderError> {
        if decision_layer > layout.n_layers() {
            let n_layers = layout.n_layers();
            return Err(LadderError::DecisionLayer { decision_layer, n_layers });
        }
        let rungs = rungs
            .iter()
            .map(|(name, active)| rung(&layout, name, active))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(cheapest) = rungs.first() else { return Err(LadderError::Empty) };
        for (place, later) in rungs.iter().enumerate().skip(1) {
            if rungs[..place].iter().any(|earlier| earlier.name == later.name) {
                let because = "another rung has the name";
                return Err(LadderError::Name { name: later.name.clone(), because });
            }
            let earlier = &rungs[place - 1];
            if earlier.active.len() >= later.active.len() {
                return Err(LadderError::NotAscending {
                    first: earlier.name.clone(),
                    first_layers: earlier.active.len(),
                    second: later.name.clone(),
                    second_layers: later.active.len(),
                });
            }
            let differing = cheapest.active.symmetric_difference(&later.active);
            if let Some(layer) = differing.copied().find(|layer| layer.0 < decision_layer) {
                return Err(LadderError::DiffersBeforeDecision {
                    first: cheapest.name.clone(),
                    second: later.name.clone(),
                    layer: layer.0,
                    decision_layer,
                });
            }
        }
        Ok(Self { layout, decision_layer: LayerIdx(decision_layer), rungs: rungs.into() })
    }

    /// The rungs, cheapest first.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Identifiers of all rungs, cheapest first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = RungId> + ExactSizeIterator + use<> {
        (0..self.rungs.len()).map(RungId)
    }

    /// The rung behind an identifier of this ladder.
    ///
    /// # Panics
    /// If `id` was made by a longer ladder.
    pub fn rung(&self, id: RungId) -> &Rung {
        &self.rungs[id.0]
    }

    /// The cheapest rung.
    pub fn cheapest(&self) -> RungId {
        RungId(0)
    }

    /// The rung with the most self-attention.
    pub fn largest(&self) -> RungId {
        RungId(self.rungs.len() - 1)
    }

    /// The rung of this name.
    pub fn by_name(&self, name: &str) -> Option<RungId> {
        self.rungs.iter().position(|rung| rung.name == name).map(RungId)
    }

    /// The layout that the rungs switch.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The layer before which all rungs agree, and at which a policy is asked.
    pub fn decision_layer(&self) -> LayerIdx {
        self.decision_layer
    }

    /// What every layer does on this rung.
    pub fn schedule(&self, id: RungId) -> Schedule {
        Schedule::new(&self.layout, &self.rung(id).active)
    }
}

impl fmt::Display for Ladder {
    /// `name {layers}, name {layers}`, cheapest first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, rung) in self.rungs.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}`{}` {:?}", rung.name, rung.active_layers())?;
            if let Some(patches) = rung.patches {
                write!(f, " with {patches} patches")?;
            }
        }
        Ok(())
    }
}

fn rung(layout: &Layout, name: &str, active: &[usize]) -> Result<Rung, LadderError> {
    let bad_name = |because| LadderError::Name { name: name.to_owned(), because };
    if name.is_empty() {
        return Err(bad_name("it is empty"));
    }
    if RESERVED.contains(&name) {
        return Err(bad_name("the word means another kind of budget"));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(bad_name("only letters, digits, `-`, `_` and `.` are allowed"));
    }
    let set: BTreeSet<LayerIdx> = active.iter().copied().map(LayerIdx).collect();
    if let Some(layer) = set.difference(layout.self_capable()).next() {
        return Err(LadderError::NotCapable {
            rung: name.to_owned(),
            layer: layer.0,
            capable: layout.self_capable().iter().map(|l| l.0).collect(),
        });
    }
    Ok(Rung { name: name.to_owned(), active: set, patches: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerMode;
    use proptest::prelude::*;

    fn nano() -> Layout {
        Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout")
    }

    fn named(masks: &[&[usize]]) -> Vec<(String, Vec<usize>)> {
        masks.iter().enumerate().map(|(i, mask)| (format!("sa{i}"), mask.to_vec())).collect()
    }

    #[test]
    fn a_rung_gives_each_layer_its_mode() {
        let ladder = Ladder::try_new(nano(), 2, &named(&[&[], &[3, 5]])).expect("a ladder");
        use LayerMode::{CrossAttention as C, SelfAttention as S, TextOnly as T};
        assert_eq!(ladder.schedule(ladder.cheapest()).modes(), [T, C, T, T, C, T, C]);
        assert_eq!(ladder.schedule(ladder.largest()).modes(), [T, C, T, S, C, S, C]);
    }

    #[test]
    fn names_that_mean_other_budgets_are_refused() {
        for name in ["auto", "dense", "all", "", "a b"] {
            let rungs = [(name.to_owned(), vec![])];
            assert!(matches!(Ladder::try_new(nano(), 2, &rungs), Err(LadderError::Name { .. })));
        }
    }

    fn subset(layers: &'static [usize]) -> impl Strategy<Value = Vec<usize>> {
        proptest::sample::subsequence(layers, 0..=layers.len())
    }

    proptest! {
        #[test]
        fn rungs_are_accepted_exactly_when_they_ascend_and_agree_before_the_decision(
            first in subset(&[2, 3, 5]),
            second in subset(&[2, 3, 5]),
            decision in 0_usize..=7,
        ) {
            let ladder = Ladder::try_new(nano(), decision, &named(&[&first, &second]));
            let agree = (0..decision).all(|l| first.contains(&l) == second.contains(&l));
            prop_assert_eq!(ladder.is_ok(), agree && first.len() < second.len());
        }

        #[test]
        fn a_layer_that_is_not_capable_is_always_refused(mask in subset(&[0, 1, 2, 3, 4, 5, 6])) {
            let capable = mask.iter().all(|layer| [2, 3, 5].contains(layer));
            prop_assert_eq!(Ladder::try_new(nano(), 2, &named(&[&mask])).is_ok(), capable);
        }
    }
}
