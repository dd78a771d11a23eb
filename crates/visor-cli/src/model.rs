//! Which model, and what its errors mean for a command.

use crate::download::Bar;
use crate::ending::Usage;
use anyhow::{Error, Result};
use clap::Args;
use visor::hub::Hub;
use visor::{ModelRef, PolicyError, PromptError, RunError};

#[derive(Args, Debug)]
pub(crate) struct ModelChoice {
    /// A shipped model by name, a folder with a checkpoint, or an id on the hub, OWNER/NAME or
    /// OWNER/NAME@REVISION, which is downloaded if it is not in the cache [default: the best shipped
    /// model]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    #[command(flatten)]
    network: Network,
}

/// Whether models may be downloaded.
#[derive(Args, Debug)]
pub(crate) struct Network {
    /// Download nothing: a model of the hub must be in the cache
    #[arg(long)]
    offline: bool,
}

impl Network {
    /// The hub as the environment describes it.
    ///
    /// # Errors
    /// If a variable holds what cannot be used.
    pub(crate) fn hub(&self) -> Result<Hub> {
        let hub = Hub::from_variables(|name| std::env::var_os(name))?;
        Ok(if self.offline { hub.offline() } else { hub })
    }

    /// A model by name, place or id, with its files on this machine.
    ///
    /// # Errors
    /// If there is no such model.
    pub(crate) fn find(&self, model: &str) -> Result<ModelRef> {
        Ok(match model.parse()? {
            hub @ ModelRef::Hub(_) => hub.fetched(&self.hub()?, &mut Bar::default())?,
            here => here,
        })
    }

    /// The same where its weights are not needed.
    fn describe(&self, model: &str) -> Result<ModelRef> {
        Ok(match model.parse()? {
            hub @ ModelRef::Hub(_) => hub.described(&self.hub()?, &mut Bar::default())?,
            here => here,
        })
    }
}

impl ModelChoice {
    /// The model as it was named, if it was.
    pub(crate) fn name(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// # Errors
    /// If there is no such model.
    pub(crate) fn find(&self) -> Result<ModelRef> {
        match &self.model {
            None => Ok(ModelRef::best_shipped()?),
            Some(model) => self.network.find(model),
        }
    }

    /// The model as far as its small files go: the weights of one of the hub stay there.
    ///
    /// # Errors
    /// If there is no such model.
    pub(crate) fn describe(&self) -> Result<ModelRef> {
        match &self.model {
            None => Ok(ModelRef::best_shipped()?),
            Some(model) => self.network.describe(model),
        }
    }
}

/// An error of the library, told apart into wrong usage and failure: asking for what the model does
/// not offer, or for nothing at all, is wrong usage.
pub(crate) fn failed(error: visor::Error) -> Error {
    match &error {
        visor::Error::Run(
            RunError::Budget(_)
            | RunError::AboveCeiling { .. }
            | RunError::Context { .. }
            | RunError::NoSelector { .. }
            | RunError::Patches { .. }
            | RunError::DensePatches { .. }
            | RunError::PairPatches { .. }
            | RunError::Policy(PolicyError::NoThrift { .. })
            | RunError::Prompt(PromptError::EmptyQuestion | PromptError::EmptyPrompt),
        )
        | visor::Error::ThriftBesideBudget { .. }
        | visor::Error::ThriftWithoutPolicy => Usage::because(error),
        _ => Error::new(error),
    }
}
