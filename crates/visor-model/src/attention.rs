//! Attention over keys and values, and the self-attention block of a decoder layer.

use crate::cache::{KvCache, New};
use crate::counter;
use crate::error::ModelError;
use crate::host;
use crate::linear::{Bias, Linear};
use crate::placement::{Filled, Sequence};
use crate::precision::ForEach;
use crate::ragged::{pack, unpack};
use crate::rotary::RotaryTable;
use crate::together::Together;
use crate::weight::Role;
use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use visor_core::Padding;
use visor_core::cost::matmul;

/// Head counts and widths of an attention block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl Heads {
    /// `[B, S, heads * D]` to `[B, heads, S, D]`.
    pub fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [b, s, width] = x.dims();
        x.reshape([b, s, width / self.head_dim, self.head_dim]).swap_dims(1, 2)
    }

    /// Rows `[S, heads * D]` of one sequence to `[1, heads, S, D]`.
    pub(crate) fn split_rows(&self, x: Tensor<2>) -> Tensor<4> {
        let [s, width] = x.dims();
        let x = x.reshape([s, width / self.head_dim, self.head_dim]);
        x.unsqueeze_dim::<4>(0).swap_dims(1, 2)
    }

    /// `[B, H, S, D]` to `[B, S, H * D]`.
    pub fn merge(&self, x: Tensor<4>) -> Tensor<3> {
        let [b, h, s, d] = x.dims();
        x.swap_dims(1, 2).reshape([b, s, h * d])
    }
}

/// `softmax(q k^T / sqrt(D) + bias) v`.
///
/// `q` is `[B, H, T, D]`; `k` and `v` are `[B, G, S, D]`, each of whose heads serves `H / G`
/// query heads; `bias` is `[B or 1, 1, T, S]` and holds 0 where a query may read a key and a large
/// negative number where it may not.
pub fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, bias: Option<&Tensor<4>>) -> Tensor<4> {
    let ([_, _, t, _], terms) = (q.dims(), Terms { bias, ..Terms::default() });
    attend_each(q, &[t], vec![Readable { k, v, terms }], Padding::None)
}

/// Attention weights of a layer, for whoever looks into it: rows of `S` queries that add up to 1.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Of self-attention, `[B, H, S, keys]`: picture and text where the layer runs on both, the
    /// picture first, else the text alone.
    pub own: Option<Tensor<4>>,
    /// Of cross-attention, `[B, H, T, 1 + V]`, the null key first.
    pub cross: Option<Tensor<4>>,
}

/// What attention is asked for beside its result.
#[derive(Debug, Default)]
pub(crate) struct Terms<'a> {
    /// As in [`attend`].
    pub(crate) bias: Option<&'a Tensor<4>>,
    /// `[B, 1, T, S]`: a selection of keys that is being learned, see [`selective_softmax`].
    pub(crate) mask: Option<&'a Tensor<4>>,
    /// Where the weights `[B, H, T, S]` are left, if somebody looks.
    pub(crate) seen: Option<&'a mut Option<Tensor<4>>>,
    /// Queries and keys without padding, where there may be some.
    pub(crate) filled: Option<[usize; 2]>,
}

/// Keys and values `[B, G, S, D]` that the queries of a sample read, and on what terms.
#[derive(Debug)]
pub(crate) struct Readable<'a> {
    pub(crate) k: Tensor<4>,
    pub(crate) v: Tensor<4>,
    pub(crate) terms: Terms<'a>,
}

/// [`attend`] for samples whose queries stand one after another, `[B, H, T of all, D]`: `lengths[i]`
/// of them read what is `readable` to sample `i`. What they read stands in their places.
pub(crate) fn attend_each(
    q: Tensor<4>,
    lengths: &[usize],
    mut readable: Vec<Readable<'_>>,
    padding: Padding,
) -> Tensor<4> {
    let [b, h, _, d] = q.dims();
    for (&t, Readable { k, terms, .. }) in lengths.iter().zip(&readable) {
        record([b, h, t, d], k, terms.filled);
    }
    if let Some(read) = host::attend(&q, lengths, &mut readable) {
        return read;
    }
    let each = unpack(q, lengths, 2).into_iter().zip(readable);
    pack(each.map(|(q, readable)| readable.read_by(q)).collect(), 2, padding)
}

impl Readable<'_> {
    /// What `q`, `[B, H, T, D]`, reads by the formula.
    fn read_by(self, q: Tensor<4>) -> Tensor<4> {
        let Self { k, v, terms: Terms { bias, mask, seen, .. } } = self;
        let scores = scores(q, k, bias); // [B, H, T, S]
        let weights = match mask {
            Some(mask) => selective_softmax(scores, mask),
            None => softmax(scores),
        };
        if let Some(seen) = seen {
            *seen = Some(weights.clone());
        }
        weigh(weights, v)
    }
}

/// Counts the two products of attention whole, whatever of them is spared: nothing is halved for
/// being causal (method, section 6). Padding does not count.
fn record([b, h, t, d]: [usize; 4], k: &Tensor<4>, filled: Option<[usize; 2]>) {
    let [_, _, s, _] = k.dims();
    let [t, s] = filled.unwrap_or([t, s]);
    counter::record(matmul(b * t, s, 2 * h * d));
}

/// Over the last axis.
fn softmax(scores: Tensor<4>) -> Tensor<4> {
    host::softmax(scores).unwrap_or_else(|scores| activation::softmax(scores, 3))
}

/// `m e^a / sum m e^a` over the last axis: the softmax of the scores `a` over the keys whose `m` is
/// 1 alone, with gradients for all `m` (method, section 5). The maximum that is taken off is that of
/// the selected keys; there must be one in every row.
fn selective_softmax(scores: Tensor<4>, mask: &Tensor<4>) -> Tensor<4> {
    let left_out = (mask.clone().detach() - 1.0) * UNSELECTED;
    let top = (scores.clone().detach() + left_out).max_dim(3); // [B, H, T, 1]
    let weights = (scores - top).clamp_max(0.0).exp() * mask.clone();
    weights.clone() / weights.sum_dim(3)
}

/// Keeps a key that is not selected from being the largest.
const UNSELECTED: f64 = 6e4;

/// `q k^T / sqrt(D) + bias`, `[B, H, T, S]`.
fn scores(q: Tensor<4>, k: Tensor<4>, bias: Option<&Tensor<4>>) -> Tensor<4> {
    let [b, h, t, d] = q.dims();
    let [_, g, s, _] = k.dims();
    let q = q * (d as f64).powf(-0.5);
    // The query heads of a group are stacked as rows, so that keys are never repeated.
    let q = if h == g { q } else { q.reshape([b, g, h / g * t, d]) };
    let scores = q.matmul(k.swap_dims(2, 3)).reshape([b, h, t, s]);
    match bias {
        Some(bias) => scores + bias.clone(),
        None => scores,
    }
}

/// Weights `[B, H, T, S]` of the values `[B, G, S, D]`: `[B, H, T, D]`.
fn weigh(weights: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let [b, h, t, s] = weights.dims();
    let [_, g, _, d] = v.dims();
    let weights = if h == g { weights } else { weights.reshape([b, g, h / g * t, s]) };
    weights.matmul(v).reshape([b, h, t, d])
}

/// `a b` for a batch of matrices, `[B, R, I]` by `[B, I, C]`, counted.
pub(crate) fn product(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
    let ([batch, rows, inner], [_, _, columns]) = (a.dims(), b.dims());
    counter::record(matmul(batch * rows, inner, columns));
    a.matmul(b)
}

/// A sample in front of self-attention: how its rows see each other, and what they have cached.
#[derive(Debug)]
pub struct Attending<'a> {
    /// Where its rows stand.
    pub at: &'a Sequence,
    /// Older keys and values, which the new ones join.
    pub cache: Option<&'a mut KvCache>,
    /// Where its attention weights are left, if somebody looks.
    pub seen: Option<&'a mut Option<Tensor<4>>>,
}

/// Which maps of self-attention add a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionBias {
    /// None (Llama).
    Nowhere,
    /// Those of q, k and v (Qwen2).
    Inputs,
    /// The output as well (Llama with `attention_bias`).
    Everywhere,
}

impl AttentionBias {
    /// That of q, k and v.
    pub fn inputs(self) -> Bias {
        Bias::from(self != Self::Nowhere)
    }

    /// That of the output.
    pub fn output(self) -> Bias {
        Bias::from(self == Self::Everywhere)
    }
}

/// Self-attention of a Llama- or Qwen2-type layer.
#[derive(Module, Debug)]
pub struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// q, k and v as one product, where they run so.
    #[module(skip)]
    together: Option<Together<3>>,
    #[module(skip)]
    heads: Heads,
}

impl SelfAttention {
    /// A block to be filled.
    pub fn new(d_model: usize, heads: Heads, bias: AttentionBias, device: &Device) -> Self {
        let (d_q, d_kv) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
        Self {
            q_proj: Linear::new(d_model, d_q, bias.inputs(), device),
            k_proj: Linear::new(d_model, d_kv, bias.inputs(), device),
            v_proj: Linear::new(d_model, d_kv, bias.inputs(), device),
            o_proj: Linear::new(d_q, d_model, bias.output(), device),
            together: None,
            heads,
        }
    }

    /// The same with q, k and v as one product, to be run.
    #[must_use]
    pub(crate) fn joined(mut self) -> Self {
        let maps = [&mut self.q_proj, &mut self.k_proj, &mut self.v_proj];
        self.together = Together::of(maps);
        self
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        for linear in [&mut self.q_proj, &mut self.k_proj, &mut self.v_proj, &mut self.o_proj] {
            each(&mut linear.weight, Role::Product);
        }
    }

    /// The rows of the samples one after another, `[B, S, E]`, already normalised, and the table that
    /// turns them. Projections run on all of them together; the rows of a sample attend to its own
    /// keys, of which rows that only ask have none.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    pub fn forward(
        &self,
        x: Tensor<3>,
        samples: Vec<Attending<'_>>,
        rotary: RotaryTable,
    ) -> Result<Tensor<3>, ModelError> {
        let (rows, keys) =
            (lengths(&samples, Sequence::n_rows), lengths(&samples, Sequence::n_keys));
        let padding = padding(&samples);
        let Filled { asking, asked } = filled(&samples);
        let (q, k, v) = match &self.together {
            Some(together) if rows == keys && x.dims()[0] == 1 => {
                let qkv = together.forward(x, [asking, asked, asked]);
                let [q, k, v] = qkv.map(|rows| self.heads.split_rows(rows));
                (rotary.turn(q), rotary.turn(k), v)
            }
            _ => {
                let project = |linear: &Linear, x: Tensor<3>, filled| {
                    let [_, rows, _] = x.dims();
                    counter::of_rows(rows, filled, || self.heads.split(linear.forward(x)))
                };
                let q = rotary.turn(project(&self.q_proj, x.clone(), asking)); // [B, H, S, D]
                let (x, rotary) = match rows == keys {
                    true => (x, rotary),
                    false => with_keys(x, &rows, &samples), // [B, S', E]
                };
                let k = rotary.turn(project(&self.k_proj, x.clone(), asked)); // [B, G, S', D]
                (q, k, project(&self.v_proj, x, asked)) // [B, G, S', D]
            }
        };
        let (k, v) = (unpack(k, &keys, 2), unpack(v, &keys, 2));
        let mut readable = Vec::with_capacity(rows.len());
        for ((k, v), Attending { at, cache, seen }) in k.into_iter().zip(v).zip(samples) {
            let Filled { asking, asked: keys } = at.filled();
            let ((k, v), n_keys) = match cache {
                Some(cache) => {
                    let all = cache.extend(k, v, New { keys, padding })?;
                    (all, cache.len())
                }
                None => ((k, v), keys),
            };
            let filled = at.filled.map(|_| [asking, n_keys]);
            let terms = Terms { bias: at.bias.as_ref(), mask: None, seen, filled };
            readable.push(Readable { k, v, terms });
        }
        let read = self.heads.merge(attend_each(q, &rows, readable, padding)); // [B, S, H * D]
        let [_, rows, _] = read.dims();
        Ok(counter::of_rows(rows, asking, || self.o_proj.forward(read))) // [B, S, E]
    }
}

/// How samples that run together are filled up.
fn padding(samples: &[Attending<'_>]) -> Padding {
    samples.first().map_or(Padding::None, |sample| sample.at.padding())
}

/// The rows and keys of all samples, without padding.
pub(crate) fn filled(samples: &[Attending<'_>]) -> Filled {
    let each = samples.iter().map(|sample| sample.at.filled());
    let none = Filled { asking: 0, asked: 0 };
    each.fold(none, |all, one| Filled {
        asking: all.asking + one.asking,
        asked: all.asked + one.asked,
    })
}

fn lengths(samples: &[Attending<'_>], length: fn(&Sequence) -> usize) -> Vec<usize> {
    samples.iter().map(|sample| length(sample.at)).collect()
}

/// The rows of `x`, `rows[i]` of sample `i`, that have a key and a value, and where they stand.
fn with_keys(x: Tensor<3>, rows: &[usize], samples: &[Attending<'_>]) -> (Tensor<3>, RotaryTable) {
    let of_samples = unpack(x, rows, 1).into_iter().zip(samples.iter().map(|sample| sample.at));
    let (x, tables): (Vec<_>, Vec<_>) = of_samples
        .map(|(x, at)| (x.narrow(1, 0, at.n_keys()), at.rotary.first(at.n_keys())))
        .unzip();
    (pack(x, 1, Padding::None), RotaryTable::joined(tables.iter(), Padding::None))
}
