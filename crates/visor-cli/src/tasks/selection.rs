//! Which pictures of the suite: the part of the command line that its commands share.

use crate::ending::Usage;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use visor_tasks::{Family, Mixture, Sample, Split, Suite, SuiteName};

/// Bits that number the pictures of one seed, so that those of two seeds are never the same.
const INDEX_BITS: u32 = 40;

/// Seeds that leave so many bits free.
const SEEDS: std::ops::Range<u64> = 0..1 << (u64::BITS - INDEX_BITS);

#[derive(Args)]
pub(crate) struct Selection {
    /// The suite: nano is drawn at 48x48 pixels, small at 256x256
    #[arg(long, value_parser = suite_names())]
    suite: SuiteName,

    /// Side of the pictures in pixels, where the suite has several [default: its smallest]
    #[arg(long, value_name = "PIXELS")]
    canvas: Option<usize>,

    /// The part of the suite; no scene is in two of them
    #[arg(long, default_value = "train", value_parser = split_names())]
    split: Split,

    /// Families of questions, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    families: Vec<String>,

    /// Other seeds give other pictures
    #[arg(long, value_name = "S", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(SEEDS))]
    seed: u64,
}

fn suite_names() -> impl TypedValueParser<Value = SuiteName> {
    let names = SuiteName::ALL.iter().map(|name| name.word());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<SuiteName>())
}

fn split_names() -> impl TypedValueParser<Value = Split> {
    let names = Split::ALL.iter().map(|name| name.word());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Split>())
}

/// Pictures, numbered from 0.
#[derive(Debug)]
pub(crate) struct Pictures {
    suite: Suite,
    pub(crate) split: Split,
    families: Vec<Family>,
    mixture: Mixture,
    seed: u64,
}

impl Selection {
    /// # Errors
    /// Of names or sizes that the suite does not have.
    pub(crate) fn pictures(&self) -> Result<Pictures> {
        let suite = match self.canvas {
            None => Suite::new(self.suite),
            Some(canvas) => Suite::with_canvas(self.suite, canvas).map_err(Usage::because)?,
        };
        let families = match self.families.as_slice() {
            [] => suite.families().to_vec(),
            names => names
                .iter()
                .map(|name| suite.family(name))
                .collect::<Result<_, _>>()
                .map_err(Usage::because)?,
        };
        let mixture = Mixture::uniform(&families).map_err(Usage::because)?;
        Ok(Pictures { suite, split: self.split, families, mixture, seed: self.seed })
    }
}

impl Pictures {
    /// The seed of a picture.
    pub(crate) fn seed(&self, index: u64) -> u64 {
        self.seed << INDEX_BITS | index
    }

    /// A picture, families mixed.
    pub(crate) fn sample(&self, index: u64) -> Sample {
        self.suite.sample(self.split, self.mixture.pick(index), self.seed(index))
    }

    /// A picture, families in the order in which they were asked for.
    pub(crate) fn in_turn(&self, index: u64) -> Sample {
        let family = self.families[index as usize % self.families.len()];
        self.suite.sample(self.split, family, self.seed(index))
    }
}
