//! What a server says while it runs: structured lines on standard error, without words or pictures
//! of clients.

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use std::io::stderr;
use tracing::Level;

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// The form of the log
    #[arg(long, value_enum, default_value_t = Form::Text)]
    log: Form,

    /// The least that is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Text,
    Json,
}

impl LogArgs {
    /// Logs from now on.
    ///
    /// # Errors
    /// If something logs already.
    pub(super) fn start(&self) -> Result<()> {
        let lines = tracing_subscriber::fmt()
            .with_writer(stderr)
            .with_max_level(self.log_level)
            .with_target(false)
            .with_ansi(false);
        let started = match self.log {
            Form::Text => lines.try_init(),
            Form::Json => lines.json().flatten_event(true).try_init(),
        };
        started.map_err(|error| anyhow!("cannot log: {error}"))?;
        // The message of a panic may quote what was being worked on.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "something that should not happen has happened");
        }));
        Ok(())
    }
}
