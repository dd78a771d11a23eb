//! A user's own questions: one JSON object a line.
//!
//! `{"image": "a.png", "question": "…", "answer": "…", "family": "…", "kind": "one-look"}`, with
//! `images` and `answers` where there are several, and family and kind left out where there is
//! nothing to tell apart. In place of question and answer there may be `conversations`, as LLaVA's
//! data have them: every answer is asked for, behind the turns before it as they stand. Pictures
//! are named relative to the list.

use super::conversations::{Names, Place, Turn, entries, questions};
use super::{Dataset, Item, ItemFile, ItemPicture, Need, Scorer};
use crate::error::TrainError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs;
use std::path::Path;
use visor_processor::{Picture, PictureLimits};

/// Larger picture files are not read.
pub(super) const MAX_PICTURE: u64 = 256 << 20;

/// What becomes of lines that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadLines {
    /// The first one is an error.
    #[default]
    Refuse,
    /// They are left out and reported.
    Skip,
}

/// Questions that were read.
#[derive(Debug)]
pub struct Reading {
    /// The good ones.
    pub data: Dataset,
    /// What was wrong with each that was left out.
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
pub fn read(path: &Path, scorer: Scorer, bad: BadLines) -> Result<Reading, TrainError> {
    let failed = |source| TrainError::File { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let (mut items, mut skipped) = (Vec::new(), Vec::new());
    for (place, entry) in entries(path, &text)? {
        match made(&entry, folder, place, scorer) {
            Ok(made) => items.extend(made),
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
    let data = Dataset { name, items }.expect_some()?;
    Ok(Reading { data, skipped })
}

fn made(entry: &str, folder: &Path, place: Place, scorer: Scorer) -> Result<Vec<Item>, String> {
    let line: Line = serde_json::from_str(entry).map_err(|error| error.to_string())?;
    let turns = match (line.conversations, line.question) {
        (Some(_), Some(_)) => {
            return Err("expected `question` or `conversations`, not both".to_owned());
        }
        (Some(_), None) => questions(entry, folder, place)?,
        (None, Some(question)) => {
            let names = line.image.all().into_iter().chain(line.images);
            let answers: Vec<String> = line.answer.into_iter().chain(line.answers).collect();
            let pictures = names.map(|name| folder.join(name)).collect();
            vec![Turn { pictures, question, conversation: Vec::new(), answers }]
        }
        (None, None) => return Err("missing field `question`".to_owned()),
    };
    let several = turns.len() > 1;
    let family = line.family.unwrap_or_else(|| "all".to_owned());
    let need = line.kind.map(|kind| match kind {
        Kind::OneLook => Need::OneLook,
        Kind::Refinement => Need::Refinement,
    });
    let item = |(number, turn): (usize, Turn)| {
        let Turn { pictures, question, conversation, answers } = turn;
        if answers.is_empty() {
            return Err("expected `answer` or `answers`".to_owned());
        }
        if question.trim().is_empty() {
            return Err("`question` is empty".to_owned());
        }
        Ok(Item {
            id: match several {
                true => format!("{place}, answer {}", number + 1),
                false => place.to_string(),
            },
            pictures: pictures.iter().map(|file| picture(file)).collect::<Result<_, _>>()?,
            question,
            conversation,
            answers,
            scorer,
            family: family.clone(),
            need,
            hops: 0,
            objects: 0,
        })
    };
    turns.into_iter().enumerate().map(item).collect()
}

fn picture(path: &Path) -> Result<ItemPicture, String> {
    ItemFile::read(path).map(ItemPicture::File)
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
        let Reading { data, skipped } = read(&path, Scorer::Exact, BadLines::Refuse).expect("read");
        assert!(skipped.is_empty());
        assert_eq!(data.items[0].need, Some(Need::Refinement));
        assert_eq!(data.items[1].pictures.len(), 2);
        assert_eq!((data.items[1].id.as_str(), data.items[1].answers.len()), ("line 3", 2));
    }

    #[test]
    fn every_answer_of_a_conversation_is_asked_for_behind_the_turns_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let talk = |turns: &str| format!(r#"{{"image": "a.png", "conversations": [{turns}]}}"#);
        let human = r#"{"from": "human", "value": "<image>\nwhat ?"}"#;
        let gpt = r#"{"from": "gpt", "value": "x"}"#;
        let more = r#"{"from": "human", "value": "sure ?"}, {"from": "gpt", "value": "y"}"#;
        let path = list(folder.path(), &[&talk(&format!("{human}, {gpt}, {more}")), GOOD]);
        let data = read(&path, Scorer::Exact, BadLines::Refuse).expect("read").data;
        let [first, second, asked] = data.items.as_slice() else { panic!("{data:?}") };
        assert_eq!((&first.question, &first.answers), (&asked.question, &asked.answers));
        assert_eq!((&first.pictures, &first.conversation), (&asked.pictures, &vec![]));
        assert_eq!((second.id.as_str(), second.question.as_str()), ("line 1, answer 2", "sure ?"));
        assert_eq!((second.conversation.len(), second.answers[0].as_str()), (3, "y"));
        assert_eq!(second.pictures, first.pictures, "shown earlier, and still there");

        // Words before the picture stand where they stand.
        let late = r#"{"from": "human", "value": "what <image> ?"}"#;
        let path = list(folder.path(), &[&talk(&format!("{late}, {gpt}"))]);
        let data = read(&path, Scorer::Exact, BadLines::Refuse).expect("read").data;
        assert_eq!(data.items[0].conversation[0].parts.len(), 3);
        for (turns, says) in [
            (format!("{human}, {gpt}, {human}, {gpt}"), "markers for 1 pictures"),
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
            let Reading { data, skipped } = read(&path, Scorer::Exact, BadLines::Skip).expect(bad);
            assert_eq!((data.items.len(), skipped.len()), (1, 1));
        }
        let path = list(folder.path(), &[""]);
        let error = read(&path, Scorer::Exact, BadLines::Skip).expect_err("nothing in it");
        assert!(matches!(error, TrainError::NoQuestions { .. }), "{error}");
    }
}
