//! Which patches cross-attention reads.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use thiserror::Error;

/// The patches that cross-attention may read, as they are asked for (QGSA; method, section 5).
/// Self-attention keeps every visual token, whatever is asked for here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Patches {
    /// All of them; no selector runs.
    #[default]
    All,
    /// As many as the selector thinks that the question needs.
    Auto,
    /// The best ones by the selector's scores, so many.
    Count(NonZeroUsize),
}

/// Text that says no number of patches.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{got}` is no number of patches; expected all, auto, or a number from 1 up")]
pub struct PatchesError {
    /// What was given.
    pub got: String,
}

impl FromStr for Patches {
    type Err = PatchesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "auto" => Ok(Self::Auto),
            number => {
                number.parse().map(Self::Count).map_err(|_| PatchesError { got: number.to_owned() })
            }
        }
    }
}

impl fmt::Display for Patches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_patches_reads_as_it_is_written_and_none_is_refused() {
        for text in ["all", "auto", "1", "17"] {
            assert_eq!(text.parse::<Patches>().map(|patches| patches.to_string()), Ok(text.into()));
        }
        for text in ["0", "-3", "some", "", "1.5"] {
            let error = text.parse::<Patches>().expect_err(text);
            assert_eq!(error.got, text);
        }
    }
}
