//! A question as a chat message in a JSON file.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use visor::Question;

/// Larger files are not read.
const MAX_BYTES: u64 = 1 << 20;

const EXPECTED: &str = r#"expected [{"role": "user", "content": [{"type": "image", "path": "PIC"}, {"type": "text", "text": "QUESTION"}]}]"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Part {
    Text { text: String },
    Image { path: PathBuf },
}

/// Reads the question. Pictures are looked for from the folder of the file.
///
/// # Errors
/// If the file cannot be read, or holds anything but one message of the user with its pictures
/// before its words.
pub(crate) fn question(file: &Path) -> Result<Question> {
    let about = || format!("`{}`", file.display());
    let (words, pictures) = parse(&read(file).with_context(about)?).with_context(about)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let add = |question: Question, picture| question.picture_file(folder.join(picture));
    Ok(pictures.into_iter().fold(Question::new(words), add))
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        bail!("it has more than {MAX_BYTES} bytes");
    }
    Ok(text)
}

/// The words and the pictures before them.
fn parse(json: &str) -> Result<(String, Vec<PathBuf>)> {
    let messages: Vec<Message> = serde_json::from_str(json).context(EXPECTED)?;
    let count = messages.len();
    let Ok([Message { role, content }]) = <[Message; 1]>::try_from(messages) else {
        bail!("it has {count} messages: expected one, conversations of several are not supported");
    };
    if role != "user" {
        bail!("its message is of the role `{role}`: expected `user`");
    }
    let parts = match content {
        Content::Text(text) => vec![Part::Text { text }],
        Content::Parts(parts) => parts,
    };
    let (mut words, mut pictures) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text { text } => words.push(text),
            Part::Image { path } if words.is_empty() => pictures.push(path),
            Part::Image { path } => bail!(
                "its picture `{}` stands behind words: expected pictures first",
                path.display()
            ),
        }
    }
    Ok((words.join(" "), pictures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_of_the_user_is_a_question() {
        let plain = r#"[{"role": "user", "content": "count red ?"}]"#;
        assert_eq!(parse(plain).expect("a question"), ("count red ?".to_owned(), Vec::new()));
        let parts = r#"[{"role": "user", "content": [
            {"type": "image", "path": "a.png"}, {"type": "text", "text": "count"},
            {"type": "text", "text": "red ?"}]}]"#;
        let pictures = vec![PathBuf::from("a.png")];
        assert_eq!(parse(parts).expect("a question"), ("count red ?".to_owned(), pictures));
    }

    #[test]
    fn what_cannot_be_asked_as_it_stands_is_refused() {
        for (json, says) in [
            ("[]", "0 messages"),
            (r#"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#, "2 messages"),
            (r#"[{"role":"system","content":"a"}]"#, "role `system`"),
            (r#"[{"role":"user","content":[{"type":"audio"}]}]"#, "expected ["),
            (r#"{"role":"user","content":"a"}"#, "expected ["),
            (
                r#"[{"role":"user","content":[{"type":"text","text":"a"},
                    {"type":"image","path":"b.png"}]}]"#,
                "`b.png` stands behind words",
            ),
        ] {
            let error = parse(json).expect_err(json).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
