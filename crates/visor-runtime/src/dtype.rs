//! The number format that activations are computed in.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The number format that a model computes in. How weights lie on disk is another matter.
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
}

/// No number format has this name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown number format `{got}`: expected f32, f16 or bf16")]
pub struct UnknownDtype {
    /// What was asked for.
    pub got: String,
}

impl Dtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
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
            _ => Err(UnknownDtype { got: text.to_owned() }),
        }
    }
}
