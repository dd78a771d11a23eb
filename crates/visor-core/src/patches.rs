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
    /// One in so many, drawn at random: what a choice is held against. No selector runs.
    Random {
        /// Of how many one is read.
        one_in: NonZeroUsize,
        /// Which draw it is: the same one reads the same patches.
        draw: u64,
    },
}

impl Patches {
    /// How many of `n_visual` patches a random choice reads.
    pub fn drawn(one_in: NonZeroUsize, n_visual: usize) -> usize {
        n_visual.div_ceil(one_in.get())
    }
}

/// Text that says no number of patches.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{got}` is no number of patches; expected all, auto, a number from 1 up, or random/4 for one in four"
)]
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
            words => number(words).ok_or_else(|| PatchesError { got: words.to_owned() }),
        }
    }
}

/// `9`, `random/4` or `random/4#7`, the last the seventh draw after the first.
fn number(text: &str) -> Option<Patches> {
    let Some(random) = text.strip_prefix("random/") else {
        return text.parse().ok().map(Patches::Count);
    };
    let (one_in, draw) = match random.split_once('#') {
        Some((one_in, draw)) => (one_in, draw.parse().ok()?),
        None => (random, 0),
    };
    Some(Patches::Random { one_in: one_in.parse().ok()?, draw })
}

impl fmt::Display for Patches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
            Self::Random { one_in, draw: 0 } => write!(f, "random/{one_in}"),
            Self::Random { one_in, draw } => write!(f, "random/{one_in}#{draw}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_patches_reads_as_it_is_written_and_none_is_refused() {
        for text in ["all", "auto", "1", "17", "random/4", "random/2#9"] {
            assert_eq!(text.parse::<Patches>().map(|patches| patches.to_string()), Ok(text.into()));
        }
        for text in ["0", "-3", "some", "", "1.5", "random", "random/0", "random/4#"] {
            let error = text.parse::<Patches>().expect_err(text);
            assert_eq!(error.got, text);
        }
    }
}
