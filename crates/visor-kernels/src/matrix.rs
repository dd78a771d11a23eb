//! Matrices of weights in the order of their products, in single precision or fewer bytes, and their
//! products with rows of single precision.
//!
//! A product with one row reads every weight once and does nothing else to speak of, so that its
//! time is that of the bytes. Weights are brought into the order of the products once, when the
//! matrix is made, and there is no other copy of them.

mod format;
mod fours;
mod int8;
mod panels;
mod share;
mod vnni;

pub use int8::{MAX_INPUTS, Quantised};

use format::{Bf16, F16, Int8, Single};
use int8::{Dynamic, Rounded};
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
    /// Sums of that many products may leave 32 bits.
    #[error("rows of {inputs} values are too long for int8, at most {MAX_INPUTS}: use bf16")]
    TooWide {
        /// Values of a row.
        inputs: usize,
    },
}

impl Matrix {
    /// Holds values as they are.
    ///
    /// # Errors
    /// [`MatrixError::Size`].
    pub fn single(values: &[f32], [outputs, inputs]: [usize; 2]) -> Result<Self, MatrixError> {
        expect_size(values.len(), outputs, inputs)?;
        let panels = Panels::single(values, inputs);
        Ok(Self { store: Store::Single(panels), outputs, inputs })
    }

    /// Holds values in the upper halves of their single precision: 8 bits of fraction.
    ///
    /// # Errors
    /// [`MatrixError::Size`]; [`MatrixError::Overflow`] of what rounds to infinity.
    pub fn bf16(values: &[f32], [outputs, inputs]: [usize; 2]) -> Result<Self, MatrixError> {
        expect_size(values.len(), outputs, inputs)?;
        let panels = Panels::halves(values, inputs)?;
        Ok(Self { store: Store::Bf16(panels), outputs, inputs })
    }

    /// Holds values in IEEE half precision: 11 bits of fraction, at most 65504.
    ///
    /// # Errors
    /// As [`bf16`](Self::bf16).
    pub fn f16(values: &[f32], [outputs, inputs]: [usize; 2]) -> Result<Self, MatrixError> {
        expect_size(values.len(), outputs, inputs)?;
        let panels = Panels::halves(values, inputs)?;
        Ok(Self { store: Store::F16(panels), outputs, inputs })
    }

    /// Holds eight bits a weight; rows that come are rounded to eight bits too, each in steps of its
    /// own, and sums are taken in whole numbers.
    pub fn int8(weights: &Quantised) -> Self {
        let (outputs, inputs) = (weights.outputs(), weights.inputs());
        Self { store: Store::Int8(Dynamic::new(weights)), outputs, inputs }
    }

    /// Holds eight bits a weight; rows that come stay in single precision. For what is read a row at
    /// a time too, as a table of embeddings that also scores.
    pub fn int8_rows(weights: &Quantised) -> Self {
        let (outputs, inputs) = (weights.outputs(), weights.inputs());
        let panels = Panels::whole(weights.values(), inputs);
        Self { store: Store::Int8Rows(panels, weights.scales().to_vec()), outputs, inputs }
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
        let rows = (0..self.outputs).map(|row| self.row(row));
        rows.collect::<Option<Vec<_>>>().map(|rows| rows.concat())
    }

    /// One row of weights, `inputs` values; `None` where there is none, or where rows cannot be read
    /// (a matrix made by [`int8`](Self::int8)).
    pub fn row(&self, row: usize) -> Option<Vec<f32>> {
        if row >= self.outputs {
            return None;
        }
        match &self.store {
            Store::Single(panels) => Some(panels.row(row, 1.0)),
            Store::Bf16(panels) => Some(panels.row(row, 1.0)),
            Store::F16(panels) => Some(panels.row(row, 1.0)),
            Store::Int8(_) => None,
            Store::Int8Rows(panels, scales) => Some(panels.row(row, scales[row])),
        }
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = match &self.store {
            Store::Single(_) => "f32",
            Store::Bf16(_) => "bf16",
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
