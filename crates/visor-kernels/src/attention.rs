//! Attention: `softmax(q k^T * scale + bias) v`, a block of queries at a time.
//!
//! A block's scores stay in the cache between the two products and the softmax, which is taken over
//! whole rows: weights are those of the formula, not of a running maximum, and can be handed out.
//! Keys and values are brought into the order of the products once a head. Keys that no query of a
//! block may read are left out where they stand behind all others, as in a causal prompt.

mod few;

use crate::rows::is_alone;
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{Isa, SimdOp};
use rten_tensor::NdTensorView;
use rten_vecmath::Softmax;

/// `[N, H, D]` queries, keys or values: row `i` of head `h` begins at `i * row + h * head`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// From the first value on.
    pub values: &'a [f32],
    /// From a row to the next.
    pub row: usize,
    /// From a head to the next.
    pub head: usize,
}

impl<'a> Rows<'a> {
    /// The first rows of a head as a matrix.
    fn matrix(self, head: usize, shape: [usize; 2]) -> NdTensorView<'a, f32, 2> {
        let values = &self.values[head * self.head..];
        NdTensorView::from_slice_with_strides(shape, values, [self.row, 1])
            .expect("the slice holds every row")
    }
}

/// What attends to what.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// `[T, H, D]`.
    pub q: Rows<'a>,
    /// `[S, G, D]`, where `G` divides `H`: each head of it serves `H / G` query heads.
    pub k: Rows<'a>,
    /// `[S, G, D]`.
    pub v: Rows<'a>,
    /// `[T, S]`: 0 where a query may read a key, and below `hidden` where it may not; `None` where
    /// everything may be read.
    pub bias: Option<&'a [f32]>,
    /// A bias below this leaves no share to a key.
    pub hidden: f32,
    /// Factor of the scores.
    pub scale: f32,
    /// `T`.
    pub queries: usize,
    /// `S`.
    pub keys: usize,
    /// `H`.
    pub heads: usize,
    /// `G`.
    pub kv_heads: usize,
    /// `D`.
    pub head_dim: usize,
}

/// Multiplications from which on work is shared out among threads: handing over less costs more.
const SHARED: usize = 1 << 18;
/// So many queries do not pay for bringing keys and values into the order of products.
const FEW: usize = 8;
/// Most queries of a block.
const BLOCK: usize = 64;
/// Scores of a block and a head: half of a small second-level cache.
const SCORES: usize = 1 << 16;
/// Prefixes of the keys that there are products for, where some are hidden from some queries.
const PREFIXES: usize = 4;

/// The first `keys` keys and values of a head, in the order of the products.
struct Prefix {
    keys: usize,
    k: PackedBMatrix<f32>,
    v: PackedBMatrix<f32>,
}

impl Attention<'_> {
    /// The values that the queries read, `[T, H, D]`, and their weights, `[T, H, S]`, where somebody
    /// looks.
    ///
    /// # Panics
    /// If the sizes contradict the slices.
    pub fn run(&self, weights: Option<&mut [f32]>) -> Vec<f32> {
        let mut out = vec![0.0; self.queries * self.heads * self.head_dim];
        self.run_into(&mut out, weights);
        out
    }

    /// The same into `out`, which is zeros.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_into(&self, out: &mut [f32], weights: Option<&mut [f32]>) {
        let &Self { queries, keys, heads, head_dim, .. } = self;
        let width = heads * head_dim;
        assert_eq!(out.len(), queries * width, "[T, H, D] values");
        if out.is_empty() || keys == 0 {
            return;
        }
        let alone = is_alone() || queries * heads * keys * head_dim < SHARED;
        if let Some(weights) = &weights {
            assert_eq!(weights.len(), queries * heads * keys, "[T, H, S] weights");
        }
        if queries < FEW {
            return self.few(alone, out, weights);
        }
        let gemm = GemmExecutor::<f32>::new();
        let heads_of = 0..self.kv_heads;
        let packed: Vec<Vec<Prefix>> = match alone {
            true => heads_of.map(|head| self.prefixes(&gemm, head)).collect(),
            false => heads_of.into_par_iter().map(|head| self.prefixes(&gemm, head)).collect(),
        };
        let fair = queries.div_ceil(rayon::current_num_threads());
        let block = (SCORES / keys).clamp(8, BLOCK).min(fair).max(1);
        let (piece, looks) = (block * width, block * heads * keys);
        let first = |index: usize| index * block;
        let task = |first: usize, out: &mut [f32], weights: Option<&mut [f32]>| {
            self.block(&gemm, &packed, first, out, weights);
        };
        match weights {
            None if alone => {
                let blocks = out.chunks_mut(piece).enumerate();
                blocks.for_each(|(i, out)| task(first(i), out, None));
            }
            None => {
                let blocks = out.par_chunks_mut(piece).enumerate();
                blocks.for_each(|(i, out)| task(first(i), out, None));
            }
            Some(weights) => {
                let blocks = out.par_chunks_mut(piece).enumerate();
                let blocks = blocks.zip(weights.par_chunks_mut(looks));
                blocks.for_each(|((i, out), weights)| task(first(i), out, Some(weights)));
            }
        }
    }

    /// Brings keys and values of a head into order.
    fn prefixes(&self, gemm: &GemmExecutor<f32>, head: usize) -> Vec<Prefix> {
        let &Self { k, v, keys, head_dim, .. } = self;
        let n = if self.bias.is_some() { PREFIXES.min(keys.div_ceil(BLOCK)) } else { 1 };
        let prefix = |part: usize| {
            let keys = (keys * part).div_ceil(n);
            let shape = [keys, head_dim];
            let k = gemm.prepack_b(k.matrix(head, shape).transposed());
            Prefix { keys, k, v: gemm.prepack_b(v.matrix(head, shape)) }
        };
        (1..=n).map(prefix).collect()
    }

    /// The queries from `first` on, as many as `out` has room for.
    fn block(
        &self,
        gemm: &GemmExecutor<f32>,
        packed: &[Vec<Prefix>],
        first: usize,
        out: &mut [f32],
        mut weights: Option<&mut [f32]>,
    ) {
        let &Self { q, keys, heads, kv_heads, head_dim, scale, .. } = self;
        let rows = out.len() / (heads * head_dim);
        let bias: Vec<Hidden<'_>> = (first..first + rows).map(|row| self.hidden(row)).collect();
        let seen = bias.iter().map(|row| row.seen).max().unwrap_or(keys);
        let at = packed[0].iter().position(|prefix| prefix.keys >= seen);
        let mut scores = Vec::new();
        let mut read = vec![0.0; rows * head_dim];
        for head in 0..heads {
            let prefixes = &packed[head / (heads / kv_heads)];
            let Some(prefix) = at.and_then(|at| prefixes.get(at)) else { continue };
            scores.resize(rows * prefix.keys, 0.0);
            let queries = Rows { values: &q.values[first * q.row..], ..q };
            let view = queries.matrix(head, [rows, head_dim]);
            let options = GemmOptions { alpha: scale, ..GemmOptions::default() };
            gemm.gemm(
                &mut scores,
                GemmInputA::Unpacked(view),
                GemmInputB::Packed(&prefix.k),
                options,
            )
            .expect("shapes follow from each other");
            for (scores, bias) in scores.chunks_exact_mut(prefix.keys).zip(&bias) {
                if let Some(values) = bias.values {
                    let place = bias.clear..prefix.keys;
                    Add { to: &mut scores[place.clone()], from: &values[place] }.dispatch();
                }
                Softmax::new_mut(scores).dispatch();
            }
            if let Some(weights) = &mut weights {
                for (row, scores) in scores.chunks_exact(prefix.keys).enumerate() {
                    let to = &mut weights[(row * heads + head) * keys..][..keys];
                    to[..prefix.keys].copy_from_slice(scores);
                    to[prefix.keys..].fill(0.0);
                }
            }
            let scores = NdTensorView::from_data([rows, prefix.keys], scores.as_slice());
            let scores = GemmInputA::Unpacked(scores);
            gemm.gemm(&mut read, scores, GemmInputB::Packed(&prefix.v), GemmOptions::default())
                .expect("shapes follow from each other");
            for (row, read) in read.chunks_exact(head_dim).enumerate() {
                out[(row * heads + head) * head_dim..][..head_dim].copy_from_slice(read);
            }
        }
    }

    /// What a query may not read.
    fn hidden(&self, row: usize) -> Hidden<'_> {
        let Some(bias) = self.bias else {
            return Hidden { values: None, clear: self.keys, seen: self.keys };
        };
        let values = &bias[row * self.keys..][..self.keys];
        let clear = values.iter().position(|&bias| bias != 0.0).unwrap_or(self.keys);
        let seen = values.iter().rposition(|&bias| bias > self.hidden).map_or(0, |at| at + 1);
        // A row that may read nothing shares its attention among all, as the formula has it.
        let seen = if seen == 0 { self.keys } else { seen };
        Hidden { values: (clear < self.keys).then_some(values), clear, seen }
    }
}

/// The bias of a query.
struct Hidden<'a> {
    /// All of it; `None` where it is 0 throughout.
    values: Option<&'a [f32]>,
    /// How many keys have a bias of 0 before the first other one.
    clear: usize,
    /// Behind the last key that is not hidden.
    seen: usize,
}

struct Add<'a> {
    to: &'a mut [f32],
    from: &'a [f32],
}

impl SimdOp for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        self.to.iter_mut().zip(self.from).for_each(|(to, from)| *to += from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use proptest::prelude::*;

    const HIDDEN: f32 = -3e4;

    fn obvious(a: &Attention<'_>) -> Vec<f64> {
        let mut out = Vec::new();
        for t in 0..a.queries {
            for h in 0..a.heads {
                let g = h / (a.heads / a.kv_heads);
                let value = |rows: Rows<'_>, row: usize, head: usize, i: usize| {
                    rows.values[row * rows.row + head * rows.head + i]
                };
                let score = |s: usize| {
                    let dot: f64 = (0..a.head_dim)
                        .map(|i| f64::from(value(a.q, t, h, i)) * f64::from(value(a.k, s, g, i)))
                        .sum();
                    let bias = a.bias.map_or(0.0, |bias| bias[t * a.keys + s]);
                    (dot * f64::from(a.scale) + f64::from(bias)) as f32
                };
                let scores: Vec<f32> = (0..a.keys).map(score).collect();
                let weights = reference::softmax(&scores);
                for i in 0..a.head_dim {
                    let term = |(s, w): (usize, &f64)| w * f64::from(value(a.v, s, g, i));
                    out.push(weights.iter().enumerate().map(term).sum());
                }
            }
        }
        out
    }

    /// Which keys a query may read.
    #[derive(Clone, Copy, Debug)]
    enum Reads {
        All,
        Past,
        Gaps,
    }

    fn bias(reads: Reads, queries: usize, keys: usize) -> Option<Vec<f32>> {
        let may = |t: usize, s: usize| match reads {
            Reads::All => true,
            // The last query reads everything.
            Reads::Past => s + queries <= t + keys,
            Reads::Gaps => s == 0 || !(s * 7 + t).is_multiple_of(3),
        };
        let all = (0..queries).flat_map(|t| (0..keys).map(move |s| (t, s)));
        let bias = all.map(|(t, s)| if may(t, s) { 0.0 } else { HIDDEN });
        match reads {
            Reads::All => None,
            Reads::Past | Reads::Gaps => Some(bias.collect()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn attention_is_its_formula_in_every_layout(
            queries in 1_usize..140,
            more in 0_usize..150,
            kv_heads in 1_usize..4,
            group in 1_usize..4,
            half in 1_usize..20,
            heads_first in any::<bool>(),
            reads in prop::sample::select(vec![Reads::All, Reads::Past, Reads::Gaps]),
        ) {
            let (keys, heads, head_dim) = (queries + more, kv_heads * group, 2 * half);
            let sizes = [(queries, heads), (keys, kv_heads), (keys, kv_heads)];
            let noise: Vec<Vec<f32>> = sizes
                .iter()
                .zip(0..)
                .map(|(&(n, heads), seed)| reference::noise(n * heads * head_dim, seed + 2))
                .collect();
            let rows = |i: usize| {
                let (n, heads) = sizes[i];
                let (row, head) = match heads_first {
                    true => (head_dim, n * head_dim),
                    false => (heads * head_dim, head_dim),
                };
                Rows { values: &noise[i], row, head }
            };
            let bias = bias(reads, queries, keys);
            let attention = Attention {
                q: rows(0), k: rows(1), v: rows(2), bias: bias.as_deref(), hidden: HIDDEN / 2.0,
                scale: 0.7, queries, keys, heads, kv_heads, head_dim,
            };
            let mut weights = vec![7.0; queries * heads * keys];
            let got = attention.run(Some(&mut weights));
            for (want, &got) in obvious(&attention).iter().zip(&got) {
                prop_assert!((want - f64::from(got)).abs() < 1e-5, "{want} {got}");
            }
            // Who looks on changes nothing.
            prop_assert_eq!(&attention.run(None), &got);
            for (t, of_query) in weights.chunks(heads * keys).enumerate() {
                for row in of_query.chunks(keys) {
                    prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
                    if let Some(bias) = &bias {
                        let hidden = row.iter().zip(&bias[t * keys..]).filter(|(_, b)| **b != 0.0);
                        prop_assert!(hidden.map(|(w, _)| *w).all(|w| w == 0.0));
                    }
                }
            }
        }
    }

    #[test]
    fn a_hidden_key_changes_no_bit_whatever_it_holds() {
        let (n, head_dim) = (150, 8);
        let mut values: Vec<Vec<f32>> =
            (0..3).map(|i| reference::noise(n * head_dim, i + 9)).collect();
        let bias = bias(Reads::Past, n, n);
        let run = |values: &[Vec<f32>]| {
            let rows = |i: usize| Rows { values: &values[i], row: head_dim, head: 0 };
            Attention {
                q: rows(0),
                k: rows(1),
                v: rows(2),
                bias: bias.as_deref(),
                hidden: HIDDEN / 2.0,
                scale: 1.0,
                queries: n,
                keys: n,
                heads: 1,
                kv_heads: 1,
                head_dim,
            }
            .run(None)
        };
        let before = run(&values);
        // The last key: nobody but the last query reads it.
        for rows in &mut values[1..] {
            rows[(n - 1) * head_dim..].fill(50.0);
        }
        let after = run(&values);
        let last = (n - 1) * head_dim;
        assert_eq!(before[..last], after[..last]);
        assert_ne!(before[last..], after[last..]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (n, head_dim) = (130, 16);
        let values: Vec<Vec<f32>> =
            (0..3).map(|i| reference::noise(n * head_dim, i + 20)).collect();
        let bias = bias(Reads::Past, n, n);
        let run = |threads: usize| {
            let rows = |i: usize| Rows { values: &values[i], row: head_dim, head: 0 };
            let attention = Attention {
                q: rows(0),
                k: rows(1),
                v: rows(2),
                bias: bias.as_deref(),
                hidden: HIDDEN / 2.0,
                scale: 1.0,
                queries: n,
                keys: n,
                heads: 1,
                kv_heads: 1,
                head_dim,
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| attention.run(None))
        };
        let one = run(1);
        for threads in [2, 3, 16] {
            assert_eq!(run(threads), one, "{threads} threads");
        }
    }
}
