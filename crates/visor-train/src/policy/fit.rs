//! The training of a policy's routing token and head.

use super::examples::{Examples, Prefix};
use crate::error::TrainError;
use crate::optimizer::{self, FlatAdamW};
use crate::schedule::warm_cosine;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, activation};
use std::ops::Range;
use visor_core::Ladder;
use visor_model::VisorModel;
use visor_model::init::Noise;
use visor_policy::{Objective, RouterNetwork, RouterShape};
use visor_runtime::Backbone;

/// How a policy is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What it learns to predict.
    pub objective: Objective,
    /// Seed of weights and order.
    pub seed: u64,
    /// Times that every question is seen.
    pub epochs: u64,
    /// Questions a step.
    pub batch: usize,
    /// Peak learning rate; 3 % warm-up, then a cosine.
    pub learning_rate: f64,
}

impl Settings {
    /// The settings that are usual for an objective.
    pub fn new(objective: Objective, seed: u64) -> Self {
        Self { objective, seed, epochs: 20, batch: 128, learning_rate: 3e-3 }
    }
}

/// A rung is the cheapest right one if it reaches this share of the largest rung's score (VISOR,
/// section 4.3).
const REACHES: f32 = 0.99;

/// A trained router.
#[derive(Debug)]
pub struct Fitted {
    /// The router on a device without gradients.
    pub network: RouterNetwork,
    /// Steps taken.
    pub steps: u64,
    /// Mean loss over the last epoch.
    pub loss: f32,
}

/// Trains a router on the questions in `chosen`.
///
/// `tell` hears the step, all steps, and the loss.
///
/// # Errors
/// [`TrainError::NonFinite`], or [`TrainError::NoQuestions`] if the objective leaves none.
pub fn fit(
    model: &VisorModel,
    ladder: &Ladder,
    examples: &Examples,
    chosen: &[usize],
    settings: Settings,
    device: &Device,
    tell: &mut dyn FnMut(u64, u64, f32),
) -> Result<Fitted, TrainError> {
    let shape = RouterShape::new(model.card().shape.decoder.d_model, ladder.rungs().len());
    let prefix = Prefix::new(model, ladder, device);
    let target = Target::new(examples, chosen, settings.objective)?;
    let mut network = RouterNetwork::from_seed(shape, settings.seed, device);
    let adam = optimizer::Settings { beta_1: 0.9, beta_2: 0.98, clip: 1.0 };
    let mut optimizer = FlatAdamW::new(&network, adam);
    let per_epoch = examples.batches(&target.kept, settings.batch).len() as u64;
    let total = per_epoch * settings.epochs;
    let (mut step, mut sum) = (0, 0.0);
    for epoch in 0..settings.epochs {
        let order = shuffled(&target.kept, settings.seed, epoch);
        sum = 0.0;
        for indices in examples.batches(&order, settings.batch) {
            let batch = examples.lift(&indices, model, device);
            let (token, visual) = prefix.states(&batch, network.routing_token.val())?;
            let logits = network.head.forward(token, visual); // [B, rungs]
            let loss = target.loss(logits, &batch.scores, &indices, examples);
            let value = loss.clone().detach().into_scalar::<f32>();
            step += 1;
            if !value.is_finite() {
                let pass = settings.objective.word().to_owned();
                return Err(TrainError::NonFinite { step, pass, loss: value });
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let gradient = optimizer.flatten(&network, gradients);
            let rate = settings.learning_rate * warm_cosine(step, total);
            (network, _) = optimizer.step(network, gradient, rate);
            sum += value;
            tell(step, total, value);
        }
    }
    let network = optimizer::plain(network);
    Ok(Fitted { network, steps: step, loss: sum / per_epoch.max(1) as f32 })
}

impl Fitted {
    /// The logits of the questions in `range`, one row each.
    ///
    /// # Errors
    /// None in a sound network.
    pub fn logits(
        &self,
        model: &VisorModel,
        ladder: &Ladder,
        examples: &Examples,
        range: Range<usize>,
    ) -> Result<Vec<Vec<f32>>, TrainError> {
        let device = model.device();
        let prefix = Prefix::new(model, ladder, device);
        let rungs = ladder.rungs().len();
        let mut rows = vec![Vec::new(); range.len()];
        let order: Vec<usize> = range.clone().collect();
        for indices in examples.batches(&order, 256) {
            let batch = examples.lift(&indices, model, device);
            let (token, visual) = prefix.states(&batch, self.network.routing_token.val())?;
            let logits = self.network.head.forward(token, visual);
            let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
            for (row, &index) in values.chunks(rungs).zip(&indices) {
                rows[index - range.start] = row.to_vec();
            }
        }
        Ok(rows)
    }
}

/// What the logits are held against.
struct Target {
    objective: Objective,
    /// The questions that are learned from.
    kept: Vec<usize>,
    /// By rung, how much a question of that class counts; for cheapest-right.
    balance: Vec<f32>,
}

impl Target {
    fn new(
        examples: &Examples,
        chosen: &[usize],
        objective: Objective,
    ) -> Result<Self, TrainError> {
        let (kept, balance) = match objective {
            Objective::Utility => (chosen.to_vec(), Vec::new()),
            Objective::CheapestRight => {
                let kept: Vec<usize> = chosen
                    .iter()
                    .copied()
                    .filter(|&index| cheapest_right(examples.scores(index)).is_some())
                    .collect();
                let classes: Vec<usize> =
                    kept.iter().filter_map(|&i| cheapest_right(examples.scores(i))).collect();
                let rungs = chosen.first().map_or(0, |&index| examples.scores(index).len());
                let count = |rung| classes.iter().filter(|&&class| class == rung).count().max(1);
                let balance: Vec<f32> = (0..rungs)
                    .map(|rung| classes.len() as f32 / (rungs * count(rung)) as f32)
                    .collect();
                (kept, balance)
            }
        };
        match kept.is_empty() {
            true => Err(TrainError::NoQuestions { data: "the labelled data".to_owned() }),
            false => Ok(Self { objective, kept, balance }),
        }
    }

    /// Mean loss of logits `[B, rungs]`; `scores` has the same shape.
    fn loss(
        &self,
        logits: Tensor<2>,
        scores: &Tensor<2>,
        indices: &[usize],
        examples: &Examples,
    ) -> Tensor<1> {
        match self.objective {
            Objective::Utility => {
                // Binary cross-entropy: -s log p - (1 - s) log (1 - p).
                let right = activation::log_sigmoid(logits.clone());
                let wrong = activation::log_sigmoid(-logits);
                let one = scores.ones_like();
                -(right * scores.clone() + wrong * (one - scores.clone())).mean()
            }
            Objective::CheapestRight => {
                let [b, rungs] = logits.dims();
                let mut weights = vec![0.0; b * rungs];
                for (row, &index) in indices.iter().enumerate() {
                    if let Some(class) = cheapest_right(examples.scores(index)) {
                        weights[row * rungs + class] = self.balance[class];
                    }
                }
                let data = burn::tensor::TensorData::new(weights, [b, rungs]);
                let weights: Tensor<2> = Tensor::from_data(data, &logits.device());
                -(activation::log_softmax(logits, 1) * weights).sum() / b as f64
            }
        }
    }
}

/// The cheapest rung that does as well as the largest; `None` where the largest is wrong.
fn cheapest_right(scores: &[f32]) -> Option<usize> {
    let largest = scores.last().copied().filter(|&score| score > 0.0)?;
    scores.iter().position(|&score| score >= REACHES * largest)
}

fn shuffled(order: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
    let mut order = order.to_vec();
    let mut noise = Noise::new(seed ^ (epoch << 32), "order");
    for last in (1..order.len()).rev() {
        order.swap(last, noise.below(last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_right_rung_reaches_the_largest_and_a_wrong_largest_has_none() {
        assert_eq!(cheapest_right(&[0.0, 1.0, 0.0, 1.0]), Some(1));
        assert_eq!(cheapest_right(&[1.0, 1.0, 1.0, 0.0]), None);
        assert_eq!(cheapest_right(&[0.5, 0.59, 0.6]), Some(2), "soft scores: .59 is below 99 %");
    }

    #[test]
    fn an_order_is_a_permutation_that_seed_and_epoch_decide() {
        let order: Vec<usize> = (10..60).collect();
        let once = shuffled(&order, 3, 1);
        assert_eq!(once, shuffled(&order, 3, 1));
        assert_ne!(once, shuffled(&order, 3, 2));
        let mut sorted = once;
        sorted.sort_unstable();
        assert_eq!(sorted, order);
    }
}
