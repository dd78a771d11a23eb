//! The losses of selector training beside the answers' (method, section 5).

use super::relax::Relaxed;
use crate::batch::Batch;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use visor_model::selector::Scored;

/// Of the contrast.
const TEMPERATURE: f64 = 0.07;
/// The number of patches shall differ between questions by at least this share of all patches.
const SPREAD: f64 = 0.04;

/// What is selected shall be told from what other questions select, of the same picture and of
/// others, and from what was left out.
pub(super) fn contrast(scored: &Scored, chosen: &Relaxed) -> Tensor<1> {
    let Scored { query, keys, .. } = scored;
    let [q, v, s] = keys.dims();
    let mean = |mask: Tensor<2>| {
        let weights = mask.clone() / (mask.sum_dim(1) + 1e-6); // [Q, V]
        let sum = weights.reshape([q, 1, v]).matmul(keys.clone()).reshape([q, s]);
        unit(sum)
    };
    let query = unit(query.clone()); // [Q, S]
    let selected = mean(chosen.mask.clone());
    let left_out = mean(-chosen.mask.clone() + 1.0);
    let others = query.clone().matmul(selected.transpose()); // [Q, Q]
    let own_rest = (query * left_out).sum_dim(1); // [Q, 1]
    let scores = Tensor::cat(vec![others, own_rest], 1) / TEMPERATURE; // [Q, Q + 1]
    let own: Vec<i64> = (0..q as i64).collect();
    let own: Tensor<2, Int> = Tensor::from_data(TensorData::new(own, [q, 1]), &scores.device());
    -activation::log_softmax(scores, 1).gather(1, own).mean()
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

/// The mean share of the patches that is read shall be `target`, and shares shall differ.
pub(super) fn number(kappa: &Tensor<1>, n_visual: usize, target: f64) -> Tensor<1> {
    let share = kappa.clone() / n_visual as f64; // [Q]
    let mean = share.clone().mean();
    let variance = (share - mean.clone()).square().mean();
    let spread = (variance + 1e-8).sqrt();
    (mean - target).square() + activation::relu(-spread + SPREAD).square()
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
