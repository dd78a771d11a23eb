//! The same names in a build without tensors in the processor's memory: there is never one.
#![expect(clippy::result_large_err, reason = "a tensor that nothing was done to goes back")]

use super::rows::RowFunction;
use burn::tensor::{Device, Tensor};
use std::convert::Infallible;

/// Values in the processor's memory, of which there are none.
#[derive(Clone, Debug)]
pub struct HostValues(Infallible);

impl HostValues {
    /// `None`.
    pub fn of<const R: usize>(_: &Tensor<R>) -> Option<Self> {
        None
    }

    /// `false`.
    pub fn are_on(_: &Device) -> bool {
        false
    }

    /// Of nothing.
    pub fn values(&self) -> &[f32] {
        match self.0 {}
    }

    /// Of nothing.
    pub fn strides<const R: usize>(&self) -> Option<[usize; R]> {
        match self.0 {}
    }

    /// Of nothing.
    pub fn in_order(&self) -> Option<&[f32]> {
        match self.0 {}
    }
}

impl RowFunction {
    /// # Errors
    /// The tensor.
    pub fn of_tracked<const R: usize>(self, x: Tensor<R>) -> Result<Tensor<R>, Tensor<R>> {
        Err(x)
    }
}
