//! What a request costs, counted before it runs.
//!
//! Convention (method, section 6): 2 FLOPs a multiply-add, aware of grouped heads, no causal
//! halving, three matrices in a SwiGLU. Norms, activations, softmax and embeddings are not
//! counted. An instrumented counter in the model's tests must give exactly these numbers.

mod decoder;
mod request;
mod shapes;

pub use decoder::Decode;
pub use request::{Keys, Kv, Looks, ModelShape, Prompt, Scopes};
pub use shapes::{
    ConnectorShape, CrossShape, DecoderShape, EncoderShape, PolicyShape, SelectorShape,
};

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

/// A number of floating-point operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flops(pub u64);

impl Flops {
    /// From a number of GFLOPs; `None` if it is not positive and finite.
    pub fn from_giga(giga: f64) -> Option<Self> {
        (giga.is_finite() && giga > 0.0).then(|| Self((giga * 1e9).round() as u64))
    }

    /// In GFLOPs.
    pub fn giga(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// In GFLOPs, rounded up to the sixth decimal place: a ceiling of this many is enough.
    pub fn giga_rounded_up(self) -> f64 {
        self.0.div_ceil(1000) as f64 / 1e6
    }
}

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..10_000_000_000 => write!(f, "{:.2} MFLOPs", self.0 as f64 / 1e6),
            _ => write!(f, "{:.2} GFLOPs", self.giga()),
        }
    }
}

impl Add for Flops {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Flops {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Flops {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<usize> for Flops {
    type Output = Self;
    fn mul(self, times: usize) -> Self {
        Self(self.0 * times as u64)
    }
}

impl Sum for Flops {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self(0), Add::add)
    }
}

/// FLOPs of a matrix product of `rows x inner` by `inner x columns`.
pub fn matmul(rows: usize, inner: usize, columns: usize) -> Flops {
    Flops(2 * rows as u64 * inner as u64 * columns as u64)
}
