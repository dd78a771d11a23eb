//! RefCOCO: expressions that refer to a box in a picture, which say whether patches were chosen
//! where the expression looks.
//!
//! The original annotations are a pickle, which would execute what it holds; read are the JSON
//! lines that Qwen-VL's evaluation made of them.

use super::rows::{inside, read_text};
use crate::data::conversations::entries;
use crate::data::{BadLines, ItemFile, ItemPicture};
use crate::error::TrainError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// Reads the splits that are there; every picture is read once.
///
/// # Errors
/// If no split is there, a file cannot be read, or a bad line must not be skipped.
pub fn read_refcoco(
    folder: &Path,
    bad: BadLines,
) -> Result<(Vec<Referring>, Vec<TrainError>), TrainError> {
    let all = SPLITS.map(|(split, file)| (split, folder.join(file)));
    let there: Vec<_> = all.iter().filter(|(_, path)| path.is_file()).collect();
    if there.is_empty() {
        // The error of opening one says what is wrong.
        read_text(&all[0].1)?;
    }
    let mut known: BTreeMap<PathBuf, Result<ItemFile, String>> = BTreeMap::new();
    let (mut read, mut skipped) = (Vec::new(), Vec::new());
    for (split, path) in there {
        for (place, line) in entries(path, &read_text(path)?)? {
            let made = serde_json::from_str(&line)
                .map_err(|error| error.to_string())
                .and_then(|raw| referring(&raw, split, &place.to_string(), folder, &mut known));
            match (made, bad) {
                (Ok(made), _) => read.push(made),
                (Err(because), BadLines::Skip) => skipped.push(place.error(path, because)),
                (Err(because), BadLines::Refuse) => return Err(place.error(path, because)),
            }
        }
    }
    match read.is_empty() {
        true => Err(TrainError::NoQuestions { data: folder.display().to_string() }),
        false => Ok((read, skipped)),
    }
}

fn referring(
    raw: &RawReferring,
    split: &str,
    place: &str,
    folder: &Path,
    known: &mut BTreeMap<PathBuf, Result<ItemFile, String>>,
) -> Result<Referring, String> {
    // Lists name pictures by where they lay on another machine.
    let name = raw.image.rsplit('/').next().unwrap_or_default();
    let path = folder.join("train2014").join(inside(name)?);
    let read = || ItemFile::read(&path);
    let file = known.entry(path.clone()).or_insert_with(read).clone()?;
    let picture = ItemPicture::File(file);
    let (width, height) = picture.size();
    let [left, top, right, bottom] = raw.bbox;
    let within = 0.0 <= left && left < right && right <= f64::from(width) + 1.0;
    if !(within && 0.0 <= top && top < bottom && bottom <= f64::from(height) + 1.0) {
        return Err(format!(
            "`bbox` is {:?}: expected left, top, right and bottom within {width}x{height}",
            raw.bbox
        ));
    }
    if raw.sent.trim().is_empty() {
        return Err("`sent` is empty".to_owned());
    }
    Ok(Referring {
        id: format!("{split}, {place}"),
        split: split.to_owned(),
        picture,
        expression: raw.sent.trim().to_owned(),
        bounds: raw.bbox,
    })
}
