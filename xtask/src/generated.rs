//! Blocks of documents that are written from committed records, never by hand.
//!
//! A block stands between `<!-- generated: NAME -->` and `<!-- end -->` in any Markdown file.

mod card;
mod compared;
mod controls;
mod loading;
mod nano;
mod networks;
mod parity;
mod policy;
mod selector;
mod serving;
mod speed;
mod unseen;

use crate::markdown::{fill_blocks, has_blocks};
use crate::repo::Repo;
use anyhow::{Context, Result, bail};

/// A document whose blocks are not what the records say.
pub(crate) struct Outdated {
    pub(crate) file: String,
    /// What it should be.
    pub(crate) text: String,
}

/// The documents that would change if all blocks were written now.
pub(crate) fn outdated(repo: &Repo) -> Result<Vec<Outdated>> {
    let mut outdated = Vec::new();
    for (file, text) in repo.texts() {
        if !file.ends_with(".md") || !has_blocks(&text) {
            continue;
        }
        let now = fill_blocks(&text, &|name| content(repo, name)).context(file.to_owned())?;
        if now != text {
            outdated.push(Outdated { file: file.to_owned(), text: now });
        }
    }
    Ok(outdated)
}

/// The trained checkpoints that are shipped.
const SHIPPED: [&str; 2] = ["nano", "mini"];

fn content(repo: &Repo, name: &str) -> Result<String> {
    if let Some((model, what)) = name.split_once('-').filter(|(model, _)| SHIPPED.contains(model)) {
        return of_model(repo, model, what);
    }
    match name {
        "nano" => nano::block(repo),
        "parity" => parity::block(repo),
        "crossover" => speed::crossover(repo),
        "kernels" => speed::kernels(repo),
        "loading" => loading::block(repo),
        "serving" => serving::block(repo),
        "speed" => speed::stages(repo),
        "speeds" => speed::summary::block(repo),
        "selectors" => selector::block(repo),
        _ => bail!("nothing generates a block of this name"),
    }
}

/// What a shipped checkpoint's documents hold of its records.
fn of_model(repo: &Repo, model: &str, what: &str) -> Result<String> {
    match (model, what) {
        (_, "card") => card::block(repo, model),
        (_, "networks") => networks::block(repo, model),
        (_, "policy") => policy::block(repo, model),
        (_, "selectors") => selector::shipped(repo, model),
        ("nano", "controls") => controls::block(repo),
        ("nano", "unseen") => unseen::block(repo),
        _ => bail!("nothing generates a block of this name"),
    }
}
