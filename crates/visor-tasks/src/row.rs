//! A line of a data set on disk: one question with the name of its picture.

use serde::{Deserialize, Serialize};

use crate::{Difficulty, Family, Sample, Split};

/// One question as one JSON line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The picture's file, relative to the list.
    pub image: String,
    /// The question's words.
    pub question: String,
    /// The answer's words.
    pub answer: String,
    /// The question's family.
    pub family: Family,
    /// The split that the picture belongs to.
    pub split: Split,
    /// The seed that gives the picture, together with suite, split and the first question's family.
    pub seed: u64,
    /// How hard the question is on this picture.
    pub difficulty: Difficulty,
    /// The picture's caption.
    pub caption: String,
}

impl Row {
    /// The rows of a sample's questions, in order.
    pub fn of(sample: &Sample, image: &str, split: Split, seed: u64) -> Vec<Self> {
        sample
            .questions
            .iter()
            .map(|question| Self {
                image: image.to_owned(),
                question: question.text.clone(),
                answer: question.answer.clone(),
                family: question.family,
                split,
                seed,
                difficulty: question.difficulty,
                caption: sample.caption.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Suite, SuiteName};

    #[test]
    fn a_row_is_one_line_of_json_that_reads_back() {
        let sample = Suite::new(SuiteName::Nano).sample(Split::Test, Family::Twin, 3);
        let rows = Row::of(&sample, "00003.png", Split::Test, 3);
        assert_eq!(rows.len(), sample.questions.len());
        for row in rows {
            let line = serde_json::to_string(&row).expect("a row has only plain fields");
            assert!(!line.contains('\n') && line.contains(r#""split":"test""#), "{line}");
            assert_eq!(serde_json::from_str::<Row>(&line).expect("our own line"), row);
        }
    }
}
