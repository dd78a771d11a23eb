//! `visor ask --batch`: many requests from a file of JSON lines, answered together, one line each.

mod lines;
mod record;
mod request;

use super::{Ask, json};
use crate::ending::{Usage, on_one_line};
use crate::interrupt::{Interrupt, stopping};
use crate::loading;
use crate::model::failed;
use crate::output;
use crate::untrained::Warning;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use lines::Lines;
use record::Record;
use request::{Asked, Defaults, Id, Item};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use visor::{
    Answer, Cancel, DeviceRequest, LoadOptions, Model, Prepared, RunError, Thrift, memory,
};

const MIB: u64 = 1 << 20;
/// In MiB.
const DEFAULT_CACHE: u64 = 256;
const DEFAULT_TOGETHER: usize = 8;

#[derive(Args, Debug)]
pub(crate) struct BatchArgs {
    /// A file of JSON lines, each a request, in place of PROMPT; `-` reads them from standard input.
    /// {"id", "prompt", "images": [..], "budget", "max_gflops", "thrift", "patches", "max_tiles",
    /// "max_new_tokens", "temperature", "top_p", "top_k", "seed", "stop": [..]}: all but the prompt
    /// may be left out and are then what the other options say. Answers are printed as JSON lines
    /// in the same order; what is wrong with a request is said in its line
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["prompt", "images", "messages", "raw_prompt", "overlay"]
    )]
    batch: Option<PathBuf>,

    /// Write the answers of a batch to a file in place of standard output; where it is there
    /// already, go on with the requests that it does not answer
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Requests of a batch that are answered together [default: 8]
    #[arg(long, value_name = "N")]
    together: Option<NonZeroUsize>,

    /// MiB of memory for encoded pictures that later requests of a batch may show again
    /// [default: 256]
    #[arg(long, value_name = "MIB")]
    picture_cache: Option<u64>,
}

impl BatchArgs {
    /// Whether requests come from a file.
    ///
    /// # Errors
    /// If they do not, and something is said about the batch that there is not. (clap demands no
    /// option that excludes one that is there, and a prompt excludes a batch.)
    pub(super) fn is_wanted(&self) -> Result<bool> {
        let Self { batch, out, together, picture_cache } = self;
        let about = [
            ("--out", out.is_some()),
            ("--together", together.is_some()),
            ("--picture-cache", picture_cache.is_some()),
        ];
        match (batch, about.iter().find(|(_, given)| *given)) {
            (None, Some((option, _))) => {
                Err(Usage::because(format!("{option} is for a batch: give one with --batch")))
            }
            (batch, _) => Ok(batch.is_some()),
        }
    }
}

/// A request on its way, or why there is none.
struct Pending {
    id: Id,
    thrift: Option<Thrift>,
    prepared: Result<Prepared, String>,
}

#[derive(Serialize)]
struct Answered<'a> {
    id: &'a Id,
    #[serde(flatten)]
    report: json::Report<'a>,
}

#[derive(Serialize)]
struct Failed<'a> {
    id: &'a Id,
    error: &'a str,
}

/// Answers all requests of the file.
pub(super) fn run(ask: &Ask, args: &BatchArgs) -> Result<()> {
    let Some(path) = &args.batch else { return Ok(()) };
    let cancel = Cancel::new();
    let defaults = Defaults {
        budget: ask.budget.clone(),
        ceiling: ask.max_gflops,
        thrift: ask.policy.thrift(),
        patches: ask.patches,
        max_tiles: ask.max_tiles,
        generation: &ask.generation,
        cancel: cancel.clone(),
    };
    // Wrong numbers among the options are wrong usage, and no request's fault.
    ask.generation.settings()?;
    let mut lines = Lines::open(path)?;
    let mut record = Record::open(args.out.as_deref())?;
    // Any request may leave its budget to the policy.
    let policy = ask.policy.find(None)?;
    let model_ref = ask.model.find()?;
    ask.threads.start()?;
    let cache = args.picture_cache.unwrap_or(DEFAULT_CACHE);
    let bytes = cache.checked_mul(MIB);
    let bytes =
        bytes.ok_or_else(|| Usage::because(format!("--picture-cache {cache}: too large")))?;
    let options = LoadOptions::default().device(ask.device).dtype(ask.dtype).policy(policy);
    let model = loading::load(&model_ref, &options.picture_cache(bytes))?;
    let mut untrained = Warning::of(&model);
    let interrupt = Interrupt::watch(move || {
        stopping();
        cancel.cancel();
    })?;
    let (mut answered, mut wrong, mut skipped) = (0_u64, 0_u64, 0_u64);
    let together = args.together.map_or(DEFAULT_TOGETHER, NonZeroUsize::get);
    loop {
        let mut batch = Vec::new();
        while batch.len() < together {
            let Some(line) = lines.next_line()? else { break };
            let Item { id, asked } = request::read(line, lines.folder(), &defaults);
            if record.has(&id) {
                skipped += 1;
                continue;
            }
            let (thrift, prepared) = match record.claim(&id).and(asked) {
                Ok(Asked { question, thrift, patches }) => {
                    untrained.hear(patches);
                    (thrift, model.prepare(question).map_err(failed))
                }
                Err(error) => (None, Err(error)),
            };
            batch.push(Pending { id, thrift, prepared: prepared.map_err(|e| on_one_line(&e)) });
        }
        if batch.is_empty() {
            break;
        }
        let results = answers(&model, ask.device, batch)?;
        for (id, thrift, result) in results {
            interrupt.check("the requests that are answered are kept")?;
            match result {
                Ok(answer) => {
                    answered += 1;
                    let report = json::Report::new(&answer, &model, thrift);
                    record.write(&Answered { id: &id, report })?;
                }
                Err(error) => {
                    wrong += 1;
                    record.write(&Failed { id: &id, error: &error })?;
                }
            }
        }
    }
    let before = if skipped > 0 { format!(", {skipped} before") } else { String::new() };
    output::note(&format!("{answered} answered{before}, {wrong} failed"));
    if wrong > 0 {
        bail!("{wrong} of {} requests failed: their lines say why", answered + wrong);
    }
    Ok(())
}

/// What became of a request.
type Done = (Id, Option<Thrift>, Result<Answer, String>);

/// One result a request, in their order; those that are sound are answered together.
///
/// # Errors
/// If there is no memory for what they hold together.
fn answers(model: &Model, device: DeviceRequest, batch: Vec<Pending>) -> Result<Vec<Done>> {
    let (mut sound, mut rest) = (Vec::new(), Vec::new());
    for Pending { id, thrift, prepared } in batch {
        rest.push((id, thrift, prepared.map(|prepared| sound.push(prepared))));
    }
    if device == DeviceRequest::Cpu {
        memory::expect_free(sound.iter().map(Prepared::kv_bytes).sum()).with_context(|| {
            let n = sound.len();
            format!("no room for the keys and values of {n} requests: answer fewer (--together)")
        })?;
    }
    let mut results = model.runner().answer_batch(sound).into_iter();
    let result = |(id, thrift, prepared): (Id, Option<Thrift>, Result<(), String>)| {
        let result = prepared.and_then(|()| {
            let one = results.next().unwrap_or(Err(RunError::Cancelled(visor::Cancelled)));
            one.map_err(|error| on_one_line(&failed(error.into())))
        });
        (id, thrift, result)
    };
    Ok(rest.into_iter().map(result).collect())
}
