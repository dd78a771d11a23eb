//! Attention of a few queries, as in a decode step or a short question: bringing keys and values
//! into the order of products would cost more than it spares. Each key and each value is read once
//! for all query heads that share it.

use super::{Attention, Rows};
use rayon::prelude::*;
use rten_simd::{Isa, SimdOp};
use rten_vecmath::Softmax;

/// Sums of a scalar product that run side by side.
const LANES: usize = 16;

impl Attention<'_> {
    /// What [`run`](Self::run) gives, for few queries. `alone`: no other thread may help.
    pub(super) fn few(&self, alone: bool, out: &mut [f32], mut weights: Option<&mut [f32]>) {
        let &Self { queries, keys, heads, kv_heads, head_dim, .. } = self;
        let of_head = |head: usize| Head { attention: self, head }.dispatch();
        let read: Vec<Read> = match alone {
            true => (0..kv_heads).map(of_head).collect(),
            false => (0..kv_heads).into_par_iter().map(of_head).collect(),
        };
        let group = heads / kv_heads;
        for (kv_head, read) in read.iter().enumerate() {
            for row in 0..queries * group {
                let place = row / group * heads + kv_head * group + row % group;
                let values = &read.values[row * head_dim..][..head_dim];
                out[place * head_dim..][..head_dim].copy_from_slice(values);
                if let Some(weights) = &mut weights {
                    let shares = &read.weights[row * keys..][..keys];
                    weights[place * keys..][..keys].copy_from_slice(shares);
                }
            }
        }
    }
}

/// What the query heads of a key head have read, query by query.
struct Read {
    /// `[T, H / G, D]`.
    values: Vec<f32>,
    /// `[T, H / G, S]`.
    weights: Vec<f32>,
}

/// A key head.
struct Head<'a> {
    attention: &'a Attention<'a>,
    head: usize,
}

impl SimdOp for Head<'_> {
    type Output = Read;

    /// Plain loops: compiled for the instructions that were found, they are as fast.
    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Read {
        let Self { attention, head } = self;
        let &Attention { q, k, v, bias, scale, queries, keys, heads, kv_heads, head_dim, .. } =
            attention;
        let group = heads / kv_heads;
        let rows = queries * group;
        let row_of = |rows: Rows<'_>, row: usize, head: usize| row * rows.row + head * rows.head;
        let mut weights = vec![0.0; rows * keys];
        for key in 0..keys {
            let vector = &k.values[row_of(k, key, head)..][..head_dim];
            for row in 0..rows {
                let query = row_of(q, row / group, head * group + row % group);
                let query = &q.values[query..][..head_dim];
                weights[row * keys + key] = dot(query, vector) * scale;
            }
        }
        for (row, weights) in weights.chunks_exact_mut(keys).enumerate() {
            if let Some(bias) = bias {
                let bias = &bias[row / group * keys..][..keys];
                weights.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
            Softmax::new_mut(weights).eval(isa);
        }
        let mut values = vec![0.0; rows * head_dim];
        for key in 0..keys {
            let vector = &v.values[row_of(v, key, head)..][..head_dim];
            for (row, read) in values.chunks_exact_mut(head_dim).enumerate() {
                let share = weights[row * keys + key];
                read.iter_mut().zip(vector).for_each(|(read, value)| *read += share * value);
            }
        }
        Read { values, weights }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = left.remainder().iter().zip(right.remainder());
    let tail: f32 = tail.map(|(a, b)| a * b).sum();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in left.zip(right) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + tail
}
