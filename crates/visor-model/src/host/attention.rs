//! Attention of the samples of a batch where their keys and values lie, into one buffer: there is
//! nothing of a tensor's cost a sample.

use super::{in_place, lifted};
use crate::attention::Readable;
use crate::placement::BLOCKED;
use burn::tensor::Tensor;
use visor_kernels::{Attention, Rows};
use visor_runtime::device::HostValues;

/// `softmax(q k^T / sqrt(D) + bias) v` for samples whose queries stand one after another in `q`,
/// `[B, H, T of all, D]`, `lengths[i]` of them for sample `i`: what they read, in the same places.
/// The weights `[B, H, T, S]` of a sample are left for who looks. `None` where no kernel can run;
/// then nothing was left.
pub(crate) fn attend(
    q: &Tensor<4>,
    lengths: &[usize],
    samples: &mut [Readable<'_>],
) -> Option<Tensor<4>> {
    let ([b, h, rows, d], device) = (q.dims(), q.device());
    let queries = Heads::of(q)?;
    let pairs = lengths.iter().zip(samples.iter());
    let known = pairs.map(|(&t, sample)| Known::of(sample, b, t)).collect::<Option<Vec<_>>>()?;
    let mut read = vec![0.0; b * rows * h * d];
    let mut first = 0;
    for ((&t, sample), known) in lengths.iter().zip(samples).zip(&known) {
        let looks = h * t * known.keys;
        let mut weights = sample.terms.seen.as_ref().map(|_| vec![0.0; b * looks]);
        for at in 0..b {
            let attention =
                Attention { heads: h, ..known.attention(at, queries.rows(at, first), t) };
            let out = &mut read[(at * rows + first) * h * d..][..t * h * d]; // [T, H, D]
            let weights = weights.as_mut().map(|weights| &mut weights[at * looks..][..looks]);
            attention.run_into(out, weights);
        }
        if let (Some(seen), Some(weights)) = (&mut sample.terms.seen, weights) {
            let weights = lifted(weights, [b, t, h, known.keys], &device);
            **seen = Some(weights.swap_dims(1, 2)); // [B, H, T, S]
        }
        first += t;
    }
    Some(lifted(read, [b, rows, h, d], &device).swap_dims(1, 2)) // [B, H, T of all, D]
}

/// Writes the rows of `new`, `[B, G, S, D]`, over those of `all`, `[B, G, room, D]`, from a place on.
///
/// # Errors
/// `all`, untouched, where that is not done here.
pub(crate) fn put(all: Tensor<4>, at: usize, new: &Tensor<4>) -> Result<Tensor<4>, Tensor<4>> {
    let ([_, g, room, d], [b, _, s, _]) = (all.dims(), new.dims());
    let Some(new) = Heads::of(new) else { return Err(all) };
    in_place(all, |all| {
        for (index, all) in all.chunks_exact_mut(room * d).enumerate().take(b * g) {
            let Rows { values, row, head } = new.rows(index / g, 0);
            for (i, to) in all[at * d..][..s * d].chunks_exact_mut(d).enumerate() {
                to.copy_from_slice(&values[index % g * head + i * row..][..d]);
            }
        }
    })
}

/// The keys, values and bias of a sample, where they lie.
struct Known {
    k: Heads,
    v: Heads,
    bias: Option<HostValues>,
    /// Numbers of the bias from one `B` to the next.
    biased: usize,
    keys: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Known {
    /// For `t` queries of each of `b`; `None` where a kernel cannot read them.
    fn of(sample: &Readable<'_>, b: usize, t: usize) -> Option<Self> {
        let Readable { k, v, terms } = sample;
        let [_, kv_heads, keys, head_dim] = k.dims();
        if keys == 0 || terms.mask.is_some() {
            return None;
        }
        let (mut bias, mut biased) = (None, 0);
        if let Some(known) = terms.bias {
            let values = HostValues::of(known)?;
            biased = match values.in_order()?.len() {
                shared if shared == t * keys => 0,
                own if own == b * t * keys => t * keys,
                _ => return None,
            };
            bias = Some(values);
        }
        Some(Self { k: Heads::of(k)?, v: Heads::of(v)?, bias, biased, keys, kv_heads, head_dim })
    }

    /// What one of the batch reads whose queries are `q`, of as many heads as there are keys for.
    fn attention<'a>(&'a self, at: usize, q: Rows<'a>, t: usize) -> Attention<'a> {
        let &Self { ref k, ref v, ref bias, biased, keys, kv_heads, head_dim } = self;
        let bias = bias.as_ref().and_then(HostValues::in_order);
        Attention {
            q,
            k: k.rows(at, 0),
            v: v.rows(at, 0),
            bias: bias.map(|bias| &bias[at * biased..][..t * keys]),
            hidden: BLOCKED / 2.0,
            scale: (head_dim as f64).powf(-0.5) as f32,
            queries: t,
            keys,
            heads: kv_heads,
            kv_heads,
            head_dim,
        }
    }
}

/// A tensor `[B, N, S, D]` whose rows of `D` values are whole.
struct Heads {
    values: HostValues,
    sample: usize,
    head: usize,
    row: usize,
}

impl Heads {
    fn of(x: &Tensor<4>) -> Option<Self> {
        let values = HostValues::of(x)?;
        match values.strides()? {
            [sample, head, row, 1] => Some(Self { values, sample, head, row }),
            _ => None,
        }
    }

    /// From a row on.
    fn rows(&self, sample: usize, first: usize) -> Rows<'_> {
        let values = &self.values.values()[sample * self.sample + first * self.row..];
        Rows { values, row: self.row, head: self.head }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{expect_equal, random};
    use crate::attention::{Readable, Terms, attend_each};
    use burn::tensor::{Tensor, TensorData};
    use visor_core::Padding;

    #[test]
    fn attention_of_every_sample_and_its_weights_are_those_of_the_formula() {
        let (b, h, g, d) = (2, 4, 2, 6);
        // Queries and keys of each sample: a prompt, a decode step, a short question.
        let samples = [(9, 12), (1, 20), (3, 3)];
        for padding in [Padding::None, Padding::Steps] {
            expect_equal("attention", |device| {
                let rows = padding.rows(13);
                let q = random("q", [b, rows, h, d], device).swap_dims(1, 2);
                let bias = |&(t, s): &(usize, usize)| {
                    let reads = |i: usize| if i % s <= i / s % t + s - t { 0.0 } else { -3e4 };
                    let bias: Vec<f32> = (0..b * t * s).map(reads).collect();
                    (t > 1).then(|| Tensor::from_data(TensorData::new(bias, [b, 1, t, s]), device))
                };
                let biases = samples.each_ref().map(bias);
                let mut weights = [const { None }; 3];
                let sights = samples.iter().zip(&biases).zip(&mut weights);
                let readable = sights.map(|((&(_, s), bias), seen)| {
                    let [k, v] = ["k", "v"].map(|name| random(name, [b, g, s + 3, d], device));
                    // As a cache gives them: less than it has room for.
                    let (k, v) = (k.narrow(2, 0, s), v.narrow(2, 0, s));
                    let (bias, seen) = (bias.as_ref(), Some(seen));
                    Readable { k, v, terms: Terms { bias, seen, ..Terms::default() } }
                });
                let lengths = samples.map(|(t, _)| t);
                let read = attend_each(q, &lengths, readable.collect(), padding);
                let weights = weights.into_iter().flatten();
                let weights = weights.map(|weights| weights.reshape([-1])).collect();
                Tensor::cat(vec![read.narrow(2, 0, 13).reshape([-1]), Tensor::cat(weights, 0)], 0)
                    .into_data()
            });
        }
    }
}
