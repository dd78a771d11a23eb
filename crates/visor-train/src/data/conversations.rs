//! A user's conversations about pictures, as LLaVA's training data are written.
//!
//! `{"image": "a.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"},
//! {"from": "gpt", "value": "A cat."}]}`, one a line or all in one JSON list; `image` may be a list,
//! and is left out where there is none. Further fields mean nothing here.

use super::BadLines;
use crate::error::TrainError;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use visor_processor::{Message, Part, Role};

/// What stands for a picture in a turn.
const MARKER: &str = "<image>";

/// One conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Where it stands in the file, counted from 1.
    pub place: Place,
    /// Its picture files, in the order in which they are shown.
    pub pictures: Vec<PathBuf>,
    /// Its turns; the last is the assistant's.
    pub messages: Vec<Message>,
}

/// Where a conversation stands in its file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this line.
    Line(usize),
    /// As this entry of a JSON list.
    Entry(usize),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
        }
    }
}

impl Place {
    /// The error of a conversation that cannot be used.
    pub fn error(self, path: &Path, because: String) -> TrainError {
        let path = path.to_owned();
        match self {
            Self::Line(line) => TrainError::DataLine { path, line, because },
            Self::Entry(entry) => TrainError::DataEntry { path, entry, because },
        }
    }
}

/// A file of conversations that was read; pictures have not been looked at.
#[derive(Debug)]
pub struct Conversations {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// The good ones, in order.
    pub all: Vec<Conversation>,
    /// What was wrong with each that was left out.
    pub skipped: Vec<TrainError>,
}

#[derive(Deserialize)]
struct RawConversation {
    #[serde(default)]
    image: Names,
    conversations: Vec<RawTurn>,
}

/// One name or a list of them.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    /// None.
    #[default]
    None,
    /// One.
    One(String),
    /// A list.
    Several(Vec<String>),
}

impl Names {
    /// All of them.
    pub(super) fn all(self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(name) => vec![name],
            Self::Several(names) => names,
        }
    }
}

#[derive(Deserialize)]
struct RawTurn {
    from: String,
    value: String,
}

/// Reads conversations. Picture names are relative to `images`, or to the file's own folder.
///
/// # Errors
/// If the file cannot be read, holds no conversation, or has a bad one that must not be skipped.
pub fn read_conversations(
    path: &Path,
    images: Option<&Path>,
    bad: BadLines,
) -> Result<Conversations, TrainError> {
    let failed = |source| TrainError::File { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let folder = images.or_else(|| path.parent()).unwrap_or(Path::new("."));
    let sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut read = Conversations { path: path.to_owned(), sha256, all: vec![], skipped: vec![] };
    for (place, entry) in entries(path, &text)? {
        let made = serde_json::from_str::<RawConversation>(&entry)
            .map_err(|error| error.to_string())
            .and_then(|raw| conversation(raw, folder, place));
        match (made, bad) {
            (Ok(made), _) => read.all.push(made),
            (Err(because), BadLines::Skip) => read.skipped.push(place.error(path, because)),
            (Err(because), BadLines::Refuse) => return Err(place.error(path, because)),
        }
    }
    match read.all.is_empty() {
        true => Err(TrainError::NoQuestions { data: path.display().to_string() }),
        false => Ok(read),
    }
}

/// The entries of a file as JSON, whether it is a list or has one a line.
pub(super) fn entries(path: &Path, text: &str) -> Result<Vec<(Place, String)>, TrainError> {
    if text.trim_start().starts_with('[') {
        let all: Vec<serde_json::Value> = serde_json::from_str(text)
            .map_err(|source| TrainError::Json { path: path.to_owned(), source })?;
        let entry = |(index, value): (usize, serde_json::Value)| {
            (Place::Entry(index + 1), value.to_string())
        };
        return Ok(all.into_iter().enumerate().map(entry).collect());
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    Ok(lines.map(|(index, line)| (Place::Line(index + 1), line.to_owned())).collect())
}

/// A question of a conversation, as it is asked behind the turns before it.
pub(super) struct Turn {
    /// The pictures that have been shown so far.
    pub(super) pictures: Vec<PathBuf>,
    /// Its words.
    pub(super) question: String,
    /// All turns up to it; none where it stands alone behind its pictures.
    pub(super) conversation: Vec<Message>,
    /// What may be answered.
    pub(super) answers: Vec<String>,
}

/// The questions of a conversation, each with those before it and their answers.
pub(super) fn questions(entry: &str, folder: &Path, place: Place) -> Result<Vec<Turn>, String> {
    let raw = serde_json::from_str(entry).map_err(|error| error.to_string())?;
    let Conversation { pictures, messages, .. } = conversation(raw, folder, place)?;
    let words = |message: &Message| message.texts().collect::<Vec<_>>().join(" ");
    let answered = messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant);
    let turn = |(at, answer): (usize, &Message)| {
        let before = &messages[..at];
        let shown: usize = before.iter().map(Message::pictures).sum();
        let asked = &before[at - 1];
        let leading = asked.parts.iter().take_while(|part| **part == Part::Image).count();
        let alone = at == 1 && leading == shown;
        Turn {
            pictures: pictures[..shown].to_vec(),
            question: words(asked),
            conversation: if alone { Vec::new() } else { before.to_vec() },
            answers: vec![words(answer)],
        }
    };
    Ok(answered.map(turn).collect())
}

fn conversation(raw: RawConversation, folder: &Path, place: Place) -> Result<Conversation, String> {
    let names = raw.image.all();
    let messages = raw.conversations.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let speaks = |role: Role| messages.iter().any(|message| message.role == role);
    if !speaks(Role::Assistant) {
        return Err("nobody answers: expected a turn `from` gpt".to_owned());
    }
    let turns: Vec<Role> =
        messages.iter().map(|m| m.role).filter(|role| *role != Role::System).collect();
    let in_turn = turns.iter().enumerate().all(|(index, role)| match index % 2 {
        0 => *role == Role::User,
        _ => *role == Role::Assistant,
    });
    if !in_turn || turns.len() % 2 == 1 {
        return Err("expected turns of human and gpt one after the other, gpt's last".to_owned());
    }
    if messages.iter().skip(1).any(|message| message.role == Role::System) {
        return Err("expected a system turn first or not at all".to_owned());
    }
    let markers: usize = messages.iter().map(Message::pictures).sum();
    if markers != names.len() {
        let pictures = names.len();
        return Err(format!(
            "{markers} `{MARKER}` markers for {pictures} pictures: expected one each"
        ));
    }
    let pictures = names.iter().map(|name| folder.join(name)).collect();
    Ok(Conversation { place, pictures, messages })
}

fn message(turn: &RawTurn) -> Result<Message, String> {
    let role = match turn.from.as_str() {
        "human" | "user" => Role::User,
        "gpt" | "assistant" => Role::Assistant,
        "system" => Role::System,
        other => return Err(format!("a turn is `from` {other:?}: expected human, gpt or system")),
    };
    let mut parts = Vec::new();
    for (index, piece) in turn.value.split(MARKER).enumerate() {
        if index > 0 {
            parts.push(Part::Image);
        }
        // White space around a marker is the template's to write.
        if !piece.trim().is_empty() {
            parts.push(Part::Text(piece.trim().to_owned()));
        }
    }
    if role == Role::Assistant && parts.contains(&Part::Image) {
        return Err(format!("a turn of gpt holds `{MARKER}`: only those who ask show pictures"));
    }
    if !parts.iter().any(|part| matches!(part, Part::Text(_))) {
        return Err(format!("a turn of {} has no words", turn.from));
    }
    Ok(Message { role, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id": 7, "image": "a.png", "conversations": [
        {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."},
        {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]}"#;

    fn file(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("data.jsonl");
        fs::write(&path, text).expect("a file");
        path
    }

    fn one_line(text: &str) -> String {
        text.replace('\n', " ").replace("> What", ">\\nWhat")
    }

    #[test]
    fn lines_and_lists_are_read_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let text_only = r#"{"conversations": [{"from": "system", "value": "Be short."},
            {"from": "user", "value": "Hello?"}, {"from": "assistant", "value": "Hello."}]}"#;
        let (first, second) = (one_line(GOOD), one_line(text_only));
        let lines = file(folder.path(), &format!("{first}\n\n{second}\n"));
        let lines = read_conversations(&lines, None, BadLines::Refuse).expect("lines");
        let list = file(folder.path(), &format!("[{first}, {second}]"));
        let list = read_conversations(&list, None, BadLines::Refuse).expect("a list");
        let places = |read: &Conversations| read.all.iter().map(|c| c.place).collect::<Vec<_>>();
        assert_eq!(places(&lines), [Place::Line(1), Place::Line(3)]);
        assert_eq!(places(&list), [Place::Entry(1), Place::Entry(2)]);
        for (a, b) in lines.all.iter().zip(&list.all) {
            assert_eq!((&a.messages, &a.pictures), (&b.messages, &b.pictures));
        }
        let what = Part::Text("What?".to_owned());
        assert_eq!(lines.all[0].messages[0].parts, [Part::Image, what]);
        assert_eq!(lines.all[0].pictures, [folder.path().join("a.png")]);
        let elsewhere = read_conversations(
            &folder.path().join("data.jsonl"),
            Some(Path::new("/pictures")),
            BadLines::Refuse,
        );
        assert_eq!(elsewhere.expect("read").all[0].pictures, [PathBuf::from("/pictures/a.png")]);
    }

    #[test]
    fn bad_conversations_are_named_by_their_place_and_can_be_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let turns = |turns: &str| format!(r#"{{"image": "a.png", "conversations": [{turns}]}}"#);
        let human = r#"{"from": "human", "value": "<image> What?"}"#;
        let gpt = r#"{"from": "gpt", "value": "A cat."}"#;
        let blind = r#"{"from": "human", "value": "What?"}"#;
        for (bad, says) in [
            ("{".to_owned(), "EOF"),
            ("{}".to_owned(), "missing field `conversations`"),
            (turns(""), "nobody answers"),
            (turns(human), "nobody answers"),
            (turns(&format!("{human}, {human}, {gpt}")), "one after the other"),
            (turns(&format!("{human}, {gpt}, {blind}")), "one after the other"),
            (turns(&format!("{blind}, {gpt}")), "0 `<image>` markers for 1 pictures"),
            (turns(&format!("{human}, {gpt}, {human}, {gpt}")), "2 `<image>` markers for 1"),
            (turns(&format!(r#"{human}, {{"from": "gpt", "value": " "}}"#)), "has no words"),
            (turns(&format!(r#"{human}, {{"from": "gpt", "value": "<image>"}}"#)), "only those"),
            (turns(&format!(r#"{human}, {{"from": "bot", "value": "x"}}"#)), "`from` \"bot\""),
        ] {
            let path = file(folder.path(), &format!("{}\n{bad}\n", one_line(GOOD)));
            let error = read_conversations(&path, None, BadLines::Refuse).expect_err(says);
            let error = error.to_string();
            assert!(error.contains("line 2") && error.contains(says), "{error}");
            let read = read_conversations(&path, None, BadLines::Skip).expect("the good one");
            assert_eq!((read.all.len(), read.skipped.len()), (1, 1));
        }
        let path = file(folder.path(), &format!("[{}, 3]", one_line(GOOD)));
        let error = read_conversations(&path, None, BadLines::Refuse).expect_err("a number");
        assert!(error.to_string().contains("entry 2"), "{error}");
        let path = file(folder.path(), "");
        let error = read_conversations(&path, None, BadLines::Skip).expect_err("nothing");
        assert!(matches!(error, TrainError::NoQuestions { .. }), "{error}");
    }
}
