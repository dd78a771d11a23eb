//! Patches that name words: their object's colour, what follows a word, their row and column.
//!
//! A label chooses among the words of its slot alone. Only those are scored: over the whole
//! vocabulary, with the others masked, this loss took a quarter of a step's time.

use crate::batch::Batch;
use crate::error::TrainError;
use crate::vocabulary::Vocabulary;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use std::collections::BTreeMap;
use visor_model::{Network, VisualToken};
use visor_tasks::Slot;

/// All that the patches of a batch should name after some number of refinements.
#[derive(Debug)]
pub(super) struct WordLabels {
    groups: Vec<Group>,
}

/// The labels of one slot on the device.
#[derive(Debug)]
struct Group {
    /// Rows of the flattened `[B * V]` picture: `[R]`.
    rows: Tensor<1, Int>,
    /// Token ids of the words to choose among: `[1, W]`.
    words: Tensor<2, Int>,
    /// Which of them names a row: `[R, 1]`.
    targets: Tensor<2, Int>,
    /// Weight of the mean over the rows.
    weight: f64,
}

/// Words to choose among, and which one of them names which row of the flattened picture.
#[derive(Default)]
struct Named {
    words: Vec<u32>,
    labels: Vec<(usize, usize)>,
}

impl WordLabels {
    /// The labels that are asked for after `depth` refinements of `deepest`.
    ///
    /// # Errors
    /// Of a word that the vocabulary lacks.
    pub(super) fn new(
        batch: &Batch,
        vocabulary: &Vocabulary,
        depth: usize,
        deepest: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let weight = if depth == 0 { 1.0 } else { 0.5 };
        let named = named(batch, vocabulary, depth, deepest)?;
        let group = |Named { words, labels }: Named| {
            let (r, w) = (labels.len(), words.len());
            let rows = labels.iter().map(|&(row, _)| row as i64).collect::<Vec<_>>();
            let targets = labels.iter().map(|&(_, word)| word as i64).collect::<Vec<_>>();
            let words = words.into_iter().map(i64::from).collect::<Vec<_>>();
            Group {
                rows: Tensor::from_data(TensorData::new(rows, [r]), device),
                words: Tensor::from_data(TensorData::new(words, [1, w]), device),
                targets: Tensor::from_data(TensorData::new(targets, [r, 1]), device),
                weight,
            }
        };
        Ok(Self { groups: named.into_iter().map(group).collect() })
    }

    /// Sum over the slots of the mean cross-entropy of their labels; `visual` is `[B, V, E]`. The
    /// network must score words by its embedding table, as those of all recipes do.
    pub(super) fn loss(&self, network: &Network, visual: &Tensor<3>) -> Tensor<1> {
        let [b, v, e] = visual.dims();
        let decoder = network.decoder();
        let patches = decoder.normalise(visual.clone().reshape([b * v, e])); // [B * V, E]
        let of_group = |group: &Group| {
            let words = decoder.embed(group.words.clone()).squeeze_dim::<2>(0); // [W, E]
            let rows = patches.clone().select(0, group.rows.clone()); // [R, E]
            let log_p = activation::log_softmax(rows.matmul(words.transpose()), 1); // [R, W]
            log_p.gather(1, group.targets.clone()).mean() * -group.weight
        };
        let sum = self.groups.iter().map(of_group).reduce(|sum, loss| sum + loss);
        sum.unwrap_or_else(|| Tensor::zeros([1], &visual.device()))
    }
}

/// The labels of every slot that has any, then row and column.
fn named(
    batch: &Batch,
    vocabulary: &Vocabulary,
    depth: usize,
    deepest: usize,
) -> Result<Vec<Named>, TrainError> {
    let n_visual = batch.maps.first().map_or(0, |map| map.visual.len());
    let mut found: BTreeMap<Slot, Named> = BTreeMap::new();
    for (picture, labels) in batch.grounding.iter().enumerate() {
        for label in labels {
            let (Some(words), needs) = (label.slot.words(), usize::from(label.from_depth)) else {
                continue;
            };
            let asked = match (needs, depth) {
                (0, 0) => true,
                (0, _) | (_, 0) => false,
                _ => needs < 1 << depth || depth == deepest,
            };
            if !asked {
                continue;
            }
            let slot = found.entry(label.slot).or_default();
            if slot.words.is_empty() {
                let ids = words.iter().map(|word| vocabulary.id(word));
                slot.words = ids.collect::<Result<_, _>>()?;
            }
            let row = picture * n_visual + usize::from(label.patch);
            slot.labels.push((row, usize::from(label.class)));
        }
    }
    let places = places(batch, vocabulary)?.into_iter();
    Ok(found.into_values().chain(places).filter(|named| !named.labels.is_empty()).collect())
}

/// Every patch names its row and its column.
///
/// Without this a patch comes to look like its object's words alone: in pilots its place fell to a
/// twentieth of its power and cross-attention never learned to look up a row and a column.
fn places(batch: &Batch, vocabulary: &Vocabulary) -> Result<[Named; 2], TrainError> {
    let patches = || batch.maps.iter().flat_map(|map| &map.visual);
    let group = |letter: char, place: fn(&VisualToken) -> usize| -> Result<Named, TrainError> {
        let n = patches().map(place).max().map_or(0, |last| last + 1);
        let words = (0..n).map(|i| vocabulary.id(&format!("{letter}{i}")));
        let labels = patches().map(place).enumerate().collect();
        Ok(Named { words: words.collect::<Result<_, _>>()?, labels })
    };
    Ok([group('r', |patch| patch.row)?, group('c', |patch| patch.column)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Sight;
    use crate::recipe::Recipe;
    use crate::trainer::Trainer;
    use visor_model::init::Noise;
    use visor_runtime::device::{DeviceRequest, open, training};
    use visor_tasks::Split;

    /// The same by the logits of the whole vocabulary, one label at a time.
    fn by_masks(network: &Network, visual: &Tensor<3>, named: &[Named], weight: f32) -> f32 {
        let [b, v, e] = visual.dims();
        let logits = network.logits(visual.clone().reshape([b * v, e]));
        let [_, vocab] = logits.dims();
        let logits: Vec<f32> = logits.into_data().try_to_vec().expect("floats");
        let cost = |words: &[u32], &(row, word): &(usize, usize)| {
            let of = |&id: &u32| logits[row * vocab + id as usize];
            words.iter().map(|id| of(id).exp()).sum::<f32>().ln() - of(&words[word])
        };
        let mean = |Named { words, labels }: &Named| {
            labels.iter().map(|label| cost(words, label)).sum::<f32>() / labels.len() as f32
        };
        named.iter().map(|named| mean(named) * weight).sum()
    }

    #[test]
    fn the_words_of_a_slot_compete_with_each_other_and_with_no_other_word() {
        let device = training(&open(DeviceRequest::Cpu).expect("a processor"));
        let recipe = Recipe::nano(7);
        let trainer = Trainer::new(&recipe, &device).expect("a run");
        let (suite, vocabulary) = (recipe.suite().expect("a suite"), trainer.vocabulary());
        let samples: Vec<_> = ["colour", "chain", "group"]
            .map(|name| suite.sample(Split::Train, suite.family(name).expect("a family"), 5))
            .into_iter()
            .collect();
        let batch = Batch::pack(&suite, vocabulary, &samples, Sight::Whole).expect("packed");
        let (v, e) = (batch.maps[0].visual.len(), recipe.sizes.d_model);
        let noise = Noise::new(3, "patches").normal(samples.len() * v * e, 1.0);
        let visual = TensorData::new(noise, [samples.len(), v, e]);
        let visual: Tensor<3> = Tensor::from_data(visual, &device);
        for depth in 0..=3 {
            let named = named(&batch, vocabulary, depth, 3).expect("labels");
            assert!(named.len() > 2, "more than rows and columns at depth {depth}");
            let network = trainer.network();
            let want = by_masks(network, &visual, &named, if depth == 0 { 1.0 } else { 0.5 });
            let labels = WordLabels::new(&batch, vocabulary, depth, 3, &device).expect("labels");
            let got = labels.loss(network, &visual).into_scalar::<f32>();
            assert!((got - want).abs() < 1e-3 * want, "{got} and {want} at depth {depth}");
        }
    }
}
