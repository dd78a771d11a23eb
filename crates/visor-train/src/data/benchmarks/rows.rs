//! Rows of annotations on their way to items: what is wrong with one is said with its place.

use super::super::columns::{Embedded, Record, Shards};
use super::super::conversations::{Place, entries};
use super::super::{BadLines, Item, ItemFile, ItemPicture, Scorer};
use crate::error::TrainError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger files of annotations are not read.
const MAX_FILE: u64 = 1 << 30;

/// One question of a benchmark.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) picture: Shown,
    pub(super) question: String,
    pub(super) answers: Vec<String>,
    pub(super) scorer: Scorer,
    pub(super) family: String,
}

/// The picture of a row.
pub(super) enum Shown {
    /// A file that is to be read.
    File(PathBuf),
    /// In the row itself.
    Embedded(Embedded),
    /// Read already.
    Known(ItemFile),
}

/// Pictures that have been read, or what was wrong with them: each is read once however many
/// questions are about it.
#[derive(Default)]
pub(super) struct Pictures {
    files: BTreeMap<PathBuf, Result<ItemFile, String>>,
    /// By their bytes: a table repeats a picture in every row that is about it.
    embedded: BTreeMap<[u8; 32], Result<ItemFile, String>>,
}

impl Pictures {
    pub(super) fn file(&mut self, path: &Path) -> Result<ItemFile, String> {
        let read = || ItemFile::read(path);
        self.files.entry(path.to_owned()).or_insert_with(read).clone()
    }

    pub(super) fn embedded(&mut self, embedded: &Embedded) -> Result<ItemFile, String> {
        let read = || ItemFile::embedded(embedded);
        let bytes = Sha256::digest(embedded.bytes()).into();
        self.embedded.entry(bytes).or_insert_with(read).clone()
    }
}

/// What became of all rows so far.
pub(super) struct Rows<'a> {
    folder: &'a Path,
    bad: BadLines,
    items: Vec<Item>,
    skipped: Vec<TrainError>,
    /// How often each name was given: some benchmarks name pictures and not questions.
    named: BTreeMap<String, usize>,
    pictures: Pictures,
}

impl<'a> Rows<'a> {
    pub(super) fn new(folder: &'a Path, bad: BadLines) -> Self {
        Self {
            folder,
            bad,
            items: Vec::new(),
            skipped: Vec::new(),
            named: BTreeMap::new(),
            pictures: Pictures::default(),
        }
    }

    /// The benchmark's folder.
    pub(super) fn folder(&self) -> &'a Path {
        self.folder
    }

    /// A path in the benchmark's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The rows of a JSON list, of the list in `field` of an object, or of JSON lines.
    pub(super) fn list<T: DeserializeOwned>(
        &mut self,
        path: &Path,
        field: Option<&str>,
        mut make: impl FnMut(&Self, T) -> Result<Option<Row>, String>,
    ) -> Result<(), TrainError> {
        let text = read_text(path)?;
        let rows: Vec<(Place, String)> = match field {
            None => entries(path, &text)?,
            Some(field) => {
                let mut file: Map<String, Value> = json(path, &text)?;
                let Some(Value::Array(all)) = file.remove(field) else {
                    let because = format!("expected a list `{field}`");
                    return Err(TrainError::Unusable { path: path.to_owned(), because });
                };
                let entry =
                    |(index, row): (usize, Value)| (Place::Entry(index + 1), row.to_string());
                all.into_iter().enumerate().map(entry).collect()
            }
        };
        for (place, row) in rows {
            let row = serde_json::from_str(&row).map_err(|error| error.to_string());
            let row = row.and_then(|row| make(self, row));
            self.take(row, |because| place.error(path, because))?;
        }
        Ok(())
    }

    /// The rows of a JSON object, each under its name.
    pub(super) fn named<T: DeserializeOwned>(
        &mut self,
        path: &Path,
        mut make: impl FnMut(&Self, &str, T) -> Result<Option<Row>, String>,
    ) -> Result<(), TrainError> {
        let file: Map<String, Value> = json(path, &read_text(path)?)?;
        for (name, row) in file {
            let row = serde_json::from_value(row).map_err(|error| error.to_string());
            let row = row.and_then(|row| make(self, &name, row));
            self.take(row, |because| TrainError::DataRow {
                path: path.to_owned(),
                row: name.clone(),
                because,
            })?;
        }
        Ok(())
    }

    /// The rows of a table.
    pub(super) fn columns(
        &mut self,
        shards: &Shards,
        columns: &[&str],
        mut make: impl FnMut(&Record<'_>) -> Result<Option<Row>, String>,
    ) -> Result<(), TrainError> {
        shards.read(columns, |record| {
            let row = make(record);
            self.take(row, |because| record.error(because))
        })
    }

    /// The pictures of a table by what their column `name` says.
    pub(super) fn gallery(
        &mut self,
        shards: &Shards,
        (name, picture): (&str, &str),
    ) -> Result<BTreeMap<String, Result<ItemFile, String>>, TrainError> {
        let mut all = BTreeMap::new();
        shards.read(&[name, picture], |record| {
            let named = record.words(name).map_err(|because| record.error(because))?;
            let file = record.picture(picture);
            all.insert(named, file.and_then(|file| self.pictures.embedded(&file)));
            Ok(())
        })?;
        Ok(all)
    }

    /// Makes an item of a row; of `None` nothing.
    pub(super) fn take(
        &mut self,
        row: Result<Option<Row>, String>,
        error: impl FnOnce(String) -> TrainError,
    ) -> Result<(), TrainError> {
        let made = match row {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => self.item(row),
            Err(because) => Err(because),
        };
        match (made, self.bad) {
            (Ok(item), _) => self.items.push(item),
            (Err(because), BadLines::Skip) => self.skipped.push(error(because)),
            (Err(because), BadLines::Refuse) => return Err(error(because)),
        }
        Ok(())
    }

    fn item(&mut self, row: Row) -> Result<Item, String> {
        if row.question.trim().is_empty() {
            return Err("the question is empty".to_owned());
        }
        if row.answers.iter().all(|answer| answer.trim().is_empty()) {
            return Err("there is no answer; hidden test answers cannot be scored".to_owned());
        }
        let picture = match row.picture {
            Shown::File(path) => self.pictures.file(&path)?,
            Shown::Embedded(embedded) => self.pictures.embedded(&embedded)?,
            Shown::Known(file) => file,
        };
        let times = self.named.entry(row.id.clone()).or_default();
        *times += 1;
        Ok(Item {
            id: if *times == 1 { row.id } else { format!("{} ({times})", row.id) },
            pictures: vec![ItemPicture::File(picture)],
            question: row.question,
            conversation: Vec::new(),
            answers: row.answers,
            scorer: row.scorer,
            family: row.family,
            need: None,
            hops: 0,
            objects: 0,
        })
    }

    pub(super) fn finish(self) -> (Vec<Item>, Vec<TrainError>) {
        (self.items, self.skipped)
    }
}

/// A question with the words that say how to answer.
pub(super) fn told(question: &str, how: &str) -> String {
    format!("{}\n{how}", question.trim())
}

/// A name that stays in the folder that it is looked up in.
pub(super) fn inside(name: &str) -> Result<&str, String> {
    let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    match !name.is_empty() && Path::new(name).components().all(plain) {
        true => Ok(name),
        false => Err(format!("the picture's name {name:?} leads out of the benchmark's folder")),
    }
}

/// Text, or a number as text: annotations have both.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    Text(String),
    Number(serde_json::Number),
}

impl Words {
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) => text.trim().to_owned(),
            Self::Number(number) => number.to_string(),
        }
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, TrainError> {
    let failed = |source| TrainError::File { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        let because = format!("{size} bytes are more than the limit of {MAX_FILE}");
        return Err(TrainError::Unusable { path: path.to_owned(), because });
    }
    fs::read_to_string(path).map_err(failed)
}

pub(super) fn json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, TrainError> {
    serde_json::from_str(text).map_err(|source| TrainError::Json { path: path.to_owned(), source })
}
