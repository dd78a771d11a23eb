//! The messages of a request, and the pictures in them.

use super::fields::{Fields, is_empty};
use super::request::RequestLimits;
use crate::error::ApiError;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use visor::{Message, Part, Role};

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PictureSource {
    /// It came along.
    Bytes(Vec<u8>),
    /// It is to be fetched.
    Remote(String),
}

/// How finely a picture shall be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Low,
    High,
}

/// What the messages say.
pub(super) struct Conversation {
    pub(super) messages: Vec<Message>,
    pub(super) pictures: Vec<PictureSource>,
    /// Of all pictures, where a client says it.
    pub(super) detail: Option<Detail>,
}

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn read(value: Value, limits: &RequestLimits) -> Result<Conversation, ApiError> {
    let Value::Array(raw) = value else {
        return Err(ApiError::invalid("messages", "expected a list of messages"));
    };
    if raw.len() > limits.messages {
        let message = format!("expected at most {} messages", limits.messages);
        return Err(ApiError::invalid("messages", message));
    }
    let mut reading = Reading { pictures: Vec::new(), details: Vec::new(), limits };
    let mut messages = Vec::with_capacity(raw.len());
    for (index, value) in raw.into_iter().enumerate() {
        messages.push(reading.message(Fields::of(value, format!("messages[{index}]"))?)?);
    }
    match messages.last() {
        Some(Message { role: Role::User, .. }) => {}
        _ => {
            let message = "expected the last message to be of the role user, who is answered";
            return Err(ApiError::invalid("messages", message));
        }
    }
    let detail = reading.detail()?;
    Ok(Conversation { messages, pictures: reading.pictures, detail })
}

/// Bytes of text that a token may stand for, on average. Splitting text up takes many times its
/// bytes, so what cannot fit is not split up.
const BYTES_PER_TOKEN: usize = 32;

/// # Errors
/// If the messages have more text than `context` tokens can stand for.
pub fn expect_length(messages: &[Message], context: usize) -> Result<(), ApiError> {
    let bytes: usize = messages.iter().flat_map(Message::texts).map(str::len).sum();
    let most = context.saturating_mul(BYTES_PER_TOKEN);
    if bytes <= most {
        return Ok(());
    }
    let message = format!(
        "the messages have {bytes} bytes of text: expected at most {most}, for the context of this \
         model holds {context} tokens"
    );
    Err(ApiError { code: "context_length_exceeded", ..ApiError::invalid("messages", message) })
}

struct Reading<'a> {
    pictures: Vec<PictureSource>,
    details: Vec<Option<Detail>>,
    limits: &'a RequestLimits,
}

impl Reading<'_> {
    fn message(&mut self, mut fields: Fields) -> Result<Message, ApiError> {
        let role = fields.text("role")?.unwrap_or_default();
        let role = match role.as_str() {
            "developer" => Role::System,
            other => Role::from_name(other).ok_or_else(|| {
                let message = "expected system, developer, user or assistant";
                ApiError::invalid(fields.name("role"), message)
            })?,
        };
        let name = fields.name("content");
        let parts = match fields.take("content") {
            Some(Value::String(text)) => vec![Part::Text(text)],
            Some(Value::Array(parts)) => {
                let part = |(index, part)| self.part(role, part, format!("{name}[{index}]"));
                parts.into_iter().enumerate().map(part).collect::<Result<_, _>>()?
            }
            _ => return Err(ApiError::invalid(name, "expected a text or a list of parts")),
        };
        if role == Role::Assistant {
            answered(&mut fields)?;
        }
        fields.finish()?;
        Ok(Message { role, parts })
    }

    fn part(&mut self, role: Role, part: Value, path: String) -> Result<Part, ApiError> {
        let mut fields = Fields::of(part, path)?;
        let kind = fields.text("type")?.unwrap_or_default();
        let part = match kind.as_str() {
            "text" => {
                let text = fields.text("text")?;
                let missing = || ApiError::invalid(fields.name("text"), "expected a text");
                Part::Text(text.ok_or_else(missing)?)
            }
            "image_url" => {
                if role != Role::User {
                    let message = "pictures are taken in messages of the role user";
                    return Err(ApiError::unsupported(fields.name("type"), message));
                }
                let name = fields.name("image_url");
                let image = match fields.take("image_url") {
                    Some(object @ Value::Object(_)) => Fields::of(object, name)?,
                    _ => return Err(ApiError::invalid(name, "expected an object with a url")),
                };
                self.picture(image)?;
                Part::Image
            }
            "input_audio" | "audio" | "file" | "video_url" | "video" | "refusal" => {
                let message = "audio, files and videos are not supported: expected text, image_url";
                return Err(ApiError::unsupported(fields.name("type"), message));
            }
            _ => {
                return Err(ApiError::invalid(fields.name("type"), "expected text or image_url"));
            }
        };
        fields.finish()?;
        Ok(part)
    }

    fn picture(&mut self, mut fields: Fields) -> Result<(), ApiError> {
        let name = fields.name("url");
        if self.pictures.len() >= self.limits.pictures {
            let message = format!("expected at most {} pictures", self.limits.pictures);
            return Err(ApiError { code: "too_many_pictures", ..ApiError::invalid(name, message) });
        }
        let url = fields.text("url")?;
        let url = url.ok_or_else(|| ApiError::invalid(name.as_str(), "expected a text"))?;
        self.pictures.push(source(&url, &name)?);
        self.details.push(match fields.text("detail")?.as_deref() {
            None | Some("auto") => None,
            Some("low") => Some(Detail::Low),
            Some("high") => Some(Detail::High),
            Some(_) => {
                let message = "expected auto, low or high";
                return Err(ApiError::invalid(fields.name("detail"), message));
            }
        });
        fields.finish()
    }

    /// The detail of all pictures: tiles are bounded for a whole request.
    fn detail(&self) -> Result<Option<Detail>, ApiError> {
        match self.details.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
            [] => Ok(None),
            _ => {
                let message = "the detail must be the same for all pictures of a request";
                Err(ApiError::unsupported("messages.image_url.detail", message))
            }
        }
    }
}

/// Answers come back as they were given, with fields beside their words that say nothing.
fn answered(fields: &mut Fields) -> Result<(), ApiError> {
    let silent = |value: &Value| value.as_str() == Some("");
    fields.neutral("refusal", silent, "refusals are not supported")?;
    fields.neutral("tool_calls", is_empty, "tools are not supported")?;
    fields.neutral("annotations", is_empty, "annotations are not supported")
}

/// A picture by its URL.
fn source(url: &str, name: &str) -> Result<PictureSource, ApiError> {
    let wrong = |message: &'static str| ApiError::invalid(name, message);
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("data") => {}
        Some("http" | "https") => return Ok(PictureSource::Remote(url.to_owned())),
        _ => return Err(wrong("expected a data URL, or an http or https URL where allowed")),
    }
    let (head, body) =
        url[5..].split_once(',').ok_or_else(|| wrong("expected data:image/...;base64,..."))?;
    let mut words = head.split(';');
    let is_image = words
        .next()
        .is_some_and(|kind| kind.len() <= 64 && kind.to_ascii_lowercase().starts_with("image/"));
    if !is_image || words.next_back().is_none_or(|last| !last.eq_ignore_ascii_case("base64")) {
        return Err(wrong("expected data:image/...;base64,..."));
    }
    let bytes = BASE64.decode(body).map_err(|_| wrong("what follows `base64,` is no base64"))?;
    Ok(PictureSource::Bytes(bytes))
}
