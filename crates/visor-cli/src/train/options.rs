//! What is trained: the part of the command line that becomes a recipe.

use crate::ending::Usage;
use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use visor_train::recipe::{Precision, Sampling, Steps};
use visor_train::tuning::Settings;
use visor_train::{Arm, Recipe};

/// Seeds and pictures are numbered together in 64 bits, so many of them for the pictures.
const PICTURE_BITS: u32 = 40;

const SEEDS: std::ops::Range<u64> = 0..1 << (u64::BITS - PICTURE_BITS);

/// A recipe by name, or in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RecipeChoice {
    /// That of the shipped checkpoint: grids of 36 patches, an hour on one core.
    Nano,
    /// Pages of text, tables and charts too, 256 patches: many hours on CPU cores.
    Mini,
    /// The same pages, ten million parameters: for a GPU.
    Small,
    /// One for a model of the hub.
    File(PathBuf),
}

impl FromStr for RecipeChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "nano" => Self::Nano,
            "mini" => Self::Mini,
            "small" => Self::Small,
            path => Self::File(path.into()),
        })
    }
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
    /// Network, data and steps: `nano`, `mini` or `small` of the generated suites, or a file of
    /// `models/recipes` to train a converted model by;
    /// the other options change single parts of it [default: nano]
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<RecipeChoice>,

    /// The network, or a control of the experiment
    #[arg(long, default_value = "universal", value_parser = arms())]
    arm: Arm,

    /// Seed of weights, data and every draw
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(SEEDS))]
    seed: u64,

    /// Steps of the stages: visual, alternating and universal; with --data, those in which what was
    /// added learns and those in which all does [default: the recipe's]
    #[arg(long, value_name = "V,A,U|ADDED,ALL")]
    steps: Option<StageSteps>,

    /// Pictures in a batch; with --data, conversations in a step [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,

    /// Batches in a step [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    accumulate: Option<u32>,

    /// Budgets of a step [default: the recipe's]
    #[arg(long, value_enum)]
    sampling: Option<SamplingName>,

    /// Highest learning rate; with --data, that of each stage, as `1e-4,1e-5`
    /// [default: the recipe's]
    #[arg(long, value_name = "X", value_delimiter = ',')]
    lr: Option<Vec<f64>>,

    /// What products are computed in: bf16 is mixed precision, for a GPU [default: the recipe's]
    #[arg(long, value_enum)]
    precision: Option<PrecisionName>,
}

/// What products are computed in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrecisionName {
    /// Single precision
    F32,
    /// Half precision; weights, gradients and sums in single precision
    Bf16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::Bf16 => Self::Bf16,
        }
    }
}

fn arms() -> impl TypedValueParser<Value = Arm> {
    let arm =
        |word: String| Arm::ALL.into_iter().find(|arm| arm.word() == word).ok_or("no such arm");
    PossibleValuesParser::new(Arm::ALL.map(Arm::word)).try_map(arm)
}

/// The steps of each stage.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StageSteps(Vec<u64>);

impl FromStr for StageSteps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("expected three numbers, as in 400,2000,3600, or two with --data; got `{text}`")
        };
        let numbers: Vec<u64> = text
            .split(',')
            .map(|number| number.trim().parse().map_err(|_| expected()))
            .collect::<Result<_, _>>()?;
        if (2..=3).contains(&numbers.len()) { Ok(Self(numbers)) } else { Err(expected()) }
    }
}

impl Options {
    /// # Errors
    /// Of numbers that cannot be followed.
    pub(crate) fn recipe(&self) -> Result<Recipe> {
        let mut recipe = match &self.recipe {
            None | Some(RecipeChoice::Nano) => Recipe::nano(self.seed),
            Some(RecipeChoice::Mini) => Recipe::mini(self.seed),
            Some(RecipeChoice::Small) => Recipe::small(self.seed),
            Some(RecipeChoice::File(path)) => {
                return Err(Usage::because(format!(
                    "`{}` is no recipe for the generated suite: expected `nano`, \
                     `mini` or `small`, or --model and \
                     --data beside it",
                    path.display()
                )));
            }
        }
        .with_arm(self.arm);
        recipe.steps = match self.steps.as_ref().map(|StageSteps(steps)| steps.as_slice()) {
            None => recipe.steps,
            Some(&[visual, alternating, universal]) => Steps { visual, alternating, universal },
            Some(_) => {
                return Err(Usage::because(
                    "expected three numbers of steps, as in --steps 400,2000,3600: two are for \
                     --data",
                ));
            }
        };
        recipe.batch = self.batch.map_or(recipe.batch, |batch| batch as usize);
        recipe.accumulate = self.accumulate.map_or(recipe.accumulate, |n| n as usize);
        recipe.learning_rate = match self.lr.as_deref() {
            None => recipe.learning_rate,
            Some(&[lr]) => lr,
            Some(_) => {
                return Err(Usage::because("expected one learning rate: two are for --data"));
            }
        };
        recipe.sampling = match self.sampling {
            None => recipe.sampling,
            Some(SamplingName::Sandwich) => Sampling::Sandwich,
            Some(SamplingName::One) => Sampling::One,
        };
        recipe.precision = self.precision.map_or(recipe.precision, Precision::from);
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

impl Options {
    /// The file of a recipe, where one was named.
    pub(crate) fn recipe_file(&self) -> Option<&Path> {
        match &self.recipe {
            Some(RecipeChoice::File(path)) => Some(path),
            None | Some(RecipeChoice::Nano | RecipeChoice::Mini | RecipeChoice::Small) => None,
        }
    }

    /// Changes the settings of a converted model's training as single options say.
    ///
    /// # Errors
    /// Of numbers that are meant for the generated suite.
    pub(crate) fn change(&self, settings: &mut Settings) -> Result<()> {
        if self.recipe.is_some() && self.recipe_file().is_none() {
            return Err(Usage::because(
                "the recipes `nano`, `mini` and `small` are for the generated suite: expected the \
                 path of a file with --data",
            ));
        }
        settings.seed = self.seed;
        match self.steps.as_ref().map(|StageSteps(steps)| steps.as_slice()) {
            None => {}
            Some(&[added, all]) => (settings.added.steps, settings.all.steps) = (added, all),
            Some(_) => {
                return Err(Usage::because(
                    "expected two numbers of steps with --data, as in --steps 500,2000",
                ));
            }
        }
        match self.lr.as_deref() {
            None => {}
            Some(&[added, all]) => {
                (settings.added.learning_rate, settings.all.learning_rate) = (added, all);
            }
            Some(_) => {
                return Err(Usage::because(
                    "expected a learning rate of each stage with --data, as in --lr 1e-4,1e-5",
                ));
            }
        }
        settings.batch = self.batch.map_or(settings.batch, |batch| batch as usize);
        settings.sampling = match self.sampling {
            None => settings.sampling,
            Some(SamplingName::Sandwich) => Sampling::Sandwich,
            Some(SamplingName::One) => Sampling::One,
        };
        settings.precision = self.precision.map_or(settings.precision, Precision::from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_or_three_numbers_are_steps_and_nothing_else_is() {
        assert_eq!("4,5, 6".parse(), Ok(StageSteps(vec![4, 5, 6])));
        assert_eq!("4,5".parse(), Ok(StageSteps(vec![4, 5])));
        for text in ["", "4", "4,5,6,7", "4,5,-6", "a,b,c"] {
            assert!(text.parse::<StageSteps>().expect_err(text).contains("three numbers"));
        }
    }
}
