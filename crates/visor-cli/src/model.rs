//! Which model, and what its errors mean for a command.

use crate::ending::Usage;
use anyhow::{Error, Result};
use clap::Args;
use visor::{ModelRef, PolicyError, PromptError, RunError};

#[derive(Args, Debug)]
pub(crate) struct ModelChoice {
    /// A shipped model by name, or a folder with a checkpoint [default: the best shipped model]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl ModelChoice {
    /// # Errors
    /// If there is no such model.
    pub(crate) fn find(&self) -> Result<ModelRef> {
        Ok(match &self.model {
            None => ModelRef::best_shipped()?,
            Some(model) => model.parse()?,
        })
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
            | RunError::Policy(PolicyError::NoThrift { .. })
            | RunError::Prompt(PromptError::EmptyQuestion | PromptError::EmptyPrompt),
        )
        | visor::Error::ThriftBesideBudget { .. }
        | visor::Error::ThriftWithoutPolicy => Usage::because(error),
        _ => Error::new(error),
    }
}
