//! The standard mix: the questions on which budgets and policies are compared.
//!
//! Half of them need one look, half need refinement, each half shared evenly by its families; one
//! question a picture, so that questions are independent. The wording says the family and the
//! place, never how hard the picture makes it: a policy that reads keywords alone cannot tell a
//! chain of one arrow from one of four.

use crate::{Family, Kind, Mixture, Sample, Split, Suite, TaskError};

/// The standard mix of a suite. `sample` is a function of split and index alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardMix {
    suite: Suite,
    mixture: Mixture,
}

impl StandardMix {
    /// The mix of a suite; of its families or of those that are left.
    ///
    /// # Errors
    /// [`TaskError::EmptyMixture`] where a half would be empty.
    pub fn new(suite: Suite, without: &[Family]) -> Result<Self, TaskError> {
        let kept = suite.families().iter().copied().filter(|family| !without.contains(family));
        // Needing one look at full resolution is needing one look.
        let (dear, cheap): (Vec<Family>, Vec<Family>) =
            kept.partition(|family| family.kind() == Kind::Refinement);
        if cheap.is_empty() || dear.is_empty() {
            return Err(TaskError::EmptyMixture);
        }
        let cheap_parts = cheap.iter().map(|&family| (family, dear.len() as u32));
        let dear_parts = dear.iter().map(|&family| (family, cheap.len() as u32));
        let mixture = Mixture::weighted(&cheap_parts.chain(dear_parts).collect::<Vec<_>>())?;
        Ok(Self { suite, mixture })
    }

    /// The suite that the pictures are of.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// The picture and the one question of this index.
    pub fn sample(&self, split: Split, index: u64) -> Sample {
        let family = self.mixture.pick(index);
        let mut sample = self.suite.sample(split, family, index);
        sample.questions.truncate(1);
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SuiteName;
    use std::collections::BTreeMap;

    #[test]
    fn half_of_the_questions_need_one_look_and_each_half_is_shared_evenly() {
        for (name, round) in [(SuiteName::Nano, 24), (SuiteName::Small, 2)] {
            let mix = StandardMix::new(Suite::new(name), &[]).expect("both halves");
            let total: u32 = mix.mixture.parts().iter().map(|(_, weight)| weight).sum();
            let mut counts: BTreeMap<Family, u32> = BTreeMap::new();
            for index in 0..u64::from(total) {
                *counts.entry(mix.mixture.pick(index)).or_default() += 1;
            }
            let half = |refinement| -> u32 {
                let of_kind = counts
                    .iter()
                    .filter(|(family, _)| (family.kind() == Kind::Refinement) == refinement);
                of_kind.map(|(_, count)| count).sum()
            };
            assert_eq!(half(true), half(false));
            assert_eq!(counts.len(), mix.suite.families().len());
            let sample = mix.sample(Split::Test, round);
            assert_eq!(sample.questions.len(), 1);
            assert_eq!(sample.questions[0].family, mix.mixture.pick(round));
        }
    }

    #[test]
    fn the_same_wording_is_cheap_on_some_pictures_and_dear_on_others() {
        let mix = StandardMix::new(Suite::new(SuiteName::Nano), &[]).expect("both halves");
        // Per family: per number of words the spread of what makes it hard.
        let mut spread: BTreeMap<Family, BTreeMap<usize, (u16, u16)>> = BTreeMap::new();
        for index in 0..2400 {
            let sample = mix.sample(Split::Validation, index);
            let question = &sample.questions[0];
            let hard = match question.family {
                Family::Twin => question.difficulty.objects,
                _ => u16::from(question.difficulty.hops),
            };
            let words = question.text.split(' ').count();
            let seen = spread.entry(question.family).or_default();
            let seen = seen.entry(words).or_insert((u16::MAX, 0));
            *seen = (seen.0.min(hard), seen.1.max(hard));
        }
        for family in [Family::Chain, Family::Group, Family::Twin] {
            assert_eq!(spread[&family].len(), 1, "{family} is always put in as many words");
            let (least, most) = spread[&family].values().next().copied().expect("questions");
            assert!(most >= least + 3, "{family} ranges over {least}..{most}");
        }
    }

    #[test]
    fn a_family_can_be_left_out_but_no_whole_half() {
        let suite = Suite::new(SuiteName::Nano);
        let mix = StandardMix::new(suite, &[Family::Chain]).expect("group and twin are left");
        assert!((0..60).all(|i| mix.mixture.pick(i) != Family::Chain));
        let dear = [Family::Chain, Family::Group, Family::Twin];
        assert_eq!(StandardMix::new(suite, &dear), Err(TaskError::EmptyMixture));
    }
}
