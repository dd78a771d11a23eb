//! The standard mix: the questions on which budgets and policies are compared.
//!
//! Half of them need one look, half need refinement, each half shared evenly by its families; one
//! question a picture, so that questions are independent. The wording says the family and the
//! place, never how hard the picture makes it. The pictures of the refinement families are by turns
//! light and heavy, and look it: short chains and long ones, sparse crowds and dense ones, few
//! objects and many. A policy that reads keywords alone cannot tell them apart.

use crate::{Family, Kind, Level, Mixture, Sample, Split, Suite, TaskError};

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

    /// How hard the picture of this index is: by turns within every family.
    pub fn level(&self, index: u64) -> Level {
        let total: u32 = self.mixture.parts().iter().map(|(_, weight)| weight).sum();
        match (self.mixture.pick(index).kind(), index / u64::from(total) % 2) {
            (Kind::Refinement, 0) => Level::Light,
            (Kind::Refinement, _) => Level::Heavy,
            _ => Level::Usual,
        }
    }

    /// The picture and the one question of this index.
    pub fn sample(&self, split: Split, index: u64) -> Sample {
        let family = self.mixture.pick(index);
        let mut sample = self.suite.sample_at(split, family, self.level(index), index);
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
    fn the_same_wording_is_hard_on_some_pictures_and_they_look_it() {
        let mix = StandardMix::new(Suite::new(SuiteName::Nano), &[]).expect("both halves");
        let mut words: BTreeMap<Family, usize> = BTreeMap::new();
        // By family and level: marks in all pictures, and how many pictures.
        let mut marks: BTreeMap<(Family, Level), (u32, u32)> = BTreeMap::new();
        for index in 0..2400 {
            let (sample, level) = (mix.sample(Split::Validation, index), mix.level(index));
            let question = &sample.questions[0];
            if question.family.kind() != Kind::Refinement {
                continue;
            }
            let n = question.text.split(' ').count();
            assert_eq!(*words.entry(question.family).or_insert(n), n, "the wording tells");
            let marks = marks.entry((question.family, level)).or_default();
            *marks = (marks.0 + u32::from(question.difficulty.objects), marks.1 + 1);
            let hops = question.difficulty.hops;
            if question.family == Family::Chain {
                assert_eq!(level == Level::Light, hops == 1, "{level} with {hops} hops");
            }
        }
        for family in [Family::Chain, Family::Group, Family::Twin] {
            let mean = |level| {
                let (marks, pictures) = marks[&(family, level)];
                f64::from(marks) / f64::from(pictures)
            };
            let (light, heavy) = (mean(Level::Light), mean(Level::Heavy));
            assert!(light + 5.0 < heavy, "{family}: {light} marks and {heavy}");
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
