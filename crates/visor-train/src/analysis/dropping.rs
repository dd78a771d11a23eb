//! What answers lose when some layers do not see the picture (VISOR, Fig. 4).

use super::{BATCH, Ready, Study, Tell, asked};
use crate::error::TrainError;
use std::collections::BTreeSet;
use visor_core::{LayerIdx, LayerMode, Schedule};
use visor_model::{Dropped, Watch};

/// Layers whose sight of the picture is dropped together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    /// What it is called.
    pub name: String,
    /// The layers, all of which use the picture.
    pub layers: Dropped,
}

/// None of the layers that use the picture, each of them alone, the first half of them, the second
/// half, all. A subset that is there under another name is not repeated.
pub fn subsets(schedule: &Schedule) -> Vec<Subset> {
    let used = schedule.modes().iter().enumerate();
    let used: Vec<LayerIdx> = used
        .filter(|(_, mode)| **mode != LayerMode::TextOnly)
        .map(|(layer, _)| LayerIdx(layer))
        .collect();
    let (first, second) = used.split_at(used.len() / 2);
    let mut all: Vec<Subset> = Vec::new();
    let mut add = |name: String, layers: &[LayerIdx]| {
        let layers: BTreeSet<LayerIdx> = layers.iter().copied().collect();
        if all.iter().all(|known| known.layers != layers) {
            all.push(Subset { name, layers });
        }
    };
    add("none".to_owned(), &[]);
    for layer in &used {
        add(format!("layer {}", layer.0), &[*layer]);
    }
    add("first half".to_owned(), first);
    add("second half".to_owned(), second);
    add("all".to_owned(), &used);
    all
}

impl Study<'_> {
    /// Asks every question with each subset dropped, greedily, at the observed level: one list of
    /// scores a subset, in the order of the questions.
    ///
    /// # Errors
    /// If a question cannot be asked, or [`TrainError::AnalysisStopped`].
    pub fn dropped(&self, subsets: &[Subset], tell: Tell<'_>) -> Result<Vec<Vec<f32>>, TrainError> {
        let mut scores = vec![Vec::with_capacity(self.data.items.len()); subsets.len()];
        for items in self.data.items.chunks(BATCH) {
            let ready = self.ready(items)?;
            for (subset, scores) in subsets.iter().zip(&mut scores) {
                self.check()?;
                let answers = self.answers(&ready, &subset.layers)?;
                for (item, ids) in items.iter().zip(answers) {
                    let decoded = self.runner.tokenizer().decode(&ids, true);
                    let text = decoded.map_err(|error| asked(item, error.into()))?;
                    scores.push(item.score(&text));
                }
            }
            tell("answers with the picture dropped", scores[0].len(), self.data.items.len());
        }
        Ok(scores)
    }

    /// Greedy answers, the end token left out. There is no cache: every token is a whole pass, so
    /// that a dropped layer is dropped for the whole answer and in one way only.
    fn answers(&self, ready: &[Ready], dropped: &Dropped) -> Result<Vec<Vec<u32>>, TrainError> {
        let (way, card) = (self.way()?, self.runner.card());
        let mut answers: Vec<Vec<u32>> = vec![Vec::new(); ready.len()];
        let mut open: Vec<usize> = (0..ready.len()).collect();
        while !open.is_empty() {
            let samples: Vec<_> = open
                .iter()
                .map(|&index| ready[index].observed(&answers[index], way, dropped))
                .collect();
            let model = self.runner.model();
            let scores = model.observe(&samples, Watch::Streams, &mut |_, _| Ok(()))?;
            let mut left = Vec::with_capacity(open.len());
            for (index, rows) in open.into_iter().zip(scores) {
                let next = rows.last().map(|scores| likeliest(&scores.0)).unwrap_or_default();
                if card.eos.contains(&next) {
                    continue;
                }
                answers[index].push(next);
                if answers[index].len() < ready[index].prepared.max_new_tokens() {
                    left.push(index);
                }
            }
            open = left;
        }
        Ok(answers)
    }
}

/// The id with the highest score, the first of equals, as greedy decoding takes it.
fn likeliest(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_core::Layout;

    #[test]
    fn subsets_are_none_each_layer_the_halves_and_all_without_repetition() {
        let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout");
        let names = |schedule: &Schedule| {
            subsets(schedule).into_iter().map(|subset| subset.name).collect::<Vec<_>>()
        };
        let all = layout.schedule(&[2, 3, 5]).expect("a schedule");
        let expected = [
            "none",
            "layer 1",
            "layer 2",
            "layer 3",
            "layer 4",
            "layer 5",
            "layer 6",
            "first half",
            "second half",
            "all",
        ];
        assert_eq!(names(&all), expected);
        let halves: Vec<_> = subsets(&all)[7..9].iter().map(|half| half.layers.clone()).collect();
        assert_eq!(halves, [[1, 2, 3].map(LayerIdx).into(), [4, 5, 6].map(LayerIdx).into()]);
        assert_eq!(names(&Schedule::blind(3)), ["none"]);
        let one = Layout::try_new(3, &[1], &[]).and_then(|layout| layout.schedule(&[]));
        assert_eq!(names(&one.expect("a schedule")), ["none", "layer 1"]);
    }
}
