//! The losses of universal training.

mod words;

use crate::batch::Batch;
use crate::error::TrainError;
use crate::vocabulary::Vocabulary;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use visor_model::Network;
use visor_model::linear::{Bias, Linear};
use visor_tasks::Slot;
use words::WordLabels;

/// Slots that are asked of every patch through a linear head of its own.
const NEIGHBOURS: [Slot; 5] = [
    Slot::NeighbourLeft,
    Slot::NeighbourRight,
    Slot::NeighbourUp,
    Slot::NeighbourDown,
    Slot::Mirror,
];

/// Classes of a neighbour: none, or one of six colours.
const NEIGHBOUR_CLASSES: usize = 7;

/// A head that exists in training only: what stands around a patch.
#[derive(Module, Debug)]
pub struct Grounder {
    neighbours: Linear,
}

impl Grounder {
    /// A head to be filled.
    pub fn new(d_model: usize, device: &Device) -> Self {
        let classes = NEIGHBOURS.len() * NEIGHBOUR_CLASSES;
        Self { neighbours: Linear::new(d_model, classes, Bias::With, device) }
    }

    /// Cross-entropy of the neighbours of every patch that is labelled.
    fn loss(&self, network: &Network, visual: &Tensor<3>, labels: &NeighbourLabels) -> Tensor<1> {
        let [b, v, e] = visual.dims();
        let rows = network.decoder().normalise(visual.clone().reshape([b * v, e]));
        let logits = self.neighbours.forward(rows); // [B * V, 5 * 7]
        let logits = logits.reshape([b * v * NEIGHBOURS.len(), NEIGHBOUR_CLASSES]);
        let log_p = activation::log_softmax(logits, 1);
        let picked = log_p.gather(1, labels.classes.clone()); // [B * V * 5, 1]
        -(picked * labels.weights.clone()).sum()
    }
}

/// Mean cross-entropy of the answers.
pub fn answers(logits: &Tensor<2>, targets: &Tensor<2, Int>) -> Tensor<1> {
    -activation::log_softmax(logits.clone(), 1).gather(1, targets.clone()).mean()
}

/// Mean cross-entropy against another budget's distribution, which is a constant.
pub fn distillation(logits: &Tensor<2>, teacher: &Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    -(activation::log_softmax(logits.clone(), 1) * teacher.clone()).sum() / rows as f64
}

/// The labels of a batch on the device, by how many refinements they need.
#[derive(Debug)]
pub struct Labels {
    words: Vec<WordLabels>,
    neighbours: Option<NeighbourLabels>,
}

#[derive(Debug)]
struct NeighbourLabels {
    /// `[B * V * 5, 1]`.
    classes: Tensor<2, Int>,
    /// `[B * V * 5, 1]`.
    weights: Tensor<2>,
}

impl Labels {
    /// The labels for the unrefined picture and for it after 1 to `depths` refinements.
    ///
    /// A label that needs `h` dependent steps is asked for after `d` refinements if `h < 2^d`:
    /// pointers can double. The deepest pass is asked for all.
    ///
    /// # Errors
    /// Of a word that the vocabulary lacks.
    pub fn new(
        batch: &Batch,
        vocabulary: &Vocabulary,
        depths: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let words = (0..=depths)
            .map(|depth| WordLabels::new(batch, vocabulary, depth, depths, device))
            .collect::<Result<_, _>>()?;
        let neighbours = (depths > 0).then(|| NeighbourLabels::new(batch, device));
        Ok(Self { words, neighbours })
    }

    /// Patches name their object's colour and shape, their row and their column: `encoded` is
    /// `[B, V, E]`.
    pub fn alignment(&self, network: &Network, encoded: &Tensor<3>) -> Tensor<1> {
        self.words[0].loss(network, encoded)
    }

    /// Mean over the refined pictures of what each should tell.
    pub fn refinement(
        &self,
        network: &Network,
        grounder: &Grounder,
        refined: &[Tensor<3>],
    ) -> Option<Tensor<1>> {
        let neighbours = self.neighbours.as_ref()?;
        let losses = refined.iter().enumerate().map(|(i, visual)| {
            let depth = (i + 1).min(self.words.len() - 1);
            grounder.loss(network, visual, neighbours) + self.words[depth].loss(network, visual)
        });
        let sum = losses.reduce(|sum, loss| sum + loss)?;
        Some(sum / refined.len() as f64)
    }
}

impl NeighbourLabels {
    fn new(batch: &Batch, device: &Device) -> Self {
        let n_visual = batch.maps.first().map_or(0, |map| map.visual.len());
        let n = batch.n_pictures * n_visual * NEIGHBOURS.len();
        let (mut classes, mut weights) = (vec![0_i64; n], vec![0.0_f32; n]);
        let mut labelled = 0;
        for (picture, labels) in batch.grounding.iter().enumerate() {
            for label in labels {
                let Some(slot) = NEIGHBOURS.iter().position(|&slot| slot == label.slot) else {
                    continue;
                };
                let patch = picture * n_visual + usize::from(label.patch);
                classes[patch * NEIGHBOURS.len() + slot] = i64::from(label.class);
                weights[patch * NEIGHBOURS.len() + slot] = 1.0;
                labelled += 1;
            }
        }
        for weight in &mut weights {
            *weight /= labelled.max(1) as f32;
        }
        Self {
            classes: Tensor::from_data(TensorData::new(classes, [n, 1]), device),
            weights: Tensor::from_data(TensorData::new(weights, [n, 1]), device),
        }
    }
}
