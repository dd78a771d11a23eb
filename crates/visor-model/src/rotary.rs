//! Rotary position tables, built once from explicit positions.
//!
//! Half-split ("rotate half") layout of Hugging Face Llama and Qwen2: pair `i` is made of the
//! values `i` and `i + D/2`.

use crate::{host, ragged};
use burn::tensor::{Device, Tensor, TensorData};
use visor_core::{Padding, Rotary};

/// Where a token stands: row and column coincide for text and for one-dimensional positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Turns the first half of the pairs under two-dimensional positions.
    pub row: usize,
    /// Turns the second half.
    pub column: usize,
}

impl Position {
    /// A token at index `p` of the dense prompt.
    pub fn at(p: usize) -> Self {
        Self { row: p, column: p }
    }
}

/// How angles follow from positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RotaryConfig {
    /// The scheme.
    pub scheme: Rotary,
    /// Base of the wavelengths.
    pub base: f64,
    /// Width of a head.
    pub head_dim: usize,
}

/// Cosines and sines of the tokens of a batch, `[B or 1, 1, S, D/2]` each.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl RotaryConfig {
    /// The table for one list of positions a row of the batch; all lists are equally long.
    pub fn table(&self, rows: &[Vec<Position>], device: &Device) -> RotaryTable {
        let (batch, tokens) = (rows.len(), rows.first().map_or(0, Vec::len));
        let pairs = self.head_dim / 2;
        let angles: Vec<f64> = rows
            .iter()
            .flatten()
            .flat_map(|&position| (0..pairs).map(move |pair| self.angle(position, pair)))
            .collect();
        let lift = |values: Vec<f32>| {
            Tensor::from_data(TensorData::new(values, [batch, 1, tokens, pairs]), device)
        };
        RotaryTable {
            cos: lift(angles.iter().map(|a| a.cos() as f32).collect()),
            sin: lift(angles.iter().map(|a| a.sin() as f32).collect()),
        }
    }

    fn angle(&self, position: Position, pair: usize) -> f64 {
        let pairs = self.head_dim / 2;
        let (place, index, count) = match self.scheme {
            Rotary::OneD => (position.row, pair, pairs),
            Rotary::TwoD if pair < pairs / 2 => (position.row, pair, pairs / 2),
            Rotary::TwoD => (position.column, pair - pairs / 2, pairs - pairs / 2),
        };
        f64::from(place as f32 * inverse_frequency(self.base, index, count))
    }
}

/// How fast pair `index` of `count` turns, rounded wherever `transformers` rounds
/// (`compute_default_rope_parameters` of `modeling_llama.py`): the exponent to f32, its power to f32,
/// and that one's inverse once more. Positions multiply what is off, so that long prompts show it.
fn inverse_frequency(base: f64, index: usize, count: usize) -> f32 {
    let exponent = (2 * index) as f32 / (2 * count) as f32;
    1.0 / base.powf(f64::from(exponent)) as f32
}

impl RotaryTable {
    /// Turns queries or keys `[B, H, S, D]`.
    pub fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        host::turn(x, &self.cos, &self.sin).unwrap_or_else(|x| {
            let [_, _, _, d] = x.dims();
            let first = x.clone().narrow(3, 0, d / 2); // [B, H, S, D/2]
            let second = x.narrow(3, d / 2, d / 2); // [B, H, S, D/2]
            let (cos, sin) = (self.cos.clone(), self.sin.clone());
            let turned_first = first.clone() * cos.clone() - second.clone() * sin.clone();
            let turned_second = second * cos + first * sin;
            Tensor::cat(vec![turned_first, turned_second], 3)
        })
    }

    /// The table of the first `tokens` alone.
    #[must_use]
    pub fn first(&self, tokens: usize) -> Self {
        let first = |table: &Tensor<4>| table.clone().narrow(2, 0, tokens);
        Self { cos: first(&self.cos), sin: first(&self.sin) }
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        let [_, _, s, _] = self.cos.dims();
        s
    }

    /// The table of the tokens of all `tables`, one after another, filled up with the rows.
    #[must_use]
    pub fn joined<'a>(tables: impl Iterator<Item = &'a Self>, padding: Padding) -> Self {
        let (cos, sin) = tables.map(|table| (table.cos.clone(), table.sin.clone())).unzip();
        let join = |halves| ragged::pack(halves, 2, padding); // [B, 1, S, D/2]
        Self { cos: join(cos), sin: join(sin) }
    }

    /// A table for every token.
    pub fn each(&self) -> Vec<Self> {
        let ones = vec![1; self.n_tokens()];
        let each = |half: &Tensor<4>| ragged::unpack(half.clone(), &ones, 2); // [B, 1, 1, D/2]
        let halves = each(&self.cos).into_iter().zip(each(&self.sin));
        halves.map(|(cos, sin)| Self { cos, sin }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `tools/export_rotary_golden.py`.
    const GOLDEN: &str = include_str!("../tests/goldens/rotary.txt");

    #[test]
    fn frequencies_of_real_bases_and_widths_are_those_of_transformers() {
        let (mut all, mut equal) = (0, 0);
        for line in GOLDEN.lines() {
            let mut values = line.split(' ');
            let base: f64 = values.next().expect("a base").parse().expect("a number");
            let width: usize = values.next().expect("a width").parse().expect("a number");
            let recorded: Vec<f32> = values.map(|value| value.parse().expect("f32")).collect();
            assert_eq!(recorded.len(), width / 2, "{base} {width}");
            for (pair, recorded) in recorded.into_iter().enumerate() {
                let ours = inverse_frequency(base, pair, width / 2);
                // Both are positive, so that neighbours differ by one in their bits.
                let apart = ours.to_bits().abs_diff(recorded.to_bits());
                assert!(apart <= 2, "{base} {width} {pair}: {ours} and {recorded}");
                (all, equal) = (all + 1, equal + usize::from(apart == 0));
            }
        }
        // The powers of torch are not all rounded to the nearest.
        assert_eq!((all, equal), (384, 379));
    }
}
