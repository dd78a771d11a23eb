//! Benchmarks that are read: TextVQA, ChartQA, OCRBench, InfoVQA, DocVQA.

use super::super::Scorer;
use super::super::columns::Shards;
use super::BRIEFLY;
use super::rows::{Row, Rows, Shown, Words, inside, told};
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
        let picture = Shown::File(rows.path("train_images").join(inside(&picture)?));
        Ok(Some(brief(row.question_id.text(), picture, &row.question, row.answers, Scorer::Vqa)))
    })
}

/// The same of lmms-lab/textvqa.
pub(super) fn textvqa_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    answered(rows, shards, "question_id", Scorer::Vqa)
}

/// A table of questions with several answers each.
fn answered(
    rows: &mut Rows<'_>,
    shards: &Shards,
    id: &str,
    scorer: Scorer,
) -> Result<(), TrainError> {
    rows.columns(shards, &[id, "question", "image", "answers"], |row| {
        let picture = Shown::Embedded(row.picture("image")?);
        let answers = row.texts("answers")?;
        Ok(Some(brief(row.words(id)?, picture, &row.text("question")?, answers, scorer)))
    })
}

fn brief(id: String, picture: Shown, question: &str, answers: Vec<String>, scorer: Scorer) -> Row {
    let question = told(question, BRIEFLY);
    Row { id, picture, question, answers, scorer, family: "all".to_owned() }
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
            let picture = Shown::File(rows.path("test/png").join(inside(&row.imgname)?));
            Ok(Some(chart((half, number), picture, &row.query, vec![row.label.text()])))
        })?;
    }
    Ok(())
}

/// The same of lmms-lab/ChartQA (`type`, `question`, `answer`) or of HuggingFaceM4/ChartQA
/// (`human_or_machine`, `query`, and `label`, a list).
pub(super) fn chartqa_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    let (mut human, mut augmented) = (0, 0);
    let mut counted = |is_human: bool| {
        let (half, number) =
            if is_human { ("human", &mut human) } else { ("augmented", &mut augmented) };
        *number += 1;
        (half, *number)
    };
    if shards.has("query") {
        return rows.columns(shards, &["image", "query", "label", "human_or_machine"], |row| {
            let half = counted(match row.count("human_or_machine")? {
                0 => true,
                1 => false,
                other => {
                    return Err(format!("column `human_or_machine` is {other}: expected 0 or 1"));
                }
            });
            let picture = Shown::Embedded(row.picture("image")?);
            Ok(Some(chart(half, picture, &row.text("query")?, row.texts("label")?)))
        });
    }
    rows.columns(shards, &["type", "question", "answer", "image"], |row| {
        let half = counted(match row.text("type")?.as_str() {
            "human_test" => true,
            "augmented_test" => false,
            other => {
                return Err(format!(
                    "column `type` is {other:?}: expected human_test or augmented_test"
                ));
            }
        });
        let picture = Shown::Embedded(row.picture("image")?);
        Ok(Some(chart(half, picture, &row.text("question")?, vec![row.words("answer")?])))
    })
}

fn chart(
    (half, number): (&str, usize),
    picture: Shown,
    question: &str,
    answers: Vec<String>,
) -> Row {
    let id = format!("{half}-{number}");
    let row = brief(id, picture, question, answers, Scorer::Relaxed);
    Row { family: half.to_owned(), ..row }
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
        let picture = Shown::File(rows.path("OCRBench_Images").join(inside(&row.image_path)?));
        let kinds = (row.dataset_name.as_str(), row.kind);
        Ok(Some(reading(row.id.text(), picture, row.question, answers, kinds)))
    })
}

/// The same of echo840/OCRBench.
pub(super) fn ocrbench_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    let columns = ["dataset", "question", "question_type", "answer", "image"];
    rows.columns(shards, &columns, |row| {
        let (id, dataset) = (row.ordinal().to_string(), row.text("dataset")?);
        let kinds = (dataset.as_str(), row.text("question_type")?);
        let picture = Shown::Embedded(row.picture("image")?);
        Ok(Some(reading(id, picture, row.text("question")?, row.texts("answer")?, kinds)))
    })
}

fn reading(
    id: String,
    picture: Shown,
    question: String,
    answers: Vec<String>,
    (dataset, kind): (&str, String),
) -> Row {
    let scorer = if dataset == FORMULAS { Scorer::Formula } else { Scorer::Contains };
    Row { id, picture, question, answers, scorer, family: kind }
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
        let picture = Shown::File(rows.path("infographicsvqa_images").join(inside(&row.image)?));
        Ok(Some(brief(row.question_id.text(), picture, &row.question, row.answers, Scorer::Anls)))
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
        let picture = Shown::File(rows.path(inside(&row.image)?));
        Ok(Some(brief(row.question_id.text(), picture, &row.question, row.answers, Scorer::Anls)))
    })
}

/// The validation questions of either configuration of lmms-lab/DocVQA.
pub(super) fn pages_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    answered(rows, shards, "questionId", Scorer::Anls)
}
