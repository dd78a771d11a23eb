//! Benchmarks that are read: TextVQA, ChartQA, OCRBench, InfoVQA, DocVQA.

use super::super::Scorer;
use super::BRIEFLY;
use super::rows::{Row, Rows, Words, inside, told};
use crate::error::TrainError;
use serde::Deserialize;

/// The list of questions in the files of the VQA challenges.
const DATA: Option<&str> = Some("data");

#[derive(Deserialize)]
struct Photograph {
    question_id: Words,
    image_id: String,
    question: String,
    #[serde(default)]
    answers: Vec<String>,
}

/// The validation questions of TextVQA, whose pictures are among those of training.
pub(super) fn textvqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("TextVQA_0.5.1_val.json");
    rows.list(&path, DATA, |rows, row: Photograph| {
        let picture = format!("{}.jpg", row.image_id);
        Ok(Some(Row {
            id: row.question_id.text(),
            picture: rows.path("train_images").join(inside(&picture)?),
            question: told(&row.question, BRIEFLY),
            answers: row.answers,
            scorer: Scorer::Vqa,
            family: "all".to_owned(),
        }))
    })
}

#[derive(Deserialize)]
struct Chart {
    imgname: String,
    query: String,
    label: Words,
}

/// The test questions of ChartQA: those of people and those of a program.
pub(super) fn chartqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    for half in ["human", "augmented"] {
        let path = rows.path(&format!("test/test_{half}.json"));
        let mut number = 0;
        rows.list(&path, None, |rows, row: Chart| {
            number += 1;
            Ok(Some(Row {
                id: format!("{half}-{number}"),
                picture: rows.path("test/png").join(inside(&row.imgname)?),
                question: told(&row.query, BRIEFLY),
                answers: vec![row.label.text()],
                scorer: Scorer::Relaxed,
                family: half.to_owned(),
            }))
        })?;
    }
    Ok(())
}

/// What OCRBench calls the answers of a question: one, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Several {
    One(Words),
    All(Vec<Words>),
}

#[derive(Deserialize)]
struct Reading {
    id: Words,
    dataset_name: String,
    #[serde(rename = "type")]
    kind: String,
    image_path: String,
    question: String,
    answers: Several,
}

/// Handwritten formulas, whose letter case counts.
const FORMULAS: &str = "HME100k";

/// OCRBench by its types of reading.
pub(super) fn ocrbench(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("OCRBench.json");
    rows.list(&path, None, |rows, row: Reading| {
        let answers = match row.answers {
            Several::One(answer) => vec![answer.text()],
            Several::All(answers) => answers.into_iter().map(Words::text).collect(),
        };
        let scorer = if row.dataset_name == FORMULAS { Scorer::Formula } else { Scorer::Contains };
        Ok(Some(Row {
            id: row.id.text(),
            picture: rows.path("OCRBench_Images").join(inside(&row.image_path)?),
            question: row.question,
            answers,
            scorer,
            family: row.kind,
        }))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Infographic {
    question_id: Words,
    question: String,
    #[serde(rename = "image_local_name")]
    image: String,
    #[serde(default)]
    answers: Vec<String>,
}

/// The validation questions of InfographicVQA.
pub(super) fn infovqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("infographicsVQA_val_v1.0_withQT.json");
    rows.list(&path, DATA, |rows, row: Infographic| {
        Ok(Some(Row {
            id: row.question_id.text(),
            picture: rows.path("infographicsvqa_images").join(inside(&row.image)?),
            question: told(&row.question, BRIEFLY),
            answers: row.answers,
            scorer: Scorer::Anls,
            family: "all".to_owned(),
        }))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    question_id: Words,
    question: String,
    /// With the folder in which it lies.
    image: String,
    #[serde(default)]
    answers: Vec<String>,
}

/// The validation questions of DocVQA.
pub(super) fn docvqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("val_v1.0_withQT.json");
    rows.list(&path, DATA, |rows, row: Page| {
        Ok(Some(Row {
            id: row.question_id.text(),
            picture: rows.path(inside(&row.image)?),
            question: told(&row.question, BRIEFLY),
            answers: row.answers,
            scorer: Scorer::Anls,
            family: "all".to_owned(),
        }))
    })
}
