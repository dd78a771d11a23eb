//! A conversation in a JSON file.

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use visor::{Message, Part, Question, Role};

/// Larger files are not read.
const MAX_BYTES: u64 = 1 << 20;

const EXPECTED: &str = r#"expected [{"role": "user", "content": [{"type": "image", "path": "PIC"}, {"type": "text", "text": "QUESTION"}]}], perhaps with messages of the roles system, user and assistant before it"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMessage {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<RawPart>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum RawPart {
    Text { text: String },
    Image { path: PathBuf },
}

/// Reads the conversation. Pictures are looked for from the folder of the file.
///
/// # Errors
/// If the file cannot be read, or holds anything but messages of which the last is the user's.
pub(crate) fn question(file: &Path) -> Result<Question> {
    let about = || format!("`{}`", file.display());
    let (messages, pictures) = parse(&read(file).with_context(about)?).with_context(about)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let add = |question: Question, picture| question.picture_file(folder.join(picture));
    Ok(pictures.into_iter().fold(Question::conversation(messages), add))
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        bail!("it has more than {MAX_BYTES} bytes");
    }
    Ok(text)
}

/// The messages, and the pictures in the order in which they are shown.
fn parse(json: &str) -> Result<(Vec<Message>, Vec<PathBuf>)> {
    let raw: Vec<RawMessage> = serde_json::from_str(json).context(EXPECTED)?;
    let mut pictures = Vec::new();
    let mut message = |(number, RawMessage { role, content }): (usize, RawMessage)| {
        let unknown = || {
            anyhow!("message {number} is of the role `{role}`: expected system, user or assistant")
        };
        let role = Role::from_name(&role).ok_or_else(unknown)?;
        let parts = match content {
            Content::Text(text) => vec![Part::Text(text)],
            Content::Parts(parts) => {
                parts.into_iter().map(|part| taken(part, &mut pictures)).collect()
            }
        };
        Ok(Message { role, parts })
    };
    let messages = (1..).zip(raw).map(&mut message).collect::<Result<Vec<_>>>()?;
    match messages.last() {
        Some(Message { role: Role::User, .. }) => Ok((messages, pictures)),
        Some(Message { role, .. }) => {
            bail!("its last message is of the role `{role}`: expected `user`, who is answered")
        }
        None => bail!("it has no messages: {EXPECTED}"),
    }
}

/// The part, with its picture put aside.
fn taken(part: RawPart, pictures: &mut Vec<PathBuf>) -> Part {
    match part {
        RawPart::Text { text } => Part::Text(text),
        RawPart::Image { path } => {
            pictures.push(path);
            Part::Image
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_put_aside_in_the_order_in_which_they_are_shown() {
        let json = r#"[{"role": "user", "content": [
            {"type": "image", "path": "a.png"}, {"type": "text", "text": "what ?"},
            {"type": "image", "path": "b.png"}]},
            {"role": "assistant", "content": "a cat"}, {"role": "user", "content": "sure ?"}]"#;
        let (messages, pictures) = parse(json).expect("a conversation");
        assert_eq!(pictures, [PathBuf::from("a.png"), PathBuf::from("b.png")]);
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(messages[0].parts, [Part::Image, text("what ?"), Part::Image]);
        assert_eq!(
            (messages[1].role, messages[2].parts[0].clone()),
            (Role::Assistant, text("sure ?"))
        );
    }

    #[test]
    fn what_cannot_be_asked_as_it_stands_is_refused() {
        for (json, says) in [
            ("[]", "no messages"),
            (r#"[{"role":"system","content":"a"}]"#, "role `system`"),
            (r#"[{"role":"judge","content":"a"}]"#, "role `judge`"),
            (r#"[{"role":"user","content":[{"type":"audio"}]}]"#, "expected ["),
            (r#"{"role":"user","content":"a"}"#, "expected ["),
        ] {
            let error = parse(json).expect_err(json).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
