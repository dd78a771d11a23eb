//! One line of a batch: what is asked, and how.

use super::lines::Line;
use crate::ask::generation::{GenerationArgs, Overrides};
use crate::ask::positive;
use anyhow::{Context, Error, Result, bail};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use visor::{BudgetRequest, Cancel, Flops, Patches, Question, Thrift};

/// What a request is called: in its answer, and where a batch goes on.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Id {
    Number(u64),
    Text(String),
}

/// What holds where a request says nothing.
pub(super) struct Defaults<'a> {
    pub(super) budget: Option<BudgetRequest>,
    pub(super) ceiling: Option<Flops>,
    pub(super) thrift: Option<Thrift>,
    pub(super) patches: Patches,
    pub(super) max_tiles: Option<NonZeroUsize>,
    pub(super) generation: &'a GenerationArgs,
    pub(super) cancel: Cancel,
}

/// A line with its name, and the question that it asks, if it does.
pub(super) struct Item {
    pub(super) id: Id,
    pub(super) asked: Result<Asked>,
}

/// A question, with what is said of it beside its answer.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) thrift: Option<Thrift>,
    pub(super) patches: Patches,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: Option<Id>,
    prompt: String,
    #[serde(default)]
    images: Vec<PathBuf>,
    budget: Option<String>,
    max_gflops: Option<f64>,
    thrift: Option<f32>,
    patches: Option<RawPatches>,
    max_tiles: Option<NonZeroUsize>,
    max_new_tokens: Option<NonZeroUsize>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<usize>,
    seed: Option<u64>,
    stop: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawPatches {
    Count(u64),
    Word(String),
}

/// Only the name of a line that is otherwise wrong.
#[derive(Deserialize)]
struct Named {
    id: Option<Id>,
}

/// Reads a line; pictures are looked for from `folder`. A line without a name is called by its
/// number.
pub(super) fn read(line: Line, folder: &Path, defaults: &Defaults<'_>) -> Item {
    let by_number = Id::Number(line.number);
    let text = match line.text {
        Ok(text) => text,
        Err(error) => return Item { id: by_number, asked: Err(error) },
    };
    match serde_json::from_str::<Raw>(&text) {
        Ok(raw) => {
            let id = raw.id.clone().unwrap_or(by_number);
            Item { id, asked: question(raw, folder, defaults) }
        }
        Err(error) => {
            let named = serde_json::from_str::<Named>(&text).ok();
            let id = named.and_then(|named| named.id).unwrap_or(by_number);
            let about = format!("line {} is no request", line.number);
            Item { id, asked: Err(Error::new(error).context(about)) }
        }
    }
}

fn question(raw: Raw, folder: &Path, defaults: &Defaults<'_>) -> Result<Asked> {
    let Raw { prompt, images, budget, max_gflops, thrift, patches, max_tiles, .. } = raw;
    let Raw { max_new_tokens, temperature, top_p, top_k, seed, stop, .. } = raw;
    let own = Overrides { max_new_tokens, temperature, top_p, top_k, seed, stop };
    if prompt.trim().is_empty() {
        bail!("the prompt is empty: expected a question");
    }
    let budget = match &budget {
        None => defaults.budget.clone(),
        Some(word) => Some(word.parse()?),
    };
    let ceiling = match max_gflops {
        None => defaults.ceiling,
        Some(giga) => Some(positive(giga).context("max_gflops: expected a positive number")?),
    };
    let thrift = match thrift {
        None => defaults.thrift,
        Some(weight) => Some(Thrift::new(weight).context("thrift: expected a number from 0 up")?),
    };
    let patches = match patches {
        None => defaults.patches,
        Some(RawPatches::Count(count)) => count.to_string().parse().context("patches")?,
        Some(RawPatches::Word(word)) => word.parse().context("patches")?,
    };
    let settings = defaults.generation.settings_with(&own)?;
    let question = images
        .iter()
        .fold(Question::new(prompt), |question, image| question.picture_file(folder.join(image)));
    let question = question.patches(patches).settings(settings).cancel(defaults.cancel.clone());
    let question = budget.into_iter().fold(question, Question::budget);
    let question = ceiling.into_iter().fold(question, Question::ceiling);
    let question = thrift.into_iter().fold(question, Question::thrift);
    let question = max_tiles.or(defaults.max_tiles).into_iter().fold(question, Question::max_tiles);
    Ok(Asked { question, thrift, patches })
}
