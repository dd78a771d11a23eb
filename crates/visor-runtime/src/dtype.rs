//! The number format that the weights of large products are held in.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The number format that the matrices of a model are held in while it runs. Activations, keys and
/// values are in single precision whatever it is, and how weights lie on disk is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// Single precision.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    BF16,
    /// Eight bits, with a factor for each output; rows that are multiplied are rounded to eight bits
    /// on the way.
    Int8,
}

/// No number format has this name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown number format `{got}`: expected f32, bf16, f16 or int8")]
pub struct UnknownDtype {
    /// What was asked for.
    pub got: String,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::BF16, Self::F16, Self::Int8];

    /// Bytes of one weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Int8 => 1,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::BF16),
            "int8" => Ok(Self::Int8),
            _ => Err(UnknownDtype { got: text.to_owned() }),
        }
    }
}
