//! Benchmarks whose answers are words: VQA-RAD, RealWorldQA, GQA.

use super::super::Scorer;
use super::super::columns::Shards;
use super::BRIEFLY;
use super::rows::{Row, Rows, Shown, Words, inside, told};
use crate::error::TrainError;
use serde::Deserialize;

#[derive(Deserialize)]
struct Radiology {
    qid: Words,
    phrase_type: String,
    image_name: String,
    question: String,
    answer: Words,
    answer_type: String,
}

/// The test questions of VQA-RAD. A closed one is right or wrong, an open one is worth the share of
/// its words that were said.
pub(super) fn vqa_rad(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("VQA_RAD Dataset Public.json");
    rows.list(&path, None, |rows, row: Radiology| {
        if !row.phrase_type.starts_with("test") {
            return Ok(None);
        }
        // Some rows have white space behind the word.
        let closed = match row.answer_type.trim() {
            "CLOSED" => true,
            "OPEN" => false,
            other => return Err(format!("answer_type is {other:?}: expected CLOSED or OPEN")),
        };
        let picture = rows.path("VQA_RAD Image Folder").join(inside(&row.image_name)?);
        let answer = row.answer.text();
        Ok(Some(radiology(row.qid.text(), Shown::File(picture), &row.question, answer, closed)))
    })
}

/// The same of flaviagiammarino/vqa-rad. It does not say which questions are closed: its card calls
/// those so that are answered by yes or no.
pub(super) fn vqa_rad_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    rows.columns(shards, &["image", "question", "answer"], |row| {
        let answer = row.words("answer")?;
        let closed = ["yes", "no"].contains(&answer.to_lowercase().as_str());
        let picture = Shown::Embedded(row.picture("image")?);
        let question = row.text("question")?;
        Ok(Some(radiology(row.ordinal().to_string(), picture, &question, answer, closed)))
    })
}

fn radiology(id: String, picture: Shown, question: &str, answer: String, closed: bool) -> Row {
    let (family, scorer) = if closed { ("closed", Scorer::Word) } else { ("open", Scorer::Recall) };
    Row {
        id,
        picture,
        question: told(question, BRIEFLY),
        answers: vec![answer],
        scorer,
        family: family.to_owned(),
    }
}

#[derive(Deserialize)]
struct World {
    image: String,
    question: String,
    answer: Words,
}

/// RealWorldQA, whose questions say themselves how to answer.
pub(super) fn realworldqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("annotations.json");
    rows.list(&path, None, |rows, row: World| {
        let picture = Shown::File(rows.path(inside(&row.image)?));
        Ok(Some(world(row.image, picture, row.question, row.answer.text())))
    })
}

/// The same of lmms-lab/RealWorldQA and its likes.
pub(super) fn realworldqa_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    rows.columns(shards, &["image", "question", "answer"], |row| {
        let picture = Shown::Embedded(row.picture("image")?);
        let answer = row.words("answer")?;
        Ok(Some(world(row.ordinal().to_string(), picture, row.text("question")?, answer)))
    })
}

fn world(id: String, picture: Shown, question: String, answer: String) -> Row {
    Row {
        id,
        picture,
        question,
        answers: vec![answer],
        scorer: Scorer::Word,
        family: "all".to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scene {
    image_id: Words,
    question: String,
    answer: String,
    types: SceneTypes,
}

#[derive(Deserialize)]
struct SceneTypes {
    structural: String,
}

/// The balanced questions of GQA's testdev, by the structure of the question.
pub(super) fn gqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("testdev_balanced_questions.json");
    rows.named(&path, |rows, name, row: Scene| {
        let picture = format!("{}.jpg", row.image_id.text());
        let picture = Shown::File(rows.path("images").join(inside(&picture)?));
        let structural = row.types.structural;
        Ok(Some(scene(name.to_owned(), picture, &row.question, row.answer, structural)))
    })
}

/// The same of lmms-lab/GQA, which has questions and pictures in a configuration each.
pub(super) fn gqa_columns(
    rows: &mut Rows<'_>,
    shards: &Shards,
    pictures: &Shards,
) -> Result<(), TrainError> {
    let pictures = rows.gallery(pictures, ("id", "image"))?;
    let columns = ["id", "imageId", "question", "answer", "types.structural"];
    rows.columns(shards, &columns, |row| {
        let image = row.words("imageId")?;
        let known =
            pictures.get(&image).ok_or_else(|| format!("no picture is called `{image}`"))?;
        let picture = Shown::Known(known.clone()?);
        let answer = row.text("answer")?;
        let structural = row.text("types.structural")?;
        Ok(Some(scene(row.words("id")?, picture, &row.text("question")?, answer, structural)))
    })
}

fn scene(id: String, picture: Shown, question: &str, answer: String, structural: String) -> Row {
    Row {
        id,
        picture,
        question: told(question, BRIEFLY),
        answers: vec![answer],
        scorer: Scorer::Word,
        family: structural,
    }
}
