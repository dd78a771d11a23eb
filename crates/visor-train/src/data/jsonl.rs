//! A user's own questions: one JSON object a line.
//!
//! `{"image": "a.png", "question": "…", "answer": "…", "family": "…", "kind": "one-look"}`, with
//! `images` and `answers` where there are several, and family and kind left out where there is
//! nothing to tell apart. In place of question and answer there may be `conversations` of one human
//! and one gpt turn, as LLaVA's data have it. Pictures are named relative to the list.

use super::conversations::{Names, Place, entries, single_question};
use super::{Dataset, Item, Need, Scorer};
use crate::error::TrainError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs;
use std::path::Path;
use visor_processor::{Picture, PictureLimits};

/// Larger picture files are not read.
const MAX_PICTURE: u64 = 256 << 20;

/// What becomes of lines that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadLines {
    /// The first one is an error.
    #[default]
    Refuse,
    /// They are left out and reported.
    Skip,
}

/// A list that was read.
#[derive(Debug)]
pub struct Jsonl {
    /// The questions of the good lines.
    pub data: Dataset,
    /// What was wrong with each line that was left out.
    pub skipped: Vec<TrainError>,
}

/// One line. Fields of our own generator that mean nothing here are passed over.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    image: Names,
    #[serde(default)]
    images: Vec<String>,
    question: Option<String>,
    answer: Option<String>,
    #[serde(default)]
    answers: Vec<String>,
    conversations: Option<IgnoredAny>,
    family: Option<String>,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[serde(alias = "easy")]
    OneLook,
    #[serde(alias = "hard")]
    Refinement,
}

/// Reads a list and all its pictures.
///
/// # Errors
/// If the list cannot be read, holds no question, or has a bad line that must not be skipped.
pub fn read(path: &Path, scorer: Scorer, bad: BadLines) -> Result<Jsonl, TrainError> {
    let failed = |source| TrainError::File { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let (mut items, mut skipped) = (Vec::new(), Vec::new());
    for (place, entry) in entries(path, &text)? {
        match item(&entry, folder, place) {
            Ok(item) => items.push(item),
            Err(because) => {
                let error = place.error(path, because);
                match bad {
                    BadLines::Refuse => return Err(error),
                    BadLines::Skip => skipped.push(error),
                }
            }
        }
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let data = Dataset { name, scorer, items }.expect_some()?;
    Ok(Jsonl { data, skipped })
}

fn item(entry: &str, folder: &Path, place: Place) -> Result<Item, String> {
    let line: Line = serde_json::from_str(entry).map_err(|error| error.to_string())?;
    let (files, question, answers) = match (line.conversations, line.question) {
        (Some(_), Some(_)) => {
            return Err("expected `question` or `conversations`, not both".to_owned());
        }
        (Some(_), None) => {
            let (files, question, answer) = single_question(entry, folder, place)?;
            (files, question, vec![answer])
        }
        (None, Some(question)) => {
            let names = line.image.all().into_iter().chain(line.images);
            let answers: Vec<String> = line.answer.into_iter().chain(line.answers).collect();
            (names.map(|name| folder.join(name)).collect(), question, answers)
        }
        (None, None) => return Err("missing field `question`".to_owned()),
    };
    if answers.is_empty() {
        return Err("expected `answer` or `answers`".to_owned());
    }
    if question.trim().is_empty() {
        return Err("`question` is empty".to_owned());
    }
    Ok(Item {
        id: place.to_string(),
        pictures: files.iter().map(|file| picture(file)).collect::<Result<_, _>>()?,
        question,
        answers,
        family: line.family.unwrap_or_else(|| "all".to_owned()),
        need: line.kind.map(|kind| match kind {
            Kind::OneLook => Need::OneLook,
            Kind::Refinement => Need::Refinement,
        }),
        hops: 0,
        objects: 0,
    })
}

fn picture(path: &Path) -> Result<Picture, String> {
    decode_picture(path, &picture_bytes(path)?)
}

/// The bytes of a picture's file, or what is wrong with it.
pub(crate) fn picture_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let named = |because: String| format!("picture `{}`: {because}", path.display());
    let size = fs::metadata(path).map_err(|error| named(error.to_string()))?.len();
    if size > MAX_PICTURE {
        return Err(named(format!("{size} bytes are more than the limit of {MAX_PICTURE}")));
    }
    fs::read(path).map_err(|error| named(error.to_string()))
}

/// The picture in a file's bytes, or what is wrong with it.
pub(crate) fn decode_picture(path: &Path, bytes: &[u8]) -> Result<Picture, String> {
    Picture::decode(bytes, &PictureLimits::default())
        .map_err(|error| format!("picture `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_tasks::{Split, Suite, SuiteName};

    fn list(folder: &Path, lines: &[&str]) -> std::path::PathBuf {
        let suite = Suite::new(SuiteName::Nano);
        let sample = suite.sample(Split::Test, suite.families()[0], 1);
        fs::write(folder.join("a.png"), sample.picture.to_png().expect("a picture"))
            .expect("a file");
        let path = folder.join("list.jsonl");
        fs::write(&path, lines.join("\n")).expect("a file");
        path
    }

    const GOOD: &str = r#"{"image": "a.png", "question": "what ?", "answer": "x", "kind": "hard"}"#;

    #[test]
    fn a_line_is_a_question_with_its_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let several = r#"{"images": ["a.png", "a.png"], "question": "q", "answers": ["x", "y"]}"#;
        let path = list(folder.path(), &[GOOD, "", several]);
        let Jsonl { data, skipped } = read(&path, Scorer::Exact, BadLines::Refuse).expect("read");
        assert!(skipped.is_empty());
        assert_eq!(data.items[0].need, Some(Need::Refinement));
        assert_eq!(data.items[1].pictures.len(), 2);
        assert_eq!((data.items[1].id.as_str(), data.items[1].answers.len()), ("line 3", 2));
    }

    #[test]
    fn a_conversation_of_one_question_is_a_question() {
        let folder = tempfile::tempdir().expect("a folder");
        let talk = |turns: &str| format!(r#"{{"image": "a.png", "conversations": [{turns}]}}"#);
        let human = r#"{"from": "human", "value": "<image>\nwhat ?"}"#;
        let gpt = r#"{"from": "gpt", "value": "x"}"#;
        let path = list(folder.path(), &[&talk(&format!("{human}, {gpt}")), GOOD]);
        let data = read(&path, Scorer::Exact, BadLines::Refuse).expect("read").data;
        let [talked, asked] = data.items.as_slice() else { panic!("{data:?}") };
        assert_eq!((&talked.question, &talked.answers), (&asked.question, &asked.answers));
        assert_eq!(talked.pictures, asked.pictures);
        let late = r#"{"from": "human", "value": "what <image> ?"}"#;
        for (turns, says) in [
            (format!("{human}, {gpt}, {human}, {gpt}"), "markers for 1 pictures"),
            (format!("{late}, {gpt}"), "before the words"),
            (format!(r#"{human}, {gpt}], "question": "q", "x": ["#), "not both"),
        ] {
            let path = list(folder.path(), &[&talk(&turns)]);
            let error = read(&path, Scorer::Exact, BadLines::Refuse).expect_err(says).to_string();
            assert!(error.contains("line 1") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn bad_lines_are_named_and_can_be_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        for (bad, says) in [
            ("{", "EOF"),
            (r#"{"image": "b.png", "question": "q", "answer": "x"}"#, "b.png"),
            (r#"{"image": "a.png", "question": "q"}"#, "expected `answer`"),
            (r#"{"image": "a.png", "question": " ", "answer": "x"}"#, "`question` is empty"),
            (r#"{"image": "list.jsonl", "question": "q", "answer": "x"}"#, "list.jsonl"),
        ] {
            let path = list(folder.path(), &[GOOD, bad]);
            let error = read(&path, Scorer::Exact, BadLines::Refuse).expect_err(bad).to_string();
            assert!(error.contains("line 2") && error.contains(says), "{error}");
            let Jsonl { data, skipped } = read(&path, Scorer::Exact, BadLines::Skip).expect(bad);
            assert_eq!((data.items.len(), skipped.len()), (1, 1));
        }
        let path = list(folder.path(), &[""]);
        let error = read(&path, Scorer::Exact, BadLines::Skip).expect_err("nothing in it");
        assert!(matches!(error, TrainError::NoQuestions { .. }), "{error}");
    }
}
