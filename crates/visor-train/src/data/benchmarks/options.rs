//! Benchmarks with options to choose from: A-OKVQA, ScienceQA, AI2D.

use super::super::Scorer;
use super::rows::{Row, Rows, Words, inside, json, read_text, told};
use super::{BRIEFLY, BY_LETTER};
use crate::error::TrainError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Question, options one a line with letters, and how to answer; and the letter and the words of
/// the right one.
fn asked(
    question: &str,
    options: &[String],
    right: usize,
) -> Result<(String, Vec<String>), String> {
    let letters = 'A'..='Z';
    if options.len() < 2 || options.len() > letters.clone().count() {
        return Err(format!("{} options: expected 2 to 26", options.len()));
    }
    let lettered: Vec<(char, &String)> = letters.zip(options).collect();
    let Some((letter, words)) = lettered.get(right) else {
        return Err(format!("option {right} is right, of {} counted from 0", options.len()));
    };
    let lines: String = lettered.iter().map(|(c, words)| format!("\n{c}. {words}")).collect();
    let question = told(&format!("{}{lines}", question.trim()), BY_LETTER);
    Ok((question, vec![letter.to_string(), (*words).clone()]))
}

#[derive(Deserialize)]
struct Knowledge {
    image_id: u64,
    question_id: String,
    question: String,
    choices: Vec<String>,
    correct_choice_idx: Option<usize>,
    #[serde(default)]
    direct_answers: Vec<String>,
    #[serde(default)]
    difficult_direct_answer: bool,
}

impl Knowledge {
    fn picture(&self, rows: &Rows<'_>) -> std::path::PathBuf {
        rows.path("val2017").join(format!("{:012}.jpg", self.image_id))
    }
}

const KNOWLEDGE: &str = "aokvqa_v1p0_val.json";

/// A-OKVQA with its options.
pub(super) fn a_okvqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path(KNOWLEDGE);
    rows.list(&path, None, |rows, row: Knowledge| {
        let right = row.correct_choice_idx.ok_or("the right choice is not told")?;
        let (question, answers) = asked(&row.question, &row.choices, right)?;
        Ok(Some(Row {
            picture: row.picture(rows),
            id: row.question_id,
            question,
            answers,
            scorer: Scorer::Choice,
            family: "all".to_owned(),
        }))
    })
}

/// A-OKVQA without its options: what ten people said.
pub(super) fn a_okvqa_direct(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path(KNOWLEDGE);
    rows.list(&path, None, |rows, row: Knowledge| {
        if row.difficult_direct_answer {
            return Ok(None);
        }
        Ok(Some(Row {
            picture: row.picture(rows),
            id: row.question_id,
            question: told(&row.question, BRIEFLY),
            answers: row.direct_answers,
            scorer: Scorer::Agreement,
            family: "all".to_owned(),
        }))
    })
}

#[derive(Deserialize)]
struct Lesson {
    question: String,
    choices: Vec<String>,
    answer: usize,
    #[serde(default)]
    hint: String,
    image: Option<String>,
    subject: String,
    split: String,
}

/// The test questions of ScienceQA that have a picture, with their hints.
pub(super) fn scienceqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path("problems.json");
    rows.named(&path, |rows, name, row: Lesson| {
        let Some(image) = row.image.filter(|_| row.split == "test") else { return Ok(None) };
        let (question, answers) = asked(&row.question, &row.choices, row.answer)?;
        let question = match row.hint.trim() {
            "" => question,
            hint => format!("Context: {hint}\n{question}"),
        };
        let place = format!("test/{}/{}", inside(name)?, inside(&image)?);
        let nested = rows.path("images").join(&place);
        let picture = if nested.is_file() { nested } else { rows.path(&place) };
        Ok(Some(Row {
            id: name.to_owned(),
            picture,
            question,
            answers,
            scorer: Scorer::Choice,
            family: row.subject,
        }))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diagram {
    image_name: String,
    questions: BTreeMap<String, DiagramQuestion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DiagramQuestion {
    question_id: Words,
    answer_texts: Vec<String>,
    correct_answer: usize,
    #[serde(default)]
    abc_label: bool,
}

/// The questions about AI2D's test pictures. Where options are letters in the picture, the picture
/// with letters is shown.
pub(super) fn ai2d(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let ids = rows.path("ai2d_test_ids.csv");
    for id in read_text(&ids)?.lines().map(str::trim).filter(|id| !id.is_empty()) {
        let named = inside(id).map(|id| format!("questions/{id}.png.json"));
        let named = named.map_err(|because| TrainError::Unusable { path: ids.clone(), because })?;
        let path = rows.path(&named);
        let diagram: Diagram = json(&path, &read_text(&path)?)?;
        for (words, question) in diagram.questions {
            let row = || {
                let (text, answers) =
                    asked(&words, &question.answer_texts, question.correct_answer)?;
                let folder = if question.abc_label { "abc_images" } else { "images" };
                Ok(Some(Row {
                    id: question.question_id.text(),
                    picture: rows.path(folder).join(inside(&diagram.image_name)?),
                    question: text,
                    answers,
                    scorer: Scorer::Choice,
                    family: if question.abc_label { "letters" } else { "labels" }.to_owned(),
                }))
            };
            let row = row();
            rows.take(row, |because| TrainError::DataRow {
                path: path.clone(),
                row: words,
                because,
            })?;
        }
    }
    Ok(())
}
