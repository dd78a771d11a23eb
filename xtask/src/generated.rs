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

fn content(repo: &Repo, name: &str) -> Result<String> {
    match name {
        "nano" => nano::block(repo),
        "parity" => parity::block(repo),
        "nano-card" => card::block(repo),
        "nano-controls" => controls::block(repo),
        "nano-networks" => networks::block(repo),
        "nano-policy" => policy::block(repo),
        "nano-unseen" => unseen::block(repo),
        "crossover" => speed::crossover(repo),
        "kernels" => speed::kernels(repo),
        "loading" => loading::block(repo),
        "speed" => speed::stages(repo),
        "selectors" => selector::block(repo),
        _ => bail!("nothing generates a block of this name"),
    }
}
