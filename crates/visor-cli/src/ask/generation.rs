//! How an answer is generated: the part of the command line that becomes settings.

use crate::ending::Usage;
use anyhow::Result;
use clap::Args;
use std::num::NonZeroUsize;
use visor::{GenerationSettings, Sampling, StopString, Temperature, TopK, TopP};

#[derive(Args, Debug)]
pub(crate) struct GenerationArgs {
    /// Most tokens of the answer [default: 256, or what the context has room for]
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<NonZeroUsize>,

    /// Draw tokens at random, the likelier the lower T; 0 takes the best one [default: 0]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,

    /// Draw from the fewest tokens that reach this probability together
    #[arg(long, value_name = "P", requires = "temperature")]
    top_p: Option<f64>,

    /// Draw from this many of the best tokens
    #[arg(long, value_name = "K", requires = "temperature")]
    top_k: Option<usize>,

    /// Seed of the draws
    #[arg(long, value_name = "S", requires = "temperature", default_value_t = 0)]
    seed: u64,

    /// Text that ends the answer and is no part of it
    #[arg(long, value_name = "S")]
    stop: Vec<String>,
}

impl GenerationArgs {
    /// # Errors
    /// Of numbers out of range and empty stop strings.
    pub(crate) fn settings(&self) -> Result<GenerationSettings> {
        let sampling = match self.temperature {
            None | Some(0.0) => Sampling::Greedy,
            Some(temperature) => Sampling::Random {
                temperature: Temperature::new(temperature).map_err(Usage::because)?,
                top_p: self.top_p.map(TopP::new).transpose().map_err(Usage::because)?,
                top_k: self.top_k.map(TopK::new).transpose().map_err(Usage::because)?,
                seed: self.seed,
            },
        };
        let stop: Result<Vec<StopString>, _> = self.stop.iter().map(StopString::new).collect();
        Ok(GenerationSettings {
            max_new_tokens: self.max_new_tokens,
            sampling,
            stop: stop.map_err(Usage::because)?,
        })
    }
}
