//! Which subsets of the self-attention layers become the rungs of a checkpoint.

use crate::error::TrainError;
use crate::evaluate::Scores;
use visor_core::{Ladder, Layout};

/// A subset with its validation scores.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The active layers, ascending.
    pub active: Vec<usize>,
    /// Its scores.
    pub scores: Scores,
}

/// Of each size, the subset with the best mean accuracy over all families; the rungs are called
/// `sa0`, `sa1`, … by their number of self-attention layers.
///
/// # Errors
/// Of candidates that do not fit the layout.
pub fn choose(layout: &Layout, candidates: &[Candidate]) -> Result<Ladder, TrainError> {
    let sizes = 0..=layout.self_capable().len();
    let rungs: Vec<(String, Vec<usize>)> = sizes
        .filter_map(|size| {
            let of_size = candidates.iter().filter(|candidate| candidate.active.len() == size);
            let best = of_size.max_by(|a, b| a.scores.overall().total_cmp(&b.scores.overall()))?;
            Some((format!("sa{size}"), best.active.clone()))
        })
        .collect();
    Ok(Ladder::try_new(layout.clone(), layout.decision_layer().0, &rungs)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Tally;
    use visor_tasks::Family;

    fn candidate(active: &[usize], right: u32) -> Candidate {
        let families = [(Family::Twin, Tally { right, n: 100 })].into();
        Candidate { active: active.to_vec(), scores: Scores { families, ..Scores::default() } }
    }

    #[test]
    fn the_best_subset_of_each_size_becomes_a_rung() {
        let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout");
        let candidates = [
            candidate(&[], 50),
            candidate(&[2], 70),
            candidate(&[3], 80),
            candidate(&[5], 60),
            candidate(&[2, 3], 81),
            candidate(&[2, 5], 90),
            candidate(&[2, 3, 5], 95),
        ];
        let ladder = choose(&layout, &candidates).expect("a ladder");
        assert_eq!(ladder.to_string(), "`sa0` [], `sa1` [3], `sa2` [2, 5], `sa3` [2, 3, 5]");
    }
}
