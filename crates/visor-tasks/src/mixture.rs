//! Which family comes next: weights over families, followed exactly rather than on average.

use crate::{Family, TaskError};

/// A weighted list of families. `pick` is a function of the index alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    parts: Vec<(Family, u32)>,
    total: u64,
}

impl Mixture {
    /// Every family equally often.
    ///
    /// # Errors
    /// [`TaskError::EmptyMixture`] without families.
    pub fn uniform(families: &[Family]) -> Result<Self, TaskError> {
        Self::weighted(&families.iter().map(|&family| (family, 1)).collect::<Vec<_>>())
    }

    /// Every family as often as its weight says.
    ///
    /// # Errors
    /// [`TaskError::EmptyMixture`] where no weight is above zero.
    pub fn weighted(parts: &[(Family, u32)]) -> Result<Self, TaskError> {
        let parts: Vec<_> = parts.iter().copied().filter(|&(_, weight)| weight > 0).collect();
        let total = parts.iter().map(|&(_, weight)| u64::from(weight)).sum();
        if total == 0 { Err(TaskError::EmptyMixture) } else { Ok(Self { parts, total }) }
    }

    /// The families with their weights.
    pub fn parts(&self) -> &[(Family, u32)] {
        &self.parts
    }

    /// The family of the sample with this index.
    ///
    /// Indices are spread by a stride near the golden ratio that shares no factor with the total, so
    /// that any `total` indices in a row hold each family exactly as often as its weight, and short
    /// runs are mixed too.
    pub fn pick(&self, index: u64) -> Family {
        let mut slot = (index % self.total) * self.stride() % self.total;
        for &(family, weight) in &self.parts {
            if slot < u64::from(weight) {
                return family;
            }
            slot -= u64::from(weight);
        }
        unreachable!("the slots of all parts sum to the total")
    }

    fn stride(&self) -> u64 {
        let mut stride = (self.total * 618 / 1000).max(1);
        while common_divisor(stride, self.total) != 1 {
            stride += 1;
        }
        stride
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_round_holds_every_family_by_its_weight() {
        let mixture =
            Mixture::weighted(&[(Family::Colour, 1), (Family::Twin, 5), (Family::Read, 0)])
                .expect("two weights are above zero");
        for start in [0, 3, 600] {
            let twins = (start..start + 6).filter(|&i| mixture.pick(i) == Family::Twin).count();
            assert_eq!(twins, 5);
        }
        assert_eq!(Mixture::uniform(&[]), Err(TaskError::EmptyMixture));
    }

    #[test]
    fn a_uniform_mixture_visits_all_families_in_each_round() {
        let mixture = Mixture::uniform(Family::ALL).expect("there are families");
        let n = Family::ALL.len() as u64;
        for round in 0..5 {
            let mut seen: Vec<_> = (round * n..(round + 1) * n).map(|i| mixture.pick(i)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), Family::ALL.len());
        }
    }
}
