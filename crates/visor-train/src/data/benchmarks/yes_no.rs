//! Benchmarks that ask for yes or no: MME, POPE.

use super::super::Scorer;
use super::super::columns::Shards;
use super::super::conversations::Place;
use super::BRIEFLY;
use super::rows::{Row, Rows, Shown, Words, inside, read_text, told};
use crate::error::TrainError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The splits of POPE, with their files.
pub(super) const SPLITS: [(&str, &str); 3] = [
    ("random", "coco_pope_random.json"),
    ("popular", "coco_pope_popular.json"),
    ("adversarial", "coco_pope_adversarial.json"),
];

#[derive(Deserialize)]
struct Probe {
    question_id: Words,
    image: String,
    text: String,
    label: String,
}

/// Whether the answer is yes or no.
fn checked(answer: &str) -> Result<String, String> {
    match answer.trim().to_lowercase() {
        answer if ["yes", "no"].contains(&answer.as_str()) => Ok(answer),
        other => Err(format!("the answer is {other:?}: expected yes or no")),
    }
}

/// The splits of POPE that are there.
pub(super) fn pope(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    for (split, file) in SPLITS {
        let path = rows.path(file);
        if !path.is_file() {
            continue;
        }
        rows.list(&path, None, |rows, row: Probe| {
            let picture = Shown::File(rows.path("val2014").join(inside(&row.image)?));
            probe(split, &row.question_id.text(), picture, &row.text, &row.label)
        })?;
    }
    Ok(())
}

/// The same of lmms-lab/POPE, where the split is a column.
pub(super) fn pope_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    let columns = ["question_id", "question", "answer", "image", "category"];
    rows.columns(shards, &columns, |row| {
        let category = row.text("category")?;
        let Some((split, _)) = SPLITS.into_iter().find(|(split, _)| *split == category) else {
            return Err(format!(
                "column `category` is {category:?}: expected {}",
                SPLITS.map(|(split, _)| split).join(", ")
            ));
        };
        let picture = Shown::Embedded(row.picture("image")?);
        let (id, answer) = (row.words("question_id")?, row.text("answer")?);
        probe(split, &id, picture, &row.text("question")?, &answer)
    })
}

fn probe(
    split: &str,
    id: &str,
    picture: Shown,
    question: &str,
    answer: &str,
) -> Result<Option<Row>, String> {
    Ok(Some(Row {
        id: format!("{split}-{id}"),
        picture,
        question: told(question, BRIEFLY),
        answers: vec![checked(answer)?],
        scorer: Scorer::Presence,
        family: split.to_owned(),
    }))
}

/// The tasks of MME, perception first.
pub(super) const PERCEPTION: [&str; 10] = [
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
];
pub(super) const COGNITION: [&str; 4] =
    ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"];

/// The tasks of MME that are there.
pub(super) fn mme(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    for task in PERCEPTION.into_iter().chain(COGNITION) {
        let folder = rows.path(task);
        if !folder.is_dir() {
            continue;
        }
        let apart = folder.join("questions_answers_YN");
        let (texts, pictures) = match apart.is_dir() {
            true => (apart, folder.join("images")),
            false => (folder.clone(), folder),
        };
        let shown = files(&pictures)?;
        for text in files(&texts)?.iter().filter(|path| path.extension() == Some("txt".as_ref())) {
            let own = |path: &&PathBuf| {
                path.file_stem() == text.file_stem() && path.extension() != Some("txt".as_ref())
            };
            let picture = shown.iter().find(own);
            for (index, line) in read_text(text)?.lines().enumerate() {
                if line.trim().is_empty() {
                    continue;
                }
                let place = Place::Line(index + 1);
                let row = pair(task, text, index, line, picture);
                rows.take(row, |because| place.error(text, because))?;
            }
        }
    }
    Ok(())
}

/// A line of a picture's text: question, tabulator, answer.
fn pair(
    task: &str,
    text: &Path,
    index: usize,
    line: &str,
    picture: Option<&PathBuf>,
) -> Result<Option<Row>, String> {
    let (question, answer) =
        line.split_once('\t').ok_or("expected a question, a tabulator and an answer")?;
    let stem = text.file_stem().map(OsStr::to_string_lossy).unwrap_or_default();
    let picture = picture.ok_or_else(|| format!("no picture is called `{stem}`"))?;
    let about = format!("{task}/{stem}");
    half_pair(task, (&about, index + 1), Shown::File(picture.clone()), question, answer)
}

/// The same of lmms-lab/MME, where the questions about a picture have one `question_id`.
pub(super) fn mme_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    let mut about: BTreeMap<String, usize> = BTreeMap::new();
    let columns = ["question_id", "image", "question", "answer", "category"];
    rows.columns(shards, &columns, |row| {
        let category = row.text("category")?;
        let mut tasks = PERCEPTION.into_iter().chain(COGNITION);
        let Some(task) = tasks.find(|task| *task == category) else {
            let all = PERCEPTION.into_iter().chain(COGNITION).collect::<Vec<_>>().join(", ");
            return Err(format!("column `category` is {category:?}: expected one of {all}"));
        };
        let id = row.words("question_id")?;
        let count = about.entry(format!("{task} {id}")).or_default();
        *count += 1;
        let picture = Shown::Embedded(row.picture("image")?);
        let (question, answer) = (row.text("question")?, row.text("answer")?);
        half_pair(task, (&id, *count), picture, &question, &answer)
    })
}

/// One of the questions about a picture, whose ids are alike up to the last stroke.
fn half_pair(
    task: &str,
    (about, number): (&str, usize),
    picture: Shown,
    question: &str,
    answer: &str,
) -> Result<Option<Row>, String> {
    Ok(Some(Row {
        id: format!("{about}/{number}"),
        picture,
        // It says itself: please answer yes or no.
        question: question.trim().to_owned(),
        answers: vec![checked(answer)?],
        scorer: Scorer::YesNo,
        family: task.to_owned(),
    }))
}

/// The files of a folder by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let failed = |source| TrainError::File { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut files = entries
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect::<Result<Vec<_>, TrainError>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}
