//! What is trained: the part of the command line that becomes a recipe.

use crate::ending::Usage;
use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use visor_train::recipe::{Sampling, Steps};
use visor_train::{Arm, Recipe};

/// Seeds and pictures are numbered together in 64 bits, so many of them for the pictures.
const PICTURE_BITS: u32 = 40;

const SEEDS: std::ops::Range<u64> = 0..1 << (u64::BITS - PICTURE_BITS);

/// A recipe by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    /// The recipe of the shipped checkpoint: grids of 36 patches, an hour on one core
    Nano,
    /// Pages of text, tables and charts too, 256 patches: many hours on CPU cores
    Mini,
    /// The same pages, ten million parameters: for a GPU
    Small,
}

/// How the budgets of a step are chosen.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SamplingName {
    /// The largest, the smallest and a random one
    Sandwich,
    /// A random one
    One,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Network, data and steps; the other options change single parts of it
    #[arg(long, value_enum, default_value = "nano")]
    recipe: Named,

    /// The network, or a control of the experiment
    #[arg(long, default_value = "universal", value_parser = arms())]
    arm: Arm,

    /// Seed of weights, data and every draw
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(SEEDS))]
    seed: u64,

    /// Steps of the three stages: visual, alternating, universal [default: the recipe's]
    #[arg(long, value_name = "V,A,U", value_parser = steps)]
    steps: Option<Steps>,

    /// Pictures in a batch [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,

    /// Batches in a step [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    accumulate: Option<u32>,

    /// Budgets of a step [default: the recipe's]
    #[arg(long, value_enum)]
    sampling: Option<SamplingName>,

    /// Highest learning rate [default: the recipe's]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
}

fn arms() -> impl TypedValueParser<Value = Arm> {
    let arm =
        |word: String| Arm::ALL.into_iter().find(|arm| arm.word() == word).ok_or("no such arm");
    PossibleValuesParser::new(Arm::ALL.map(Arm::word)).try_map(arm)
}

fn steps(text: &str) -> Result<Steps, String> {
    let expected = || format!("expected three numbers, as in 400,2000,3600; got `{text}`");
    let numbers: Vec<u64> = text
        .split(',')
        .map(|number| number.trim().parse().map_err(|_| expected()))
        .collect::<Result<_, _>>()?;
    match numbers[..] {
        [visual, alternating, universal] => Ok(Steps { visual, alternating, universal }),
        _ => Err(expected()),
    }
}

impl Options {
    /// # Errors
    /// Of numbers that cannot be followed.
    pub(crate) fn recipe(&self) -> Result<Recipe> {
        let mut recipe = match self.recipe {
            Named::Nano => Recipe::nano(self.seed),
            Named::Mini => Recipe::mini(self.seed),
            Named::Small => Recipe::small(self.seed),
        }
        .with_arm(self.arm);
        recipe.steps = self.steps.unwrap_or(recipe.steps);
        recipe.batch = self.batch.map_or(recipe.batch, |batch| batch as usize);
        recipe.accumulate = self.accumulate.map_or(recipe.accumulate, |n| n as usize);
        recipe.learning_rate = self.lr.unwrap_or(recipe.learning_rate);
        recipe.sampling = match self.sampling {
            None => recipe.sampling,
            Some(SamplingName::Sandwich) => Sampling::Sandwich,
            Some(SamplingName::One) => Sampling::One,
        };
        let Steps { visual, alternating, universal } = recipe.steps;
        let pictures = [alternating, universal, recipe.batch as u64, recipe.accumulate as u64]
            .into_iter()
            .enumerate()
            .try_fold(visual, |product, (i, n)| match i {
                0 | 1 => product.checked_add(n),
                _ => product.checked_mul(n),
            });
        if pictures.is_none_or(|pictures| pictures > 1 << PICTURE_BITS) {
            return Err(Usage::because(format!(
                "steps, batch and accumulate make more than 2^{PICTURE_BITS} pictures: a seed has \
                 no more"
            )));
        }
        recipe.check().map_err(Usage::because)?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_the_steps_and_nothing_else_is() {
        let expected = Steps { visual: 4, alternating: 5, universal: 6 };
        assert_eq!(steps("4,5, 6"), Ok(expected));
        for text in ["", "4", "4,5", "4,5,6,7", "4,5,-6", "a,b,c"] {
            assert!(steps(text).expect_err("no steps").contains("three numbers"), "{text}");
        }
    }
}
