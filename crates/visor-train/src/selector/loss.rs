//! The losses of selector training beside the answers' (method, section 5).

use super::relax::Relaxed;
use crate::batch::Batch;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use visor_model::selector::Scored;

/// Of the contrast.
const TEMPERATURE: f64 = 0.07;
/// The number of patches shall differ between questions by at least this share of all patches.
const SPREAD: f64 = 0.04;

/// What questions choose, as they are held against each other.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    /// What each looks for, `[Q, S]`, of length 1.
    query: Tensor<2>,
    /// The mean of what it selects, `[Q, S]`, of length 1.
    selected: Tensor<2>,
    /// The mean of what it leaves out, `[Q, S]`, of length 1.
    left_out: Tensor<2>,
    /// The share of its patches that it reads, `[Q]`.
    share: Tensor<1>,
}

impl Choices {
    pub(super) fn new(scored: &Scored, chosen: &Relaxed) -> Self {
        let Scored { query, keys, kappa, .. } = scored;
        let [q, v, s] = keys.dims();
        let mean = |mask: Tensor<2>| {
            let weights = mask.clone() / (mask.sum_dim(1) + 1e-6); // [Q, V]
            let sum = weights.reshape([q, 1, v]).matmul(keys.clone()).reshape([q, s]);
            unit(sum)
        };
        Self {
            query: unit(query.clone()),
            selected: mean(chosen.mask.clone()),
            left_out: mean(-chosen.mask.clone() + 1.0),
            share: kappa.clone() / v as f64,
        }
    }

    /// The questions of all `parts` of a step. Only those of the part at `learning` have gradients:
    /// theirs are what the step as a whole would give them, so that one part after another can learn.
    pub(super) fn of_step(parts: &[Self], learning: usize) -> Self {
        let all = |of: fn(&Self) -> Tensor<2>| {
            let seen = |(place, part)| match place == learning {
                true => of(part),
                false => of(part).detach(),
            };
            Tensor::cat(parts.iter().enumerate().map(seen).collect(), 0)
        };
        Self {
            query: all(|part| part.query.clone()),
            selected: all(|part| part.selected.clone()),
            left_out: all(|part| part.left_out.clone()),
            share: all(|part| part.share.clone().unsqueeze_dim(1)).squeeze_dim(1),
        }
    }

    /// What is selected shall be told from what other questions select, of the same picture and of
    /// others, and from what was left out.
    pub(super) fn contrast(&self) -> Tensor<1> {
        let Self { query, selected, left_out, .. } = self.clone();
        let [q, _] = query.dims();
        let others = query.clone().matmul(selected.transpose()); // [Q, Q]
        let own_rest = (query * left_out).sum_dim(1); // [Q, 1]
        let scores = Tensor::cat(vec![others, own_rest], 1) / TEMPERATURE; // [Q, Q + 1]
        let own: Vec<i64> = (0..q as i64).collect();
        let own: Tensor<2, Int> = Tensor::from_data(TensorData::new(own, [q, 1]), &scores.device());
        -activation::log_softmax(scores, 1).gather(1, own).mean()
    }

    /// The mean share of the patches that is read shall be `target`, and shares shall differ.
    pub(super) fn number(&self, target: f64) -> Tensor<1> {
        let share = self.share.clone(); // [Q]
        let mean = share.clone().mean();
        let variance = (share - mean.clone()).square().mean();
        let spread = (variance + 1e-8).sqrt();
        (mean - target).square() + activation::relu(-spread + SPREAD).square()
    }
}

fn unit(x: Tensor<2>) -> Tensor<2> {
    let norm = (x.clone().square().sum_dim(1) + 1e-8).sqrt();
    x / norm
}

/// Scores shall be distributed as the teacher's relevance `[Q, V]`, for questions of which it
/// `knows`, `[Q]`, a word: the cross-entropy, which is the divergence but for a constant.
pub(super) fn align(logits: &Tensor<2>, relevance: Vec<f32>, knows: Vec<f32>) -> Tensor<1> {
    let ([q, v], device) = (logits.dims(), logits.device());
    let n = knows.iter().sum::<f32>().max(1.0);
    let relevance: Tensor<2> = Tensor::from_data(TensorData::new(relevance, [q, v]), &device);
    let knows: Tensor<2> = Tensor::from_data(TensorData::new(knows, [q, 1]), &device);
    let fit = (activation::log_softmax(logits.clone(), 1) * relevance).sum_dim(1); // [Q, 1]
    -(fit * knows).sum() / n
}

/// The grounded supervision: scores distributed over the evidence of each question, and as many
/// patches as it has, one to spare.
pub(super) fn evidence(scored: &Scored, batch: &Batch, device: &Device) -> Tensor<1> {
    let [q, v] = scored.logits.dims();
    let counts: Vec<f32> = batch
        .asked
        .iter()
        .map(|asked| asked.evidence.iter().filter(|&&holds| holds).count().max(1) as f32)
        .collect();
    let shares: Vec<f32> = batch
        .asked
        .iter()
        .zip(&counts)
        .flat_map(|(asked, n)| asked.evidence.iter().map(move |&on| if on { 1.0 / n } else { 0.0 }))
        .collect();
    let shares: Tensor<2> = Tensor::from_data(TensorData::new(shares, [q, v]), device);
    let fit = (activation::log_softmax(scored.logits.clone(), 1) * shares).sum_dim(1);
    let wanted: Vec<f32> = counts.iter().map(|n| n + 1.0).collect();
    let wanted: Tensor<1> = Tensor::from_data(TensorData::new(wanted, [q]), device);
    let distance = (scored.kappa.clone() - wanted) / v as f64;
    -fit.mean() + distance.square().mean() * 4.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_model::init::Noise;
    use visor_runtime::{DeviceRequest, device};

    fn choices(seed: u64, q: usize, device: &Device) -> Choices {
        let table = |name: &str| {
            let values = Noise::new(seed, name).normal(q * 3, 0.2);
            Tensor::<2>::from_data(TensorData::new(values, [q, 3]), device).require_grad()
        };
        let share = Noise::new(seed, "share").normal(q, 0.01);
        Choices {
            query: table("query"),
            selected: table("selected"),
            left_out: table("left out"),
            share: Tensor::from_data(TensorData::new(share, [q]), device).require_grad(),
        }
    }

    #[test]
    fn parts_of_a_step_learn_one_after_another_what_the_whole_step_teaches_them() {
        let plain = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let device = device::training(&plain);
        // Photographs of three shapes: two questions stand alone in their parts.
        let parts = [choices(1, 1, &device), choices(2, 3, &device), choices(3, 1, &device)];
        let loss = |choices: &Choices| choices.contrast() * 0.1 + choices.number(0.2);
        let table = |of: fn(&Choices) -> Tensor<2>| Tensor::cat(parts.iter().map(of).collect(), 0);
        let whole = Choices {
            query: table(|part| part.query.clone()),
            selected: table(|part| part.selected.clone()),
            left_out: table(|part| part.left_out.clone()),
            share: Tensor::cat(parts.iter().map(|part| part.share.clone()).collect(), 0),
        };
        let whole = loss(&whole).backward();
        for (place, part) in parts.iter().enumerate() {
            let own = loss(&Choices::of_step(&parts, place)).backward();
            let of = |tensor: &Tensor<2>| {
                [&whole, &own].map(|gradients| {
                    let gradient = tensor.grad(gradients).expect("a gradient").into_data();
                    gradient.iter::<f32>().collect::<Vec<_>>()
                })
            };
            let shares = [&whole, &own].map(|gradients| {
                let gradient = part.share.grad(gradients).expect("a gradient").into_data();
                gradient.iter::<f32>().collect::<Vec<_>>()
            });
            let tables = [&part.query, &part.selected, &part.left_out].map(of);
            for [expected, got] in tables.into_iter().chain([shares]) {
                assert!(expected.iter().any(|value| *value != 0.0), "part {place}: {expected:?}");
                let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
                assert!(expected.iter().zip(&got).all(near), "part {place}: {expected:?} {got:?}");
            }
            let others = parts.iter().enumerate().filter(|(other, _)| *other != place);
            for (_, other) in others {
                assert!(other.query.grad(&own).is_none(), "only one part learns");
            }
        }
    }
}
