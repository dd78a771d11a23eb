//! `--data`: questions of a user's, or a benchmark that lies on disk.

use crate::ending::Usage;
use crate::output;
use anyhow::Result;
use clap::Args;
use visor_train::TrainError;
use visor_train::data::benchmarks::Benchmark;
use visor_train::data::{BadLines, DataSource, Dataset, Scorer};

/// Questions in place of the generated ones.
#[derive(Args)]
pub(crate) struct OwnData {
    /// Questions of one's own, or conversations of one question, one JSON object a line; or a
    /// benchmark on disk by its name, as `vqa-rad:DIR`, which docs/benchmarks.md lists
    #[arg(long, value_name = "FILE.jsonl|NAME:DIR")]
    data: Option<DataSource>,

    /// How answers to a list are scored: exact, word, vqa, agreement, anls, relaxed, contains,
    /// formula, recall, choice, yes-no or presence [default: exact]
    #[arg(long, requires = "data")]
    scorer: Option<Scorer>,

    /// Leave out lines of the data that cannot be used, and count them
    #[arg(long, requires = "data")]
    skip_bad: bool,
}

/// What becomes of bad lines.
pub(crate) fn bad_lines(skip: bool) -> BadLines {
    if skip { BadLines::Skip } else { BadLines::Refuse }
}

/// Says what was left out.
pub(crate) fn tell_skipped(skipped: &[TrainError]) {
    for error in skipped {
        output::note(&format!("left out: {error}"));
    }
    if !skipped.is_empty() {
        output::note(&format!("{} lines were left out", skipped.len()));
    }
}

impl OwnData {
    /// The questions, where there are any.
    pub(crate) fn read(&self) -> Result<Option<Dataset>> {
        let Some(source) = &self.data else { return Ok(None) };
        match (source.benchmark(), self.scorer) {
            (Some(Benchmark::RefCoco), _) => {
                return Err(Usage::because(
                    "refcoco asks for no answers: `visor bench point --data DIR` measures where \
                     chosen patches lie",
                ));
            }
            (Some(benchmark), Some(scorer)) => {
                return Err(Usage::because(format!(
                    "{benchmark} is scored in its own way: leave out `--scorer {scorer}`"
                )));
            }
            _ => {}
        }
        let scorer = self.scorer.unwrap_or(Scorer::Exact);
        let reading = source.read(scorer, bad_lines(self.skip_bad))?;
        tell_skipped(&reading.skipped);
        Ok(Some(reading.data))
    }

    /// Whether there are any.
    pub(crate) fn is_given(&self) -> bool {
        self.data.is_some()
    }

    /// The benchmark that they are, if one.
    pub(crate) fn benchmark(&self) -> Option<Benchmark> {
        self.data.as_ref().and_then(DataSource::benchmark)
    }
}
