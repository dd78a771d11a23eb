//! Checks and generated documents of this repository.
//!
//! `cargo run -p xtask -- tidy` reports what contradicts ARCHITECTURE.md and the rules of the house;
//! the same checks are tests of this crate. `cargo run -p xtask -- readme` writes the generated
//! blocks of the documents anew from the committed records.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for developers")]

mod generated;
mod markdown;
mod record;
mod repo;
mod tidy;

use anyhow::Result;
use repo::Repo;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo run -p xtask -- COMMAND

  tidy     check the repository against its own rules
  readme   write the generated blocks of all documents anew";

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy(&Repo::here()?),
        ["readme"] => readme(&Repo::here()?),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

fn tidy(repo: &Repo) -> Result<ExitCode> {
    let mut clean = true;
    for check in tidy::CHECKS {
        let findings = (check.run)(repo)?;
        println!("{:<12} {} ({})", check.name, verdict(&findings), check.rule);
        for finding in &findings {
            println!("  {finding}");
        }
        clean &= findings.is_empty();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(findings: &[String]) -> String {
    match findings.len() {
        0 => "ok".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    }
}

fn readme(repo: &Repo) -> Result<ExitCode> {
    for document in generated::outdated(repo)? {
        repo.write(&document.file, &document.text)?;
        println!("{} written", document.file);
    }
    Ok(ExitCode::SUCCESS)
}
