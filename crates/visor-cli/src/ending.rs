//! How a command ends: its exit code, and its error on one line.

use crate::output::{self, Closed};
use anyhow::Error;
use std::fmt;
use std::process::ExitCode;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// A command line that cannot be followed, for a reason that only the command itself can see.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    /// Of an error whose message says it all.
    pub(crate) fn because(error: impl fmt::Display) -> Error {
        Error::new(Self(error.to_string()))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The end of a command line that was not understood, or that asked for help.
pub(crate) fn of_parsing(error: &clap::Error) -> ExitCode {
    // A closed pipe: nobody reads it, and there is nothing left to do.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE))
}

/// The end of a command that ran.
pub(crate) fn of_command(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.is::<Closed>() {
        return ExitCode::SUCCESS;
    }
    output::note(&format!("error: {}", on_one_line(&error)));
    ExitCode::from(if error.is::<Usage>() { WRONG_USAGE } else { FAILED })
}

/// The message and its causes. A cause that a message quotes already is not said twice.
pub(crate) fn on_one_line(error: &Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_stand_on_one_line_and_are_not_repeated() {
        let error = anyhow!("disk full").context("model.bin:\n disk full").context("cannot save");
        assert_eq!(on_one_line(&error), "cannot save: model.bin: disk full");
    }

    #[test]
    fn wrong_usage_is_seen_through_what_was_added_to_it() {
        let error = Usage::because("no such rung").context("picture 1");
        assert!(error.is::<Usage>());
    }
}
