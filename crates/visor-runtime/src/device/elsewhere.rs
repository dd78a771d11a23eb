//! The same names in a build without tensors in the processor's memory: there is never one.
#![expect(clippy::result_large_err, reason = "a tensor that nothing was done to goes back")]

use burn::tensor::Tensor;
use std::convert::Infallible;

/// Values in the processor's memory, of which there are none.
#[derive(Clone, Debug)]
pub struct HostValues(Infallible);

impl HostValues {
    /// `None`.
    pub fn of<const R: usize>(_: &Tensor<R>) -> Option<Self> {
        None
    }

    /// Of nothing.
    pub fn values(&self) -> &[f32] {
        match self.0 {}
    }

    /// Of nothing.
    pub fn strides(&self) -> Option<Vec<usize>> {
        match self.0 {}
    }

    /// Of nothing.
    pub fn in_order(&self) -> Option<&[f32]> {
        match self.0 {}
    }
}

/// A function of rows of values, one by one, with its gradient.
#[derive(Clone, Copy, Debug)]
pub struct RowFunction {
    /// Values of a row.
    pub width: usize,
    /// Values to results, row by row.
    pub forward: fn(&mut [f32], usize),
    /// What the gradient is computed from.
    pub keeps: Keeps,
    /// The gradient of the results to that of the values, by what was kept of them.
    pub gradient: fn(&[f32], &mut [f32], usize),
}

/// What a gradient is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// What went in.
    Values,
    /// What came out.
    Results,
}

impl RowFunction {
    /// # Errors
    /// The tensor.
    pub fn of_tracked<const R: usize>(self, x: Tensor<R>) -> Result<Tensor<R>, Tensor<R>> {
        Err(x)
    }
}
