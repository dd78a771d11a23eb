//! Eight bits a weight: a whole number from -127 to 127 times a factor that its output has.

use super::MatrixError;

/// Weights and the values that they are multiplied with, at their largest, over longer rows might
/// leave 32 bits.
pub const MAX_INPUTS: usize = 1 << 16;

/// The largest weight: -128 is left out, so that signs are alike.
const LARGEST: f32 = 127.0;

/// Weights `[outputs, inputs]` in eight bits, with a factor for each output, as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    values: Vec<i8>,
    scales: Vec<f32>,
    inputs: usize,
}

impl Quantised {
    /// Rounds each row to whole steps, 127 of which reach its value of largest size.
    ///
    /// # Errors
    /// [`MatrixError::Size`], [`MatrixError::TooWide`].
    pub fn nearest(values: &[f32], [outputs, inputs]: [usize; 2]) -> Result<Self, MatrixError> {
        super::expect_size(values.len(), outputs, inputs)?;
        expect_width(inputs)?;
        let mut all = Vec::with_capacity(values.len());
        let mut scales = Vec::with_capacity(outputs);
        for row in values.chunks_exact(inputs.max(1)) {
            let size = row.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
            let scale = short(size / LARGEST);
            // Of a row of zeros, or of values too small for a factor, zeros are left.
            let steps = if scale.is_normal() { scale.recip() } else { 0.0 };
            all.extend(row.iter().map(|value| (value * steps).round_ties_even() as i8));
            scales.push(if steps == 0.0 { 0.0 } else { scale });
        }
        Ok(Self { values: all, scales, inputs })
    }

    /// Of whole numbers `[outputs, inputs]` and a factor an output.
    ///
    /// # Errors
    /// [`MatrixError::Size`], [`MatrixError::TooWide`].
    pub fn from_parts(
        values: Vec<i8>,
        scales: Vec<f32>,
        inputs: usize,
    ) -> Result<Self, MatrixError> {
        super::expect_size(values.len(), scales.len(), inputs)?;
        expect_width(inputs)?;
        Ok(Self { values, scales, inputs })
    }

    /// Rows.
    pub fn outputs(&self) -> usize {
        self.scales.len()
    }

    /// Values of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The whole numbers, row by row.
    pub fn values(&self) -> &[i8] {
        &self.values
    }

    /// The factor of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// What the weights come to.
    pub fn to_f32(&self) -> Vec<f32> {
        let rows = self.values.chunks_exact(self.inputs.max(1)).zip(&self.scales);
        rows.flat_map(|(row, &scale)| row.iter().map(move |&value| f32::from(value) * scale))
            .collect()
    }
}

/// The next factor above whose 17 bits, times a number of 7, are single precision without rounding:
/// what is made of numbers and factor rounds to the same numbers and factor again.
fn short(scale: f32) -> f32 {
    f32::from_bits((scale.to_bits() + 0x7F) & !0x7F)
}

pub(super) fn expect_width(inputs: usize) -> Result<(), MatrixError> {
    match inputs <= MAX_INPUTS {
        true => Ok(()),
        false => Err(MatrixError::TooWide { inputs }),
    }
}
