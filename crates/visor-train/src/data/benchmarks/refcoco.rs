//! RefCOCO: expressions that refer to a box in a picture, which say whether patches were chosen
//! where the expression looks.
//!
//! The original annotations are a pickle, which would execute what it holds; read are the JSON
//! lines that Qwen-VL's evaluation made of them, or the tables of lmms-lab/RefCOCO.

use super::Benchmark;
use super::hub::{HERE, holds_neither};
use super::rows::{Pictures, inside, read_text};
use crate::data::columns::{Record, Shards};
use crate::data::conversations::{Place, entries};
use crate::data::{BadLines, ItemFile, ItemPicture};
use crate::error::TrainError;
use serde::Deserialize;
use std::path::Path;

/// The splits with their files.
const SPLITS: [(&str, &str); 3] = [
    ("val", "refcoco_val.jsonl"),
    ("testA", "refcoco_testA.jsonl"),
    ("testB", "refcoco_testB.jsonl"),
];

/// An expression and the box that it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Referring {
    /// Names it in reports: split and place.
    pub id: String,
    /// The split.
    pub split: String,
    /// The picture.
    pub picture: ItemPicture,
    /// The expression.
    pub expression: String,
    /// Left, top, right and bottom in pixels of the picture.
    pub bounds: [f64; 4],
}

#[derive(Deserialize)]
struct RawReferring {
    image: String,
    sent: String,
    bbox: [f64; 4],
}

/// What became of the lines or rows so far.
struct Expressions {
    bad: BadLines,
    pictures: Pictures,
    read: Vec<Referring>,
    skipped: Vec<TrainError>,
}

impl Expressions {
    fn take(
        &mut self,
        made: Result<Vec<Referring>, String>,
        error: impl FnOnce(String) -> TrainError,
    ) -> Result<(), TrainError> {
        match (made, self.bad) {
            (Ok(made), _) => self.read.extend(made),
            (Err(because), BadLines::Skip) => self.skipped.push(error(because)),
            (Err(because), BadLines::Refuse) => return Err(error(because)),
        }
        Ok(())
    }
}

/// Reads the splits that are there; every picture is read once.
///
/// # Errors
/// If no split is there, a file cannot be read, or a bad line must not be skipped.
pub fn read_refcoco(
    folder: &Path,
    bad: BadLines,
) -> Result<(Vec<Referring>, Vec<TrainError>), TrainError> {
    let mut all =
        Expressions { bad, pictures: Pictures::default(), read: Vec::new(), skipped: Vec::new() };
    let mut tables = Vec::new();
    for (split, _) in SPLITS {
        if let Some(shards) = Shards::find(folder, &HERE, split)? {
            tables.push((split, shards));
        }
    }
    for (split, shards) in &tables {
        shards.read(&["image", "answer", "bbox"], |row| {
            let made = of_row(row, split, &mut all.pictures);
            all.take(made, |because| row.error(because))
        })?;
    }
    let files = SPLITS.map(|(split, file)| (split, folder.join(file)));
    let files: Vec<_> = files.into_iter().filter(|(_, path)| path.is_file()).collect();
    if tables.is_empty() && files.is_empty() {
        return Err(holds_neither(Benchmark::RefCoco, folder));
    }
    // As of the other benchmarks, tables are read where both lie there.
    for (split, path) in files.iter().filter(|_| tables.is_empty()) {
        for (place, line) in entries(path, &read_text(path)?)? {
            let made = serde_json::from_str(&line)
                .map_err(|error| error.to_string())
                .and_then(|raw| of_line(&raw, (split, place), folder, &mut all.pictures));
            all.take(made.map(|made| vec![made]), |because| place.error(path, because))?;
        }
    }
    match all.read.is_empty() {
        true => Err(TrainError::NoQuestions { data: folder.display().to_string() }),
        false => Ok((all.read, all.skipped)),
    }
}

fn of_line(
    raw: &RawReferring,
    (split, place): (&str, Place),
    folder: &Path,
    pictures: &mut Pictures,
) -> Result<Referring, String> {
    // Lists name pictures by where they lay on another machine.
    let name = raw.image.rsplit('/').next().unwrap_or_default();
    let file = pictures.file(&folder.join("train2014").join(inside(name)?))?;
    referring(split, &place.to_string(), file, &raw.sent, raw.bbox)
}

/// The expressions of a row, whose box is given by its left upper corner, width and height.
fn of_row(
    row: &Record<'_>,
    split: &str,
    pictures: &mut Pictures,
) -> Result<Vec<Referring>, String> {
    let bounds: [f64; 4] = row.reals("bbox")?.try_into().map_err(|bbox| {
        format!("column `bbox` is {bbox:?}: expected left, top, width and height")
    })?;
    let [left, top, width, height] = bounds;
    let bounds = [left, top, left + width, top + height];
    let file = pictures.embedded(&row.picture("image")?)?;
    let expressions = row.texts("answer")?;
    let made = expressions.iter().enumerate().map(|(index, expression)| {
        let place = format!("row {}, expression {}", row.ordinal(), index + 1);
        referring(split, &place, file.clone(), expression, bounds)
    });
    made.collect()
}

fn referring(
    split: &str,
    place: &str,
    file: ItemFile,
    expression: &str,
    bounds: [f64; 4],
) -> Result<Referring, String> {
    let picture = ItemPicture::File(file);
    let (width, height) = picture.size();
    let [left, top, right, bottom] = bounds;
    let within = 0.0 <= left && left < right && right <= f64::from(width) + 1.0;
    if !(within && 0.0 <= top && top < bottom && bottom <= f64::from(height) + 1.0) {
        return Err(format!(
            "`bbox` is {bounds:?}: expected left, top, right and bottom within {width}x{height}"
        ));
    }
    if expression.trim().is_empty() {
        return Err("the expression is empty".to_owned());
    }
    Ok(Referring {
        id: format!("{split}, {place}"),
        split: split.to_owned(),
        picture,
        expression: expression.trim().to_owned(),
        bounds,
    })
}
