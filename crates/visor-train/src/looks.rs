//! Where an answer looks: attention to the patches that it depends on.
//!
//! A supervision of ours and not of VISOR's (method, section 3). Among 256 patches the one that
//! holds an answer gets a two hundred and fifty-sixth of the first attention, and with it of the
//! gradient: a place was not found in as many steps as had been plenty among 36. What this teaches
//! is known to the generator, so that a network which has learned by it is a grounded one.

use crate::batch::Batch;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Attention of a head, of one in all, that counts as spread evenly over the patches beside what is
/// read. Without it not to look at all would cost nothing: a network in which text and picture share
/// a softmax learned just that, and then answered by chance.
const EVEN: f64 = 0.05;

/// The patches that the answers of a batch depend on, on the device.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// Rows of the flattened `[B * T]` text that ask for an answer's tokens: `[R]`.
    rows: Tensor<1, Int>,
    /// `[R, V]`: 1 for evidence.
    patches: Tensor<2>,
    /// The share that evidence has of an even look: `[R, 1]`.
    share: Tensor<2>,
}

impl Evidence {
    /// Of a batch; `None` where no answer depends on a patch that may be read.
    pub(crate) fn new(batch: &Batch, device: &Device) -> Option<Self> {
        let n_visual = batch.maps.first()?.visual.len();
        let (mut rows, mut patches): (Vec<i64>, Vec<f32>) = (Vec::new(), Vec::new());
        for asked in batch.asked.iter().filter(|asked| asked.evidence.len() == n_visual) {
            for &(row, _) in &batch.targets[asked.targets.clone()] {
                let text = row - asked.picture * batch.n_text;
                let holds = |patch: usize| {
                    asked.evidence[patch] && batch.may_read(asked.picture, text, patch)
                };
                if (0..n_visual).any(holds) {
                    rows.push(row as i64);
                    patches.extend((0..n_visual).map(|patch| f32::from(u8::from(holds(patch)))));
                }
            }
        }
        let n = rows.len();
        (n > 0).then(|| {
            let patches: Tensor<2> =
                Tensor::from_data(TensorData::new(patches, [n, n_visual]), device);
            Self {
                rows: Tensor::from_data(TensorData::new(rows, [n]), device),
                share: patches.clone().mean_dim(1),
                patches,
            }
        })
    }

    /// Mean over answer tokens and layers of minus the logarithm of the share that evidence has of
    /// what a layer's heads read of the picture together, with a little of an even look: `looks`
    /// holds `[B, H, T, V]` of each layer. `None` without layers.
    pub(crate) fn loss(&self, looks: &[Tensor<4>]) -> Option<Tensor<1>> {
        let of_layer = |look: &Tensor<4>| {
            let [b, _, t, v] = look.dims();
            let read = look.clone().mean_dim(1).reshape([b * t, v]); // [B * T, V]
            let read = read.select(0, self.rows.clone()); // [R, V]
            let hit = (read.clone() * self.patches.clone()).sum_dim(1); // [R, 1]
            -((hit + self.share.clone() * EVEN) / (read.sum_dim(1) + EVEN)).log().mean()
        };
        let sum = looks.iter().map(of_layer).reduce(|sum, loss| sum + loss)?;
        Some(sum / looks.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Sight;
    use crate::vocabulary::Vocabulary;
    use visor_runtime::device::{DeviceRequest, open};
    use visor_tasks::{Split, Suite, SuiteName};

    fn batch(sight: Sight) -> Batch {
        let suite = Suite::new(SuiteName::Nano);
        let family = suite.family("colour").expect("a family");
        let samples: Vec<_> = (0..2).map(|seed| suite.sample(Split::Train, family, seed)).collect();
        Batch::pack(&suite, &Vocabulary::new(&suite), &samples, sight).expect("packed")
    }

    fn loss(batch: &Batch, read: impl Fn(usize, usize, usize) -> f32) -> f32 {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let (b, t, v) = (batch.n_pictures, batch.n_text, batch.maps[0].visual.len());
        let values: Vec<f32> =
            (0..b * 2 * t * v).map(|i| read(i / (2 * t * v), i / v % t, i % v)).collect();
        let look: Tensor<4> = Tensor::from_data(TensorData::new(values, [b, 2, t, v]), &device);
        let evidence = Evidence::new(batch, &device).expect("evidence");
        evidence.loss(&[look.clone(), look]).expect("layers").into_scalar::<f32>()
    }

    #[test]
    fn an_even_look_and_none_cost_the_logarithm_of_all_patches_over_those_of_the_answer() {
        let batch = batch(Sight::Whole);
        let n = batch.maps[0].visual.len() as f32;
        let each = |asked: &crate::batch::Asked| {
            let held = asked.evidence.iter().filter(|&&holds| holds).count();
            (asked.targets.len() as f32, (n / held as f32).ln())
        };
        let parts: Vec<(f32, f32)> = batch.asked.iter().map(each).collect();
        let rows: f32 = parts.iter().map(|(rows, _)| rows).sum();
        let wanted = parts.iter().map(|(rows, loss)| rows * loss).sum::<f32>() / rows;
        // Whoever does not look at all gets no better off.
        for attention in [1.0, 0.25, 0.0] {
            let got = loss(&batch, |_, _, _| attention / n);
            assert!((got - wanted).abs() < 1e-3, "{attention}: {got} and {wanted}");
        }
    }

    #[test]
    fn a_look_at_the_evidence_alone_costs_next_to_nothing_and_hidden_evidence_is_not_asked_for() {
        for sight in [Sight::Whole, Sight::Share { share: 0.5, seed: 3 }] {
            let batch = batch(sight);
            let holds = |picture: usize, text: usize, patch: usize| {
                let row = picture * batch.n_text + text;
                let of = |asked: &&crate::batch::Asked| asked.tokens.contains(&row);
                let asked = batch.asked.iter().find(of);
                let held = asked.is_some_and(|asked| asked.evidence[patch]);
                f32::from(u8::from(held && batch.may_read(picture, text, patch)))
            };
            let got = loss(&batch, holds);
            assert!(got > 0.0 && got < EVEN as f32, "{sight:?}: {got}");
        }
    }
}
