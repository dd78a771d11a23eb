//! Matrices of weights in the order of their products, in single precision or fewer bytes, and their
//! products with rows of single precision.
//!
//! A product with one row reads every weight once and does nothing else to speak of, so that its
//! time is that of the bytes. Weights are brought into the order of the products once, while they
//! come, and there is no other copy of them.

mod builder;
mod dots;
mod dynamic;
mod format;
mod int8;
mod pairs;
mod panels;
mod share;
mod vnni;

pub use builder::{MatrixBuilder, MatrixFormat};
pub use int8::{MAX_INPUTS, Quantised};

use dynamic::Dynamic;
use format::{Bf16, F16, Int8, Single};
use pairs::Pairs;
use panels::{Ending, Panels};
use thiserror::Error;

/// Most rows of a tile: with two registers of weights a row's sums stay within the registers.
const TALLEST: usize = 12;

/// `[outputs, inputs]` weights, row by row as a linear map has them.
pub struct Matrix {
    store: Store,
    outputs: usize,
    inputs: usize,
}

enum Store {
    Single(Panels<Single, 2>),
    Bf16(Panels<Bf16, 2>),
    /// Rows are rounded to bf16 on the way in.
    Pairs(Pairs),
    F16(Panels<F16, 2>),
    /// Rows are rounded to eight bits on the way in.
    Int8(Dynamic),
    /// Rows stay as they are; a factor an output.
    Int8Rows(Panels<Int8, 4>, Vec<f32>),
}

/// Why weights cannot be held in a format.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MatrixError {
    /// The shape and the number of values contradict each other.
    #[error("{got} values do not fill a matrix of {outputs} x {inputs}")]
    Size {
        /// Rows.
        outputs: usize,
        /// Values of a row.
        inputs: usize,
        /// Values that there are.
        got: usize,
    },
    /// A value is beyond the largest of the format.
    #[error("value {value:e} at place {place} is beyond what {format} holds: use bf16")]
    Overflow {
        /// Where, counted through all rows.
        place: usize,
        /// The value.
        value: f32,
        /// The format.
        format: &'static str,
    },
    /// There is no memory for the weights.
    #[error("no memory for {outputs} x {inputs} weights: free some, or hold them in fewer bytes")]
    Memory {
        /// Rows.
        outputs: usize,
        /// Values of a row.
        inputs: usize,
    },
    /// Sums of that many products may leave 32 bits.
    #[error("rows of {inputs} values are too long for int8, at most {MAX_INPUTS}: use bf16")]
    TooWide {
        /// Values of a row.
        inputs: usize,
    },
}

impl Matrix {
    /// Holds values `[outputs, inputs]`, row by row, in a format.
    ///
    /// # Errors
    /// As those of [`MatrixBuilder`].
    pub fn new(
        format: MatrixFormat,
        values: &[f32],
        dims: [usize; 2],
    ) -> Result<Self, MatrixError> {
        let mut builder = MatrixBuilder::new(format, dims)?;
        builder.push(values)?;
        builder.finish()
    }

    /// `[outputs, inputs]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// Bytes that the weights take, with what goes with them.
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Single(panels) => panels.bytes(),
            Store::Bf16(panels) => panels.bytes(),
            Store::Pairs(pairs) => pairs.bytes(),
            Store::F16(panels) => panels.bytes(),
            Store::Int8(packed) => packed.bytes(),
            Store::Int8Rows(panels, scales) => panels.bytes() + size_of_val(scales.as_slice()),
        }
    }

    /// `x W^T + bias`: rows of `inputs` values to rows of `outputs`. Neither the number of threads
    /// nor the rows beside it change a bit of a row.
    ///
    /// # Panics
    /// If `x` is not whole rows, or the bias has another length.
    pub fn product(&self, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let &Self { outputs, inputs, .. } = self;
        assert!(bias.is_none_or(|bias| bias.len() == outputs), "a bias for every output");
        let rows = x.len().checked_div(inputs).unwrap_or(0);
        assert_eq!(x.len(), rows * inputs, "rows are whole");
        let mut out = vec![0.0; rows * outputs];
        if out.is_empty() {
            return out;
        }
        match &self.store {
            Store::Single(panels) => panels.product(x, Ending { scales: None, bias }, &mut out),
            Store::Bf16(panels) => panels.product(x, Ending { scales: None, bias }, &mut out),
            Store::Pairs(pairs) => pairs.product(x, bias, &mut out),
            Store::F16(panels) => panels.product(x, Ending { scales: None, bias }, &mut out),
            Store::Int8(packed) => packed.product(x, bias, &mut out),
            Store::Int8Rows(panels, scales) => {
                panels.product(x, Ending { scales: Some(scales), bias }, &mut out);
            }
        }
        out
    }

    /// All weights, row by row; `None` where rows cannot be read, as in [`row`](Self::row).
    pub fn values(&self) -> Option<Vec<f32>> {
        let mut values = Vec::with_capacity(self.outputs * self.inputs);
        for row in 0..self.outputs {
            values.extend(self.row(row)?);
        }
        Some(values)
    }

    /// One row of weights, `inputs` values; `None` where there is none, or where rows cannot be read
    /// (of [`MatrixFormat::Int8`]).
    pub fn row(&self, row: usize) -> Option<Vec<f32>> {
        if row >= self.outputs {
            return None;
        }
        match &self.store {
            Store::Single(panels) => Some(panels.row(row, 1.0)),
            Store::Bf16(panels) => Some(panels.row(row, 1.0)),
            Store::Pairs(pairs) => Some(pairs.row(row)),
            Store::F16(panels) => Some(panels.row(row, 1.0)),
            Store::Int8(_) => None,
            Store::Int8Rows(panels, scales) => scales.get(row).map(|&scale| panels.row(row, scale)),
        }
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = match &self.store {
            Store::Single(_) => "f32",
            Store::Bf16(_) => "bf16, rows in single precision",
            Store::Pairs(_) => "bf16",
            Store::F16(_) => "f16",
            Store::Int8(_) => "int8",
            Store::Int8Rows(..) => "int8, rows in single precision",
        };
        write!(f, "Matrix({} x {}, {format})", self.outputs, self.inputs)
    }
}

fn expect_size(got: usize, outputs: usize, inputs: usize) -> Result<(), MatrixError> {
    match outputs.checked_mul(inputs) == Some(got) {
        true => Ok(()),
        false => Err(MatrixError::Size { outputs, inputs, got }),
    }
}

#[cfg(test)]
mod tests;
