//! The `visor` binary: reads the command line, runs one command, says how it ended.
//!
//! Answers go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed,
//! 2 wrong usage.

mod analyze;
mod ask;
mod bench;
mod compute;
mod convert;
mod data;
mod devices;
mod download;
mod ending;
mod files;
mod inspect;
mod interrupt;
mod loading;
mod model;
mod models;
mod output;
mod serve;
mod table;
mod tasks;
mod threads;
mod train;
mod untrained;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Run vision-language models at a compute budget that you choose.
#[derive(Parser)]
#[command(name = "visor", version, max_term_width = 100)]
struct Visor {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Ask(Box<ask::Ask>),
    Serve(Box<serve::Serve>),
    Inspect(inspect::Inspect),
    Analyze(Box<analyze::Analyze>),
    Verify(verify::Verify),
    Convert(convert::Convert),
    #[command(subcommand)]
    Bench(bench::Bench),
    #[command(subcommand)]
    Train(train::Train),
    #[command(subcommand)]
    Tasks(tasks::Tasks),
    Download(download::Download),
    Models(models::Models),
    Devices(devices::Devices),
}

fn main() -> ExitCode {
    let visor = match Visor::try_parse() {
        Ok(visor) => visor,
        Err(error) => return ending::of_parsing(&error),
    };
    ending::of_command(match &visor.command {
        Command::Ask(ask) => ask.run(),
        Command::Serve(serve) => serve.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Analyze(analyze) => analyze.run(),
        Command::Verify(verify) => verify.run(),
        Command::Convert(convert) => convert.run(),
        Command::Bench(bench) => bench.run(),
        Command::Train(train) => train.run(),
        Command::Tasks(tasks) => tasks.run(),
        Command::Download(download) => download.run(),
        Command::Models(models) => models.run(),
        Command::Devices(devices) => devices.run(),
    })
}
