//! How an answer is generated: the part of the command line, and of a request in a batch, that
//! becomes settings.

use crate::ending::Usage;
use anyhow::{Result, bail};
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

/// What a request of a batch says in place of the command line.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) max_new_tokens: Option<NonZeroUsize>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<usize>,
    pub(crate) seed: Option<u64>,
    pub(crate) stop: Option<Vec<String>>,
}

impl GenerationArgs {
    /// # Errors
    /// Of numbers out of range and empty stop strings.
    pub(crate) fn settings(&self) -> Result<GenerationSettings> {
        self.settings_with(&Overrides::default())
    }

    /// # Errors
    /// As [`settings`](Self::settings), and of a draw that is described and not wanted.
    pub(crate) fn settings_with(&self, own: &Overrides) -> Result<GenerationSettings> {
        let temperature = own.temperature.or(self.temperature).filter(|t| *t != 0.0);
        let drawn = own.top_p.is_some() || own.top_k.is_some() || own.seed.is_some();
        if temperature.is_none() && drawn {
            bail!("top_p, top_k and seed say how tokens are drawn: give a temperature above 0");
        }
        let sampling = match temperature {
            None => Sampling::Greedy,
            Some(temperature) => Sampling::Random {
                temperature: Temperature::new(temperature).map_err(Usage::because)?,
                top_p: (own.top_p.or(self.top_p).map(TopP::new).transpose())
                    .map_err(Usage::because)?,
                top_k: (own.top_k.or(self.top_k).map(TopK::new).transpose())
                    .map_err(Usage::because)?,
                seed: own.seed.unwrap_or(self.seed),
            },
        };
        let stop = own.stop.as_ref().unwrap_or(&self.stop);
        let stop: Result<Vec<StopString>, _> = stop.iter().map(StopString::new).collect();
        Ok(GenerationSettings {
            max_new_tokens: own.max_new_tokens.or(self.max_new_tokens),
            sampling,
            stop: stop.map_err(Usage::because)?,
        })
    }
}
