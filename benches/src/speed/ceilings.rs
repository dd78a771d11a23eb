//! What the machine can do at best: the rate of a large matrix product, and of memory.
//!
//! Measured in the same run as the stages and between them, so that both see the same machine. A
//! ceiling is the best of all tries: whatever disturbs makes it lower, never higher.

use super::clock::Clock;
use super::shapes::uniform;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// Side of the product's matrices.
const SIDE: usize = 1024;
/// Numbers in a buffer for memory: beyond every cache.
const BUFFER: usize = 64 << 20;
/// Numbers that one thread takes at a time.
const PIECE: usize = 1 << 16;

/// The best of what was seen with a number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Threads.
    pub threads: usize,
    /// Rate of a product of two square matrices of side 1024 in single precision, GFLOP/s.
    pub matmul_gflops: f64,
    /// Bytes read and written by a copy, GB/s.
    pub copy_gb_per_s: f64,
    /// Bytes read by a sum, GB/s.
    pub read_gb_per_s: f64,
}

/// What ceilings are measured with.
#[derive(Debug)]
pub struct Probe {
    a: Tensor<2>,
    b: Tensor<2>,
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Probe {
    /// Takes memory for the buffers.
    pub fn new(device: &Device) -> Self {
        let matrix = |seed| {
            let values = uniform(SIDE * SIDE, 1.0, seed);
            Tensor::from_data(TensorData::new(values, [SIDE, SIDE]), device)
        };
        let buffer = || vec![1.0_f32; BUFFER];
        Self { a: matrix(1), b: matrix(2), from: buffer(), to: buffer() }
    }

    /// One try on the threads that this runs on.
    pub fn sample(&mut self, threads: usize, clock: Clock) -> Ceiling {
        let product = clock.seconds(|| {
            let product = self.a.clone().matmul(self.b.clone());
            black_box(product.into_data());
        });
        let copy = clock.seconds(|| {
            let pieces = self.to.par_chunks_mut(PIECE).zip(self.from.par_chunks(PIECE));
            pieces.for_each(|(to, from)| to.copy_from_slice(from));
            black_box(&self.to);
        });
        let read = clock.seconds(|| {
            black_box(self.from.par_chunks(PIECE).map(sum).sum::<f32>());
        });
        let bytes = (BUFFER * size_of::<f32>()) as f64;
        Ceiling {
            threads,
            matmul_gflops: 2.0 * (SIDE as f64).powi(3) / product / 1e9,
            copy_gb_per_s: 2.0 * bytes / copy / 1e9,
            read_gb_per_s: bytes / read / 1e9,
        }
    }
}

/// A sum in several parts, so that it waits for memory and not for additions.
fn sum(values: &[f32]) -> f32 {
    const LANES: usize = 64;
    let mut lanes = [0.0_f32; LANES];
    for part in values.chunks_exact(LANES) {
        lanes.iter_mut().zip(part).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter().sum()
}

impl Ceiling {
    /// The better of two tries, figure by figure.
    #[must_use]
    pub fn or_better(self, other: Self) -> Self {
        Self {
            threads: self.threads,
            matmul_gflops: self.matmul_gflops.max(other.matmul_gflops),
            copy_gb_per_s: self.copy_gb_per_s.max(other.copy_gb_per_s),
            read_gb_per_s: self.read_gb_per_s.max(other.read_gb_per_s),
        }
    }

    /// Seconds below which work of this size cannot come: the longer of computing and of moving.
    pub fn floor(&self, gflops: f64, bytes: u64) -> f64 {
        let compute = gflops / self.matmul_gflops;
        let memory = bytes as f64 / 1e9 / self.read_gb_per_s;
        compute.max(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_longer_of_computing_and_moving() {
        let ceiling =
            Ceiling { threads: 1, matmul_gflops: 100.0, copy_gb_per_s: 20.0, read_gb_per_s: 10.0 };
        assert_eq!(ceiling.floor(200.0, 1_000_000_000), 2.0);
        assert_eq!(ceiling.floor(1.0, 50_000_000_000), 5.0);
    }

    #[test]
    fn a_ceiling_is_the_best_of_its_tries() {
        let one =
            Ceiling { threads: 2, matmul_gflops: 1.0, copy_gb_per_s: 5.0, read_gb_per_s: 2.0 };
        let other = Ceiling { matmul_gflops: 3.0, copy_gb_per_s: 4.0, ..one };
        let best = one.or_better(other);
        assert_eq!((best.matmul_gflops, best.copy_gb_per_s, best.read_gb_per_s), (3.0, 5.0, 2.0));
    }
}
