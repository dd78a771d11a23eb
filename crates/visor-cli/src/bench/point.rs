//! `visor bench point`: whether the patches that an expression chooses lie where it refers to.

use crate::bench::bar::Bar;
use crate::bench::format::Format;
use crate::compute::Compute;
use crate::data::{bad_lines, tell_skipped};
use crate::ending::Usage;
use crate::interrupt::{self, Interrupt};
use crate::loading;
use crate::model::{ModelChoice, failed};
use crate::output;
use crate::table::aligned;
use crate::untrained;
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use visor::{LoadOptions, Patches, PolicyRef};
use visor_train::analysis::pointing::{Pointed, pointing};
use visor_train::data::benchmarks::read_refcoco;

/// Measure whether the patches that an expression chooses lie in the box that it refers to
///
/// RefCOCO's expressions are put to the selector as questions; no box is ever shown to it. Beside
/// each figure stands what choosing at random would give.
#[derive(Args)]
pub(crate) struct Point {
    #[command(flatten)]
    model: ModelChoice,

    /// Folder with RefCOCO: `refcoco_val.jsonl`, `refcoco_testA.jsonl`, `refcoco_testB.jsonl`,
    /// those that are there, and the pictures in `train2014`; or the Hugging Face hub's parquet
    /// files, which docs/benchmarks.md names
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Numbers of patches that are chosen, with commas between
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "auto")]
    patches: Vec<Patches>,

    /// Leave out lines that cannot be used, and count them
    #[arg(long)]
    skip_bad: bool,

    /// What is printed
    #[arg(long, value_enum, default_value = "md")]
    format: Format,

    #[command(flatten)]
    compute: Compute,
}

/// Means over the expressions of a split.
#[derive(Debug, Serialize)]
struct Line {
    split: String,
    patches: String,
    expressions: usize,
    mean_chosen: f64,
    coverage: f64,
    random_coverage: f64,
    pointing: f64,
    random_pointing: f64,
}

impl Point {
    pub(crate) fn run(&self) -> Result<()> {
        self.compute.threads.start()?;
        if self.patches.contains(&Patches::All) {
            return Err(Usage::because("--patches all chooses nothing; name a number or `auto`"));
        }
        let options = LoadOptions::default().device(self.compute.device).policy(PolicyRef::None);
        let model = loading::load(&self.model.find()?, &options).map_err(failed)?;
        if model.card().selector.is_none() {
            return Err(Usage::because(format!(
                "`{}` has no patch selector, so that no question chooses; add one with \
                 `visor convert --selector` or `visor train selector`",
                model.card().name
            )));
        }
        untrained::warn(&model, self.patches.iter().copied());
        let (referring, skipped) = read_refcoco(&self.data, bad_lines(self.skip_bad))?;
        tell_skipped(&skipped);
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let bar = Bar::new();
        let mut lines = Vec::new();
        for &patches in &self.patches {
            let tell = &mut |what: &str, done: usize, all: usize| bar.tell(what, done, all);
            let pointed = pointing(model.runner(), &referring, patches, interrupt.flag(), tell)?;
            let mut splits: Vec<&str> = referring.iter().map(|one| one.split.as_str()).collect();
            splits.dedup();
            for split in splits {
                let own = referring.iter().zip(&pointed).filter(|(one, _)| one.split == split);
                let own: Vec<Pointed> = own.map(|(_, pointed)| *pointed).collect();
                lines.push(line(split, patches, &own));
            }
        }
        bar.end();
        match self.format {
            Format::Json => output::answer(&serde_json::to_string_pretty(&lines)?),
            Format::Md => output::answer(&table(&lines)),
        }
    }
}

fn line(split: &str, patches: Patches, pointed: &[Pointed]) -> Line {
    let mean =
        |of: fn(&Pointed) -> f64| pointed.iter().map(of).sum::<f64>() / pointed.len().max(1) as f64;
    Line {
        split: split.to_owned(),
        patches: patches.to_string(),
        expressions: pointed.len(),
        mean_chosen: mean(|pointed| pointed.k as f64),
        coverage: mean(|pointed| pointed.coverage),
        random_coverage: mean(|pointed| pointed.random_coverage),
        pointing: mean(|pointed| f64::from(u8::from(pointed.hit))),
        random_pointing: mean(|pointed| pointed.box_share),
    }
}

fn table(lines: &[Line]) -> String {
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let head =
        ["split", "patches", "n", "chosen", "coverage %", "at random", "pointing %", "at random"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for line in lines {
        rows.push(vec![
            line.split.clone(),
            line.patches.clone(),
            line.expressions.to_string(),
            format!("{:.1}", line.mean_chosen),
            percent(line.coverage),
            percent(line.random_coverage),
            percent(line.pointing),
            percent(line.random_pointing),
        ]);
    }
    aligned(&rows)
}
