//! A user's conversations as examples, with what was left out said.

use crate::data::bad_lines;
use crate::output;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;
use visor::Preparation;
use visor_train::data::read_conversations;
use visor_train::selector::ClipTeacher;
use visor_train::tuning::{Material, Preparing, Turns};

/// The examples of a file, whose pictures are named from `images` or the file's own folder.
pub(crate) fn read(
    path: &Path,
    images: Option<&Path>,
    turns: Turns,
    skip_bad: bool,
    preparing: Preparing<'_>,
) -> Result<Material> {
    let bad = bad_lines(skip_bad);
    let conversations = read_conversations(path, images, bad)?;
    let bar = bar("reading pictures {bar:30} {pos} of {len}", conversations.all.len() as u64);
    let material = Material::new(&conversations, preparing, turns, bad, &mut |done| {
        bar.set_position(done as u64)
    });
    bar.finish_and_clear();
    let material = material?;
    let skipped: Vec<_> = conversations.skipped.iter().chain(&material.skipped).collect();
    for error in &skipped {
        output::note(&format!("left out: {error}"));
    }
    if !skipped.is_empty() {
        output::note(&format!("{} conversations were left out", skipped.len()));
    }
    output::note(&format!(
        "{} sequences with {} answer tokens in `{}`",
        material.examples.len(),
        material.n_targets(),
        path.display()
    ));
    Ok(material)
}

/// How a model is asked, and who must understand its questions as well.
pub(crate) fn preparing<'a>(
    preparation: &'a Preparation,
    teacher: Option<&'a ClipTeacher>,
) -> Preparing<'a> {
    Preparing {
        tokenizer: &preparation.tokenizer,
        processor: &preparation.image_processor,
        template: &preparation.template,
        card: &preparation.blueprint.card,
        teacher,
    }
}

pub(crate) fn bar(template: &str, n: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(n).with_style(style)
}
