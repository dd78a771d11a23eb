//! Benchmarks with options to choose from: A-OKVQA, ScienceQA, AI2D.

use super::super::Scorer;
use super::super::columns::Shards;
use super::python::strings;
use super::rows::{Row, Rows, Shown, Words, inside, json, read_text, told};
use super::{BRIEFLY, BY_LETTER};
use crate::error::TrainError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A question with options: the options one a line with letters, and how to answer; right are the
/// letter and the words of the right one.
fn choice(
    id: String,
    picture: Shown,
    (question, options, right): (&str, &[String], usize),
    hint: &str,
    family: String,
) -> Result<Option<Row>, String> {
    let (question, answers) = asked(question, options, right)?;
    let question = match hint.trim() {
        "" => question,
        hint => format!("Context: {hint}\n{question}"),
    };
    Ok(Some(Row { id, picture, question, answers, scorer: Scorer::Choice, family }))
}

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
    fn picture(&self, rows: &Rows<'_>) -> Shown {
        Shown::File(rows.path("val2017").join(format!("{:012}.jpg", self.image_id)))
    }
}

pub(super) const KNOWLEDGE: &str = "aokvqa_v1p0_val.json";

/// A-OKVQA with its options.
pub(super) fn a_okvqa(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path(KNOWLEDGE);
    rows.list(&path, None, |rows, row: Knowledge| {
        let right = row.correct_choice_idx.ok_or("the right choice is not told")?;
        let asked = (row.question.as_str(), row.choices.as_slice(), right);
        choice(row.question_id.clone(), row.picture(rows), asked, "", "all".to_owned())
    })
}

/// The same of HuggingFaceM4/A-OKVQA.
pub(super) fn a_okvqa_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    let columns = ["image", "question_id", "question", "choices", "correct_choice_idx"];
    rows.columns(shards, &columns, |row| {
        let (question, choices) = (row.text("question")?, row.texts("choices")?);
        let asked = (question.as_str(), choices.as_slice(), row.count("correct_choice_idx")?);
        let picture = Shown::Embedded(row.picture("image")?);
        choice(row.words("question_id")?, picture, asked, "", "all".to_owned())
    })
}

/// A-OKVQA without its options: what ten people said.
pub(super) fn a_okvqa_direct(rows: &mut Rows<'_>) -> Result<(), TrainError> {
    let path = rows.path(KNOWLEDGE);
    rows.list(&path, None, |rows, row: Knowledge| {
        if row.difficult_direct_answer {
            return Ok(None);
        }
        let picture = row.picture(rows);
        Ok(Some(direct(row.question_id, picture, &row.question, row.direct_answers)))
    })
}

/// The same of HuggingFaceM4/A-OKVQA, where the answers are a Python list in a text.
pub(super) fn a_okvqa_direct_columns(
    rows: &mut Rows<'_>,
    shards: &Shards,
) -> Result<(), TrainError> {
    let columns = ["image", "question_id", "question", "direct_answers", "difficult_direct_answer"];
    rows.columns(shards, &columns, |row| {
        if row.truth("difficult_direct_answer")? {
            return Ok(None);
        }
        let answers = strings(&row.text("direct_answers")?)
            .map_err(|because| format!("column `direct_answers`: {because}"))?;
        let picture = Shown::Embedded(row.picture("image")?);
        Ok(Some(direct(row.words("question_id")?, picture, &row.text("question")?, answers)))
    })
}

fn direct(id: String, picture: Shown, question: &str, answers: Vec<String>) -> Row {
    Row {
        id,
        picture,
        question: told(question, BRIEFLY),
        answers,
        scorer: Scorer::Agreement,
        family: "all".to_owned(),
    }
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
        let place = format!("test/{}/{}", inside(name)?, inside(&image)?);
        let nested = rows.path("images").join(&place);
        let picture = if nested.is_file() { nested } else { rows.path(&place) };
        let asked = (row.question.as_str(), row.choices.as_slice(), row.answer);
        choice(name.to_owned(), Shown::File(picture), asked, &row.hint, row.subject)
    })
}

/// The same of derek-thomas/ScienceQA and lmms-lab/ScienceQA: rows without a picture are left out.
pub(super) fn scienceqa_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    let columns = ["image", "question", "choices", "answer", "hint", "subject"];
    rows.columns(shards, &columns, |row| {
        if row.is_null("image")? {
            return Ok(None);
        }
        let (question, choices) = (row.text("question")?, row.texts("choices")?);
        let asked = (question.as_str(), choices.as_slice(), row.count("answer")?);
        let hint = if row.is_null("hint")? { String::new() } else { row.text("hint")? };
        let picture = Shown::Embedded(row.picture("image")?);
        choice(row.ordinal().to_string(), picture, asked, &hint, row.text("subject")?)
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
                let (folder, family) = match question.abc_label {
                    true => ("abc_images", "letters"),
                    false => ("images", "labels"),
                };
                let picture = rows.path(folder).join(inside(&diagram.image_name)?);
                let options = question.answer_texts.as_slice();
                let asked = (words.as_str(), options, question.correct_answer);
                let id = question.question_id.text();
                choice(id, Shown::File(picture), asked, "", family.to_owned())
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

/// The same of lmms-lab/ai2d, where the right option is a number in a text, and rows do not say
/// which picture they show.
pub(super) fn ai2d_columns(rows: &mut Rows<'_>, shards: &Shards) -> Result<(), TrainError> {
    rows.columns(shards, &["question", "options", "answer", "image"], |row| {
        let (question, options) = (row.text("question")?, row.texts("options")?);
        let answer = row.words("answer")?;
        let right = answer.parse().map_err(|_| {
            format!("column `answer` is {answer:?}: expected the number of an option, from 0")
        })?;
        let asked = (question.as_str(), options.as_slice(), right);
        let picture = Shown::Embedded(row.picture("image")?);
        choice(row.ordinal().to_string(), picture, asked, "", "all".to_owned())
    })
}
