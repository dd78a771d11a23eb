//! How numbers lie on disk.

use crate::CheckpointError;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::fmt;

/// The number format of a stored tensor, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// Single precision.
    F32,
    /// IEEE half precision: 11 bits of fraction, largest value 65504.
    F16,
    /// The upper half of single precision: 8 bits of fraction, the same range.
    BF16,
    /// Double precision, of which single precision is kept.
    F64,
    /// Whole numbers from -127 to 127, each row of a matrix with a factor of its own in a tensor
    /// beside it: [`scale_of`].
    I8,
}

/// The name of the factors of a matrix that is stored as [`Dtype::I8`], one a row, in single
/// precision.
pub fn scale_of(name: &str) -> String {
    format!("{name}.scale")
}

/// Where the first value is that is not finite. A processor looks at many at a time where it need
/// not stop at the first, and there is hardly ever one.
pub(crate) fn infinite(values: &[f32]) -> Option<usize> {
    let is_sound = values.iter().fold(true, |sound, value| sound & value.is_finite());
    if is_sound { None } else { values.iter().position(|value| !value.is_finite()) }
}

impl Dtype {
    /// All formats that checkpoints are saved in, but for whole numbers.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::BF16];

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I8 => 1,
        }
    }

    /// The name in a safetensors header.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F64 => "F64",
            Self::I8 => "I8",
        }
    }

    /// The format with this name in a safetensors header.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = Self::ALL.into_iter().chain([Self::F64, Self::I8]);
        all.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Appends the numbers in `bytes`, whole ones only, to `values`; those of [`I8`](Self::I8) without
    /// their factor. What is beyond single precision becomes infinite.
    pub fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32 => {
                values.extend(bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)));
            }
            // Whole slices at a time: the conversion of f16 is vectorised where the CPU can.
            Self::F16 => {
                let halves: Vec<f16> =
                    bytes.as_chunks().0.iter().map(|&half| f16::from_le_bytes(half)).collect();
                let start = values.len();
                values.resize(start + halves.len(), 0.0);
                halves.convert_to_f32_slice(&mut values[start..]);
            }
            Self::BF16 => {
                let upper = |&half| f32::from_bits(u32::from(u16::from_le_bytes(half)) << 16);
                values.extend(bytes.as_chunks().0.iter().map(upper));
            }
            Self::F64 => values
                .extend(bytes.as_chunks().0.iter().map(|&long| f64::from_le_bytes(long) as f32)),
            Self::I8 => values.extend(bytes.iter().map(|&byte| f32::from(byte.cast_signed()))),
        }
    }

    /// Appends `values`, rounded to nearest even, to `bytes`.
    ///
    /// # Errors
    /// The place of the first value that is not finite, before or after rounding, or is beyond 127.
    pub(crate) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), usize> {
        for (place, &value) in values.iter().enumerate() {
            let finite = match self {
                Self::F32 => {
                    bytes.extend_from_slice(&value.to_le_bytes());
                    value.is_finite()
                }
                Self::F16 => {
                    let rounded = f16::from_f32(value);
                    bytes.extend_from_slice(&rounded.to_le_bytes());
                    rounded.is_finite()
                }
                Self::BF16 => {
                    let rounded = bf16::from_f32(value);
                    bytes.extend_from_slice(&rounded.to_le_bytes());
                    rounded.is_finite()
                }
                Self::F64 => {
                    bytes.extend_from_slice(&f64::from(value).to_le_bytes());
                    value.is_finite()
                }
                Self::I8 => {
                    let rounded = value.round_ties_even();
                    bytes.push((rounded as i8).cast_unsigned());
                    rounded.abs() <= 127.0
                }
            };
            if !finite {
                return Err(place);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Dtype {
    type Err = CheckpointError;

    /// The lower-case name that users write: `f32`, `f16` or `bf16`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::BF16),
            _ => Err(CheckpointError::UnknownDtype { got: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(dtype: Dtype, value: f32) -> f32 {
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        dtype.encode(&[value], &mut bytes).expect("finite");
        assert_eq!(bytes.len(), dtype.bytes());
        dtype.decode(&bytes, &mut values);
        values[0]
    }

    #[test]
    fn halves_round_to_the_nearest_and_ties_to_even() {
        // 2048 is where f16 counts in twos, 256 where bf16 does.
        for (value, f16) in [(2049.0, 2048.0), (2051.0, 2052.0), (2049.1, 2050.0)] {
            assert_eq!(through(Dtype::F16, value), f16);
        }
        for (value, bf16) in [(257.0, 256.0), (259.0, 260.0), (257.1, 258.0)] {
            assert_eq!(through(Dtype::BF16, value), bf16);
        }
    }

    #[test]
    fn every_half_survives_a_round_trip_to_single_precision() {
        for pattern in 0..=u16::MAX {
            for dtype in [Dtype::F16, Dtype::BF16] {
                let mut values = Vec::new();
                dtype.decode(&pattern.to_le_bytes(), &mut values);
                let mut bytes = Vec::new();
                let written = dtype.encode(&values, &mut bytes);
                assert_eq!(written.is_ok(), values[0].is_finite());
                assert!(written.is_err() || bytes == pattern.to_le_bytes());
            }
        }
    }

    #[test]
    fn doubles_are_kept_in_single_precision_and_those_beyond_it_are_no_number() {
        assert_eq!((through(Dtype::F64, 0.1), through(Dtype::F64, f32::MAX)), (0.1, f32::MAX));
        let mut values = Vec::new();
        let doubles = [0.1_f64, -1e39].map(f64::to_le_bytes).concat();
        Dtype::F64.decode(&doubles, &mut values);
        assert_eq!(values, [0.1, f32::NEG_INFINITY]);
    }

    #[test]
    fn a_value_beyond_the_range_is_an_error_at_its_place() {
        let mut bytes = Vec::new();
        assert_eq!(Dtype::F16.encode(&[65504.0, 65520.0], &mut bytes), Err(1));
        assert_eq!(Dtype::BF16.encode(&[1.0, 1.0, f32::MAX], &mut bytes), Err(2));
        assert_eq!(Dtype::F32.encode(&[f32::MAX, f32::NAN], &mut bytes), Err(1));
    }
}
