//! `visor tasks generate`: a folder of pictures with the list of their questions.

use super::selection::Selection;
use crate::files::NewFolder;
use crate::interrupt::{self, Interrupt};
use crate::output::note;
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use visor_tasks::Row;

/// The list of questions in the folder.
const LIST: &str = "samples.jsonl";

/// The same as conversations.
const CONVERSATIONS: &str = "conversations.jsonl";

/// The fewest digits in the name of a picture.
const DIGITS: usize = 5;

/// Write pictures, and samples.jsonl: one question a line with its answer
#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    selection: Selection,

    /// Number of pictures; each has two to four questions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// Also write conversations.jsonl, every question a conversation of its own, which
    /// `visor train universal --data` learns from
    #[arg(long)]
    conversations: bool,

    /// The folder: new, empty, or written by this command before, and then replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// A question as LLaVA's training data have it.
#[derive(Serialize)]
struct Conversation<'a> {
    image: &'a str,
    conversations: [Turn<'a>; 2],
}

#[derive(Serialize)]
struct Turn<'a> {
    from: &'static str,
    value: Cow<'a, str>,
}

impl<'a> Conversation<'a> {
    fn of(row: &'a Row) -> Self {
        let asked = Cow::Owned(format!("<image>\n{}", row.question));
        let answered = Cow::Borrowed(row.answer.as_str());
        let turn = |from, value| Turn { from, value };
        Self { image: &row.image, conversations: [turn("human", asked), turn("gpt", answered)] }
    }
}

impl Generate {
    pub(crate) fn run(&self) -> Result<()> {
        let pictures = self.selection.pictures()?;
        let interrupt = Interrupt::watch(interrupt::stopping)?;
        let folder = NewFolder::begin(&self.out, generated)?;
        let digits = (self.count - 1).to_string().len().max(DIGITS);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {eta} left")?;
        let bar = ProgressBar::new(self.count.into()).with_style(style);
        let (mut list, mut conversations) = (String::new(), String::new());
        let mut questions = 0;
        for index in 0..u64::from(self.count) {
            interrupt.check("nothing was written")?;
            let sample = pictures.sample(index);
            let image = format!("{index:0digits$}.png");
            folder.write(&image, &sample.picture.to_png()?)?;
            for row in Row::of(&sample, &image, pictures.split, pictures.seed(index)) {
                list.push_str(&serde_json::to_string(&row)?);
                list.push('\n');
                if self.conversations {
                    conversations.push_str(&serde_json::to_string(&Conversation::of(&row))?);
                    conversations.push('\n');
                }
                questions += 1;
            }
            bar.inc(1);
        }
        folder.write(LIST, list.as_bytes())?;
        if self.conversations {
            folder.write(CONVERSATIONS, conversations.as_bytes())?;
        }
        bar.finish_and_clear();
        folder.finish()?;
        note(&format!(
            "{} pictures and {questions} questions in `{}`",
            self.count,
            self.out.display()
        ));
        Ok(())
    }
}

/// Whether a folder holds the list and the pictures that it names, and nothing else.
fn generated(folder: &Path) -> Result<()> {
    let list = folder.join(LIST);
    let mut own = BTreeSet::from([LIST.to_owned()]);
    if list.is_file() {
        let cannot = || format!("cannot read `{}`", list.display());
        for line in BufReader::new(File::open(&list).with_context(cannot)?).lines() {
            match serde_json::from_str::<Row>(&line.with_context(cannot)?) {
                Ok(row) => own.extend([row.image, CONVERSATIONS.to_owned()]),
                Err(_) => break,
            };
        }
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !own.contains(&name) || own.len() == 1 {
            bail!(
                "`{}` holds `{name}`, which this command has not written: choose another folder",
                folder.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_tasks::{Family, Split, Suite, SuiteName};

    fn folder_of(images: &[&str], files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::TempDir::new().expect("a folder");
        let sample = Suite::new(SuiteName::Nano).sample(Split::Train, Family::Twin, 1);
        let rows = images.iter().flat_map(|image| Row::of(&sample, image, Split::Train, 1));
        let line = |row| serde_json::to_string(&row).expect("a row") + "\n";
        fs::write(root.path().join(LIST), rows.map(line).collect::<String>()).expect("written");
        for file in files {
            fs::write(root.path().join(file), b"x").expect("written");
        }
        root
    }

    #[test]
    fn only_a_folder_of_listed_pictures_may_be_replaced() {
        let allowed = |images: &[&str], files: &[&str]| {
            generated(folder_of(images, files).path()).map_err(|error| error.to_string())
        };
        assert_eq!(allowed(&["0.png", "1.png"], &["0.png", "1.png"]), Ok(()));
        let error = allowed(&["0.png"], &["0.png", "thesis.tex"]).expect_err("not ours");
        assert!(error.contains("holds `thesis.tex`"), "{error}");
        let error = allowed(&[], &[]).expect_err("an empty list is anybody's");
        assert!(error.contains("holds `samples.jsonl`"), "{error}");
    }
}
