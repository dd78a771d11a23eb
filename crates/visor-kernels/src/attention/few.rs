//! Attention of a few queries, as in a decode step or a short question: bringing keys and values
//! into the order of products would cost more than it spares. Each key and each value is read once
//! for all query heads that share it.

use super::{Attention, Rows};
use crate::rows::products;
use rayon::prelude::*;
use rten_simd::{Isa, SimdOp};
use rten_vecmath::Softmax;

/// Keys whose values are added at a time, so that what is read is not stored and loaded for each.
const TOGETHER: usize = 4;

impl Attention<'_> {
    /// What [`run`](Self::run) gives, for few queries. `alone`: no other thread may help.
    pub(super) fn few(&self, alone: bool, out: &mut [f32], mut weights: Option<&mut [f32]>) {
        let heads = 0..self.kv_heads;
        let read = |head: usize, read: &mut Read| Head { attention: self, head, read }.dispatch();
        if alone {
            let mut own = self.nothing_read();
            for head in heads {
                read(head, &mut own);
                self.place(head, &own, out, weights.as_deref_mut());
            }
            return;
        }
        let of_head = |head: usize| {
            let mut own = self.nothing_read();
            read(head, &mut own);
            own
        };
        let each: Vec<Read> = heads.into_par_iter().map(of_head).collect();
        for (head, read) in each.iter().enumerate() {
            self.place(head, read, out, weights.as_deref_mut());
        }
    }

    fn nothing_read(&self) -> Read {
        let rows = self.queries * (self.heads / self.kv_heads);
        Read { values: vec![0.0; rows * self.head_dim], weights: vec![0.0; rows * self.keys] }
    }

    /// Puts what the query heads of a key head have read to those of the others.
    fn place(&self, kv_head: usize, read: &Read, out: &mut [f32], weights: Option<&mut [f32]>) {
        let &Self { queries, keys, heads, kv_heads, head_dim, .. } = self;
        let group = heads / kv_heads;
        let place = |row: usize| row / group * heads + kv_head * group + row % group;
        for (row, values) in read.values.chunks_exact(head_dim).enumerate() {
            out[place(row) * head_dim..][..head_dim].copy_from_slice(values);
        }
        let Some(weights) = weights else { return };
        for (row, shares) in (0..queries * group).zip(read.weights.chunks_exact(keys)) {
            weights[place(row) * keys..][..keys].copy_from_slice(shares);
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
    /// Where goes what is read.
    read: &'a mut Read,
}

impl SimdOp for Head<'_> {
    type Output = ();

    /// Plain loops: compiled for the instructions that were found, they are as fast.
    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { attention, head, read: Read { values, weights } } = self;
        let &Attention { q, k, v, bias, scale, queries, keys, heads, kv_heads, head_dim, .. } =
            attention;
        let group = heads / kv_heads;
        let rows = queries * group;
        let row_of = |rows: Rows<'_>, row: usize, head: usize| row * rows.row + head * rows.head;
        for key in 0..keys {
            let vector = &k.values[row_of(k, key, head)..][..head_dim];
            for row in 0..rows {
                let query = row_of(q, row / group, head * group + row % group);
                let query = &q.values[query..][..head_dim];
                weights[row * keys + key] = products(query, vector) * scale;
            }
        }
        for (row, weights) in weights.chunks_exact_mut(keys).enumerate() {
            if let Some(bias) = bias {
                let bias = &bias[row / group * keys..][..keys];
                weights.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
            Softmax::new_mut(weights).eval(isa);
        }
        values.fill(0.0);
        let value = |key: usize| &v.values[row_of(v, key, head)..][..head_dim];
        let whole = keys - keys % TOGETHER;
        for first in (0..whole).step_by(TOGETHER) {
            let [a, b, c, d] = std::array::from_fn(|i| value(first + i));
            for (row, read) in values.chunks_exact_mut(head_dim).enumerate() {
                let shares = &weights[row * keys + first..][..TOGETHER];
                let four = a.iter().zip(b).zip(c.iter().zip(d));
                for (read, ((a, b), (c, d))) in read.iter_mut().zip(four) {
                    *read += (shares[0] * a + shares[1] * b) + (shares[2] * c + shares[3] * d);
                }
            }
        }
        for key in whole..keys {
            for (row, read) in values.chunks_exact_mut(head_dim).enumerate() {
                let share = weights[row * keys + key];
                read.iter_mut().zip(value(key)).for_each(|(read, value)| *read += share * value);
            }
        }
    }
}
