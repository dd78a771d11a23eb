//! How a checkpoint is asked: its own prompt template, or the chat template of its family, which
//! stands in one of four places.
//!
//! Which of them counts is what `ProcessorMixin.get_processor_dict` of `transformers` 5.23 says: the
//! field of `processor_config.json`, then `chat_template.json`, then `chat_template.jinja`. The
//! tokenizer's own is for text alone and counts where the processor has none.

use crate::error::Error;
use crate::remark::Remark;
use chrono::{Local, NaiveDateTime};
use serde_json::Value;
use std::collections::BTreeMap;
use visor_checkpoint::Checkpoint;
use visor_processor::{ChatTemplate, PromptTemplate, Template, Tokenizer};

/// The file with the words around a single question.
pub(crate) const PROMPT_TEMPLATE: &str = "prompt_template.txt";
/// Where version 5 of `transformers` writes a chat template: the only place that is no JSON.
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// What is said of prompts beside the tokenizer.
const PROCESSOR_CONFIG: &str = "processor_config.json";
/// What belongs to the tokenizer alone.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Where a chat template may stand, the place that counts first.
const PLACES: [&str; 4] = [PROCESSOR_CONFIG, "chat_template.json", CHAT_TEMPLATE, TOKENIZER_CONFIG];
/// What stands for a picture in the prompts of every family, unless a checkpoint says otherwise.
const MARKER: &str = "<image>";
/// The field that says otherwise.
const MARKER_FIELD: &str = "image_token";
/// What templates may call special tokens.
const TOKENS: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];

/// Reads how a model is asked, with what is to be said of it.
pub(crate) fn read(
    checkpoint: &Checkpoint,
    model: &str,
) -> Result<(Template, Option<Remark>), Error> {
    if let Some(bytes) = checkpoint.file(PROMPT_TEMPLATE)? {
        let text = text(PROMPT_TEMPLATE, &bytes)?;
        // Editors end a file with a new line that belongs to no prompt.
        let template = PromptTemplate::parse(text.strip_suffix('\n').unwrap_or(text))?;
        return Ok((template.into(), None));
    }
    for (at, used) in PLACES.into_iter().enumerate() {
        let Some(template) = template_in(checkpoint, used)? else { continue };
        let differs = |place: &&'static str| match template_in(checkpoint, place) {
            Ok(Some(other)) => !other.lines().eq(template.lines()),
            // What nobody reads may be damaged.
            Ok(None) | Err(_) => false,
        };
        let behind = PLACES.into_iter().skip(at + 1).filter(|place| *place != TOKENIZER_CONFIG);
        let left: Vec<&str> = behind.filter(differs).collect();
        let config = json(checkpoint, TOKENIZER_CONFIG)?.unwrap_or_default();
        let template = ChatTemplate::parse(&template, tokens(&config), local_time)?;
        let remark = (!left.is_empty()).then_some(Remark::ChatTemplates { used, left });
        return Ok((template.into(), remark));
    }
    Err(Error::MissingFile {
        model: model.to_owned(),
        file: PROMPT_TEMPLATE,
        says: "how a question is put, for instance `{image}{question}<a>`; nor is there a chat \
               template in `chat_template.jinja`, `chat_template.json`, `processor_config.json` or \
               `tokenizer_config.json`",
    })
}

/// The chat template that one of the places holds, if it holds one.
fn template_in(checkpoint: &Checkpoint, place: &'static str) -> Result<Option<String>, Error> {
    if place == CHAT_TEMPLATE {
        let Some(bytes) = checkpoint.file(place)? else { return Ok(None) };
        return Ok(Some(text(place, &bytes)?.to_owned()));
    }
    let config = json(checkpoint, place)?.unwrap_or_default();
    chat_template(&config)
        .map_err(|names| Error::NamedTemplates { file: place, names: names.join(", ") })
}

fn local_time() -> NaiveDateTime {
    Local::now().naive_local()
}

/// Whether the tokenizer reads the mark of a picture as the token that stands for one.
pub(crate) fn check_image_token(
    checkpoint: &Checkpoint,
    tokenizer: &Tokenizer,
    id: u32,
) -> Result<(), Error> {
    let marker = marker(
        &json(checkpoint, TOKENIZER_CONFIG)?.unwrap_or_default(),
        &json(checkpoint, PROCESSOR_CONFIG)?.unwrap_or_default(),
    );
    let got = tokenizer.encode(&marker)?;
    if got == [id] { Ok(()) } else { Err(Error::ImageToken { marker, expected: id, got }) }
}

/// The mark of a picture: as the processors of `transformers` have it, the tokenizer's word counts
/// before the processor's own.
fn marker(tokenizer: &Value, processor: &Value) -> String {
    let named = |of: &Value| of.get(MARKER_FIELD).and_then(token);
    named(tokenizer)
        .or_else(|| named(tokenizer.get("extra_special_tokens")?))
        .or_else(|| named(processor))
        .unwrap_or_else(|| MARKER.to_owned())
}

fn text<'a>(file: &'static str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|source| Error::TemplateText { file, source })
}

fn json(checkpoint: &Checkpoint, file: &'static str) -> Result<Option<Value>, Error> {
    let Some(bytes) = checkpoint.file(file)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| {
        visor_checkpoint::CheckpointError::Json { file: file.to_owned(), source }.into()
    })
}

/// The field `chat_template`: a template, or several with names, of which `default` counts. The
/// error is the names where none of them is that.
fn chat_template(config: &Value) -> Result<Option<String>, Vec<String>> {
    let own = |value: &Value| value.as_str().map(str::to_owned);
    let named: Vec<(String, &Value)> = match config.get("chat_template") {
        None => return Ok(None),
        Some(Value::Object(named)) => {
            named.iter().map(|(name, template)| (name.clone(), template)).collect()
        }
        Some(Value::Array(entries)) => entries.iter().filter_map(named_template).collect(),
        Some(template) => return Ok(own(template)),
    };
    match named.iter().find(|(name, _)| name == "default") {
        Some((_, template)) => Ok(own(template)),
        None if named.is_empty() => Ok(None),
        None => Err(named.into_iter().map(|(name, _)| name).collect()),
    }
}

/// An entry of a list of templates.
fn named_template(entry: &Value) -> Option<(String, &Value)> {
    Some((entry.get("name")?.as_str()?.to_owned(), entry.get("template")?))
}

/// Special tokens are texts, or objects whose `content` is the text.
fn tokens(config: &Value) -> BTreeMap<String, String> {
    let named = |name: &&str| Some(((*name).to_owned(), token(config.get(name)?)?));
    TOKENS.iter().filter_map(named).collect()
}

fn token(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_is_a_text_or_one_of_several() {
        assert_eq!(chat_template(&json!({"chat_template": "a"})), Ok(Some("a".to_owned())));
        let several = json!({"chat_template": [
            {"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]});
        assert_eq!(chat_template(&several), Ok(Some("b".to_owned())));
        let object = json!({"chat_template": {"rag": "a", "default": "b"}});
        assert_eq!(chat_template(&object), Ok(Some("b".to_owned())));
        for none in [json!({"eos_token": "c"}), json!({"chat_template": null})] {
            assert_eq!(chat_template(&none), Ok(None));
        }
    }

    #[test]
    fn templates_with_names_of_which_none_is_the_default_are_named() {
        for named in [
            json!([{"name": "rag", "template": "a"}, {"name": "tool_use", "template": "b"}]),
            json!({"rag": "a", "tool_use": "b"}),
        ] {
            let names = chat_template(&json!({"chat_template": named})).expect_err("no default");
            assert_eq!(names, ["rag", "tool_use"]);
        }
    }

    #[test]
    fn the_mark_of_a_picture_is_the_tokenizers_then_the_processors() {
        let (none, own) = (json!({}), json!({"image_token": "<img>"}));
        assert_eq!(marker(&none, &none), "<image>");
        assert_eq!(marker(&none, &own), "<img>");
        for tokenizer in [
            json!({"image_token": {"content": "<pic>"}}),
            json!({"extra_special_tokens": {"image_token": "<pic>"}}),
        ] {
            assert_eq!(marker(&tokenizer, &own), "<pic>");
        }
        assert_eq!(marker(&json!({"extra_special_tokens": ["<pic>"]}), &own), "<img>");
    }

    #[test]
    fn special_tokens_are_texts_or_objects() {
        let config =
            json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null});
        let tokens = tokens(&config);
        assert_eq!(tokens.get("bos_token").map(String::as_str), Some("<s>"));
        assert_eq!(tokens.get("eos_token").map(String::as_str), Some("</s>"));
        assert_eq!(tokens.len(), 2);
    }
}
