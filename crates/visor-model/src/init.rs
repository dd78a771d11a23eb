//! First values for a network that is trained from scratch.
//!
//! Mimetic initialisation: queries and keys of a block start from the
//! same random matrix, values and outputs near the identity, so that attention first compares like
//! with like and passes on what it finds. The connector starts as the identity, through
//! `gelu(x) - gelu(-x) = x`, and the position of a patch as the sum of two vectors, of its row and
//! of its column. Where these are the words that name them, looking up a place is almost there
//! before training; where they are vectors of their own, that has to be learned.
//!
//! Values come from names and shapes alone, through a generator written down here, so that a seed
//! means the same network on every machine.

use crate::error::ModelError;
use crate::network::Network;
use crate::weights;
use burn::tensor::Device;
use std::collections::BTreeMap;

/// What a from-scratch network should know before training.
#[derive(Clone, Debug)]
pub struct FromScratch {
    /// Seed of all values.
    pub seed: u64,
    /// What the position of a patch is made of.
    pub places: Places,
}

/// What the position of a patch is the sum of.
#[derive(Clone, Debug)]
pub enum Places {
    /// The words that a question names them by.
    Words {
        /// Token ids of the words that name the rows of the grid, top first.
        rows: Vec<u32>,
        /// Token ids of the words that name the columns, left first.
        columns: Vec<u32>,
    },
    /// Vectors that no word shares.
    Own {
        /// Rows of the grid.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
}

const EMBEDDING_NAME: &str = "decoder.embed_tokens.weight";
/// Spread of the token embedding.
const EMBEDDING: f32 = 0.3;
/// Weight of the final norm: keeps the first logits small under a tied head.
const FINAL_NORM: f32 = 0.5;
/// First gate of cross-attention. Zero protects a pre-trained text model; there is none here, and
/// with tanh(1) = 0.76 cross-attention learns from the first step.
const GATE: f32 = 1.0;

impl FromScratch {
    /// Fills `network`.
    ///
    /// # Errors
    /// None of its own.
    pub fn fill(&self, network: Network, device: &Device) -> Result<Network, ModelError> {
        let mut shared: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        weights::fill(network, device, &mut |name, shape| {
            let mut noise = Noise::new(self.seed, name);
            let mut values = value(name, shape, &mut noise, self.seed, &mut shared);
            if let ("vision.embeddings.position_embedding.weight", &[_, width]) = (name, shape) {
                self.name_places(&mut values, width);
            }
            Ok(values)
        })
    }

    /// Sets the position of each patch to the sum of the vectors of its row and its column, where
    /// the grid is as large as the table.
    fn name_places(&self, table: &mut [f32], width: usize) {
        let (rows, columns) = self.places.vectors(self.seed, width);
        if table.len() != rows.len() * columns.len() * width {
            return;
        }
        for (place, values) in table.chunks_mut(width).enumerate() {
            let (row, column) = (&rows[place / columns.len()], &columns[place % columns.len()]);
            for ((value, row), column) in values.iter_mut().zip(row).zip(column) {
                *value = row + column;
            }
        }
    }
}

impl Places {
    /// A vector for every row and for every column.
    fn vectors(&self, seed: u64, width: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        match self {
            Self::Words { rows, columns } => {
                let last = rows.iter().chain(columns).max().copied().unwrap_or(0);
                // A stream is read in order, so its beginning is that of the embedding table.
                let n_values = (last as usize + 1) * width;
                let words = Noise::new(seed, EMBEDDING_NAME).normal(n_values, EMBEDDING);
                let word = |&id: &u32| words[id as usize * width..][..width].to_vec();
                (rows.iter().map(word).collect(), columns.iter().map(word).collect())
            }
            &Self::Own { rows, columns } => {
                let vectors = |name: &str, n: usize| {
                    let values = Noise::new(seed, name).normal(n * width, EMBEDDING);
                    values.chunks(width).map(<[f32]>::to_vec).collect()
                };
                (vectors("places.rows", rows), vectors("places.columns", columns))
            }
        }
    }
}

/// The first value of one parameter.
fn value(
    name: &str,
    shape: &[usize],
    noise: &mut Noise,
    seed: u64,
    shared: &mut BTreeMap<String, Vec<f32>>,
) -> Vec<f32> {
    let n: usize = shape.iter().product();
    let (block, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let (parent, part) = block.rsplit_once('.').unwrap_or(("", block));
    if leaf == "gate" {
        return vec![GATE; n];
    }
    if leaf == "null_key" || leaf == "null_value" {
        return noise.normal(n, 0.02);
    }
    if leaf == "bias" || block == "conditional" {
        return vec![0.0; n];
    }
    if block == "decoder.norm" {
        return vec![FINAL_NORM; n];
    }
    match (part, shape) {
        (_, &[_]) => vec![1.0; n],
        ("embed_tokens", _) => noise.normal(n, EMBEDDING),
        ("position_embedding", _) => noise.normal(n, 0.02),
        ("q_proj" | "k_proj", &[_, d_in]) => {
            let spread = (d_in as f32).powf(-0.5);
            let common = shared
                .entry(format!("{parent}.{n}"))
                .or_insert_with(|| Noise::new(seed, parent).normal(n, spread));
            let own = noise.normal(n, 0.3 * spread);
            common.iter().zip(own).map(|(common, own)| common + own).collect()
        }
        ("v_proj" | "o_proj" | "out_proj", &[_, d_in]) => {
            let own = noise.normal(n, 0.4 * (d_in as f32).powf(-0.5));
            (0..n).map(|i| own[i] + if i / d_in == i % d_in { 0.7 } else { 0.0 }).collect()
        }
        ("linear_1", &[d_hidden, d_in]) if d_hidden >= 2 * d_in => {
            let rest = noise.normal(n, (d_in as f32).powf(-0.5));
            (0..n).map(|i| through(i / d_in, i % d_in, d_in).unwrap_or(rest[i])).collect()
        }
        ("linear_2", &[d_out, d_hidden]) if d_hidden >= 2 * d_out => {
            let rest = noise.normal(n, 0.5 * (d_hidden as f32).powf(-0.5));
            (0..n).map(|i| through(i % d_hidden, i / d_hidden, d_out).unwrap_or(rest[i])).collect()
        }
        (_, &[_, ref inner @ ..]) => {
            let fan_in: usize = inner.iter().product();
            noise.normal(n, (fan_in as f32).powf(-0.5))
        }
        (_, &[]) => vec![0.0; n],
    }
}

/// Hidden units `0..d` carry `+x`, units `d..2d` carry `-x`: the identity through a GELU.
fn through(hidden: usize, value: usize, d: usize) -> Option<f32> {
    match hidden / d {
        0 => Some(if hidden == value { 1.0 } else { 0.0 }),
        1 => Some(if hidden - d == value { -1.0 } else { 0.0 }),
        _ => None,
    }
}

/// SplitMix64, turned into normal numbers as sums of twelve uniform ones: no function that differs
/// between machines.
#[derive(Debug)]
pub struct Noise(u64);

impl Noise {
    /// A stream of its own for every name.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number in `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A uniform index below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// `n` numbers of mean 0 and the given spread.
    pub fn normal(&mut self, n: usize, spread: f32) -> Vec<f32> {
        (0..n).map(|_| ((0..12).map(|_| self.uniform()).sum::<f32>() - 6.0) * spread).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_give_the_same_numbers_everywhere() {
        let mut noise = Noise::new(7, "decoder.layers.0.mlp.gate_proj.weight");
        assert_eq!(noise.bits(), Noise::new(7, "decoder.layers.0.mlp.gate_proj.weight").bits());
        assert_ne!(noise.bits(), Noise::new(8, "decoder.layers.0.mlp.gate_proj.weight").bits());
        let values = Noise::new(1, "x").normal(20_000, 2.0);
        let mean = values.iter().sum::<f32>() / 2e4;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 2e4;
        assert!(mean.abs() < 0.05 && (variance - 4.0).abs() < 0.15, "{mean} {variance}");
    }
}
