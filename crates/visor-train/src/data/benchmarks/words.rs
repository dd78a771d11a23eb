//! Benchmarks whose answers are words: VQA-RAD, RealWorldQA, GQA.

use super::super::Scorer;
use super::BRIEFLY;
use super::rows::{Row, Rows, Words, inside, told};
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
        let (family, scorer) = match row.answer_type.trim() {
            "CLOSED" => ("closed", Scorer::Word),
            "OPEN" => ("open", Scorer::Recall),
            other => return Err(format!("answer_type is {other:?}: expected CLOSED or OPEN")),
        };
        Ok(Some(Row {
            id: row.qid.text(),
            picture: rows.path("VQA_RAD Image Folder").join(inside(&row.image_name)?),
            question: told(&row.question, BRIEFLY),
            answers: vec![row.answer.text()],
            scorer,
            family: family.to_owned(),
        }))
    })
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
        Ok(Some(Row {
            id: row.image.clone(),
            picture: rows.path(inside(&row.image)?),
            question: row.question,
            answers: vec![row.answer.text()],
            scorer: Scorer::Word,
            family: "all".to_owned(),
        }))
    })
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
        Ok(Some(Row {
            id: name.to_owned(),
            picture: rows.path("images").join(inside(&picture)?),
            question: told(&row.question, BRIEFLY),
            answers: vec![row.answer],
            scorer: Scorer::Word,
            family: row.types.structural,
        }))
    })
}
