//! Cross-attention: text reads the picture, the picture stays as it is (VISOR, Eq. 2).

use crate::attention::{Heads, Readable, Terms, attend_each};
use crate::cache::bytes;
use crate::config::TextConfig;
use crate::counter;
use crate::linear::{Bias, Linear};
use crate::norm::RmsNorm;
use crate::placement::{BLOCKED, Chosen, hidden_behind};
use crate::precision::ForEach;
use crate::ragged::{lengths, pack, unpack, zeros as rows_of_zeros};
use crate::together::Together;
use crate::weight::{Role, Weight};
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use visor_core::Padding;

/// What cross-attention has of its own, as `visor.json` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossSizes {
    /// Key and value heads; divides the decoder's query heads.
    pub n_kv_heads: usize,
    /// Bias of its q, k and v.
    pub bias: Bias,
    /// Whether a text token can read nothing.
    pub null: NullPair,
}

/// What a text token may attend to beside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullPair {
    /// A learned key and value that stand for nothing.
    Learned,
    /// Nothing else: its attention to the picture adds up to one.
    Absent,
}

/// `CA(T, V)`: own projections, no rotary positions, a gate, and a learned null key and value that
/// let a text token read nothing (method, section 1).
#[derive(Module, Debug)]
pub struct CrossAttention {
    text_norm: RmsNorm,
    visual_norm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// `[G * D]`; `None` where a text token must read the picture.
    null_key: Option<Param<Tensor<1>>>,
    /// `[G * D]`, as the key.
    null_value: Option<Param<Tensor<1>>>,
    /// `[1]`; `None` once it has been folded into the output projection.
    gate: Option<Param<Tensor<1>>>,
    /// k and v as one product, where they run so.
    #[module(skip)]
    together: Option<Together<2>>,
    #[module(skip)]
    heads: Heads,
}

/// The keys and values of a picture for one layer, the null pair first: `[B, G, 1 + V, D]` each.
/// Where there is none its column is zero, and nothing reads it but text without a picture.
#[derive(Clone, Debug)]
pub struct VisualKeys {
    k: Tensor<4>,
    v: Tensor<4>,
    /// How many of them there are; those behind fill them up.
    n: usize,
    /// `[1, 1, 1, S]`: hides what fills them up.
    hidden: Option<Tensor<4>>,
}

/// A sample whose text, `[B, T, E]`, reads its picture.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The first rows of its text that are no padding: all `T`, where nothing is filled up.
    pub filled: usize,
    /// What there is to read.
    pub keys: VisualKeys,
    /// `[B or 1, 1, T, 1 + V]`; `None` where everything may be read.
    pub bias: Option<&'a Tensor<4>>,
    /// `[B, 1, T, 1 + V]`: a selection that is being learned, 1 for what is selected.
    pub mask: Option<&'a Tensor<4>>,
    /// Where its attention weights are left, if somebody looks.
    pub seen: Option<&'a mut Option<Tensor<4>>>,
}

impl CrossSizes {
    /// As many heads as the decoder's own attention has, no bias, and a null pair.
    pub fn like_the_decoders(text: &TextConfig) -> Self {
        let (bias, null) = (Bias::Without, NullPair::Learned);
        Self { n_kv_heads: text.n_kv_heads, bias, null }
    }
}

impl VisualKeys {
    /// The first `n` of these, null key included, are there, and the others fill them up.
    fn of(k: Tensor<4>, v: Tensor<4>, n: usize) -> Self {
        let [_, _, s, _] = k.dims();
        let hidden = (n < s).then(|| hidden_behind(n, s, &k.device()));
        Self { k, v, n, hidden }
    }

    /// The null pair and these patches.
    pub(crate) fn select(&self, patches: &Chosen) -> Self {
        let columns = patches.columns();
        let select = |x: &Tensor<4>| x.clone().select(2, columns.clone()); // [B, G, 1 + K, D]
        Self::of(select(&self.k), select(&self.v), 1 + patches.n)
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> u64 {
        bytes(&self.k) + bytes(&self.v)
    }

    /// Number of patches, without the null key.
    pub fn n_visual(&self) -> usize {
        self.n - 1
    }
}

impl CrossAttention {
    /// A block to be filled, in a decoder of these `heads`.
    pub fn new(d_model: usize, heads: Heads, sizes: CrossSizes, eps: f64, device: &Device) -> Self {
        let CrossSizes { n_kv_heads, bias, null } = sizes;
        let heads = Heads { n_kv_heads, ..heads };
        let (d_q, d_kv) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
        let pair = || (null == NullPair::Learned).then(|| zeros([d_kv], device));
        Self {
            text_norm: RmsNorm::new(d_model, eps, device),
            visual_norm: RmsNorm::new(d_model, eps, device),
            q_proj: Linear::new(d_model, d_q, bias, device),
            k_proj: Linear::new(d_model, d_kv, bias, device),
            v_proj: Linear::new(d_model, d_kv, bias, device),
            o_proj: Linear::new(d_q, d_model, Bias::Without, device),
            null_key: pair(),
            null_value: pair(),
            gate: Some(zeros([1], device)),
            together: None,
            heads,
        }
    }

    /// The same with k and v as one product, to be run.
    #[must_use]
    pub(crate) fn joined(mut self) -> Self {
        self.together = Together::of([&mut self.k_proj, &mut self.v_proj]);
        self
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        for linear in [&mut self.q_proj, &mut self.k_proj, &mut self.v_proj, &mut self.o_proj] {
            each(&mut linear.weight, Role::Product);
        }
    }

    /// Keys and values of each sample's visual tokens `[B, V, E]`, of which the first so many are no
    /// padding; of the null pair alone for a sample without a picture.
    pub fn keys(
        &self,
        visual: Vec<Option<(Tensor<3>, usize)>>,
        batch: usize,
        padding: Padding,
    ) -> Vec<VisualKeys> {
        if visual.is_empty() {
            return Vec::new();
        }
        let Heads { n_kv_heads: g, head_dim: d, .. } = self.heads;
        let device = self.visual_norm.weight.val().device();
        let null = |pair: &Option<Param<Tensor<1>>>| match pair {
            Some(pair) => pair.val().reshape([1, g, 1, d]).expand([batch, g, 1, d]),
            None => Tensor::zeros([batch, g, 1, d], &device),
        };
        let null = VisualKeys::of(null(&self.null_key), null(&self.null_value), 1);
        let pictures = visual.iter().flatten().cloned().collect();
        let mut projected = self.project(pictures, padding).into_iter();
        let joined = |null: &Tensor<4>, picture: Tensor<4>| {
            let [_, _, n, _] = picture.dims();
            let more = padding.rows(1 + n) - 1 - n;
            let filling = (more > 0).then(|| rows_of_zeros(null, 2, more));
            let all = [null.clone(), picture].into_iter().chain(filling).collect();
            Tensor::cat(all, 2) // [B, G, 1 + V, D]
        };
        let of_sample = |visual: Option<(Tensor<3>, usize)>| {
            let there = visual.and_then(|(_, n)| Some((projected.next()?, n)));
            match there {
                Some(((k, v), n)) => VisualKeys::of(joined(&null.k, k), joined(&null.v, v), 1 + n),
                None => null.clone(),
            }
        };
        visual.into_iter().map(of_sample).collect()
    }

    /// Keys and values `[B, G, V, D]` of pictures `[B, V, E]`, all projected together.
    fn project(
        &self,
        visual: Vec<(Tensor<3>, usize)>,
        padding: Padding,
    ) -> Vec<(Tensor<4>, Tensor<4>)> {
        if visual.is_empty() {
            return Vec::new();
        }
        let (visual, filled): (Vec<_>, Vec<usize>) = visual.into_iter().unzip();
        let lengths = lengths(&visual, 1);
        let visual = self.visual_norm.forward(pack(visual, 1, padding)); // [B, all V, E]
        let [batch, rows, _] = visual.dims();
        let filled = filled.iter().sum();
        let [k, v] = match &self.together {
            Some(together) if batch == 1 => {
                together.forward(visual, [filled; 2]).map(|rows| self.heads.split_rows(rows))
            }
            _ => counter::of_rows(rows, filled, || {
                let maps = [&self.k_proj, &self.v_proj];
                maps.map(|map| self.heads.split(map.forward(visual.clone()))) // [B, G, all V, D]
            }),
        };
        unpack(k, &lengths, 2).into_iter().zip(unpack(v, &lengths, 2)).collect()
    }

    /// What the texts of samples, one after another in `[B, T of all, E]`, of each so many rows,
    /// read: in the same places, to be added to them.
    pub fn read(
        &self,
        text: Tensor<3>,
        lengths: &[usize],
        samples: Vec<Reading<'_>>,
        padding: Padding,
    ) -> Tensor<3> {
        let all_filled = samples.iter().map(|sample| sample.filled).sum();
        let sights: Vec<_> = samples
            .into_iter()
            .map(|Reading { filled, keys, bias, mask, seen }| {
                let filled = (padding == Padding::Steps).then_some([filled, keys.n]);
                (keys, Terms { bias, mask, seen, filled })
            })
            .collect();
        let text = self.text_norm.forward(text);
        let [_, rows, _] = text.dims();
        let q = counter::of_rows(rows, all_filled, || self.q_proj.forward(text));
        let q = self.heads.split(q); // [B, H, all T, D]
        let hidden: Vec<_> = sights.iter().map(|sight| self.hidden(sight)).collect();
        let readable = sights.into_iter().zip(&hidden).map(|((keys, terms), hidden)| {
            let VisualKeys { k, v, .. } = keys;
            Readable { k, v, terms: Terms { bias: hidden.as_ref().or(terms.bias), ..terms } }
        });
        let read = attend_each(q, lengths, readable.collect(), padding); // [B, H, all T, D]
        let read = self.heads.merge(read); // [B, all T, H * D]
        let read = counter::of_rows(rows, all_filled, || self.o_proj.forward(read)); // [B, all T, E]
        match &self.gate {
            Some(gate) => read * gate.val().tanh().reshape([1, 1, 1]),
            None => read,
        }
    }

    /// The bias of a sample where it is not that of its terms: `[B or 1, 1, T or 1, 1 + V]`. Keys that
    /// fill others up are hidden, and the null key where there is no null pair.
    fn hidden(&self, (keys, terms): &(VisualKeys, Terms<'_>)) -> Option<Tensor<4>> {
        if self.null_key.is_some() {
            return keys.hidden.clone().filter(|_| terms.bias.is_none());
        }
        let bias = terms.bias.or(keys.hidden.as_ref());
        let ([_, _, s, _], device) = (keys.k.dims(), keys.k.device());
        let rest = Tensor::zeros([1, 1, 1, s - 1], &device);
        let null = Tensor::cat(vec![Tensor::full([1, 1, 1, 1], BLOCKED, &device), rest], 3);
        Some(match bias {
            Some(bias) => bias.clone() + null,
            None => null,
        })
    }

    /// Folds `tanh(gate)` into the output projection, for inference; a packed projection stays as
    /// it was rounded, and its gate beside it.
    #[must_use]
    pub fn fold_gate(mut self) -> Self {
        if let (Weight::Single(weight), Some(gate)) = (&self.o_proj.weight, &self.gate) {
            let scale = gate.val().tanh().reshape([1, 1]);
            self.o_proj.weight = Weight::Single(weight.clone().map(|weight| weight * scale));
            self.gate = None;
        }
        self
    }
}
