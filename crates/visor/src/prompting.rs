//! How a checkpoint is asked: its own prompt template, or the chat template of its family, which
//! stands in one of three places.

use crate::error::Error;
use chrono::{Local, NaiveDateTime};
use serde_json::Value;
use std::collections::BTreeMap;
use visor_checkpoint::Checkpoint;
use visor_processor::{ChatTemplate, PromptTemplate, Template, Tokenizer};

/// The file with the words around a single question.
pub(crate) const PROMPT_TEMPLATE: &str = "prompt_template.txt";
/// Where version 5 of `transformers` writes a chat template.
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// Where version 4 does for a processor.
const CHAT_TEMPLATE_JSON: &str = "chat_template.json";
/// Where it does for a tokenizer.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// What stands for a picture in the prompts of every family.
const MARKER: &str = "<image>";
/// What templates may call special tokens.
const TOKENS: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];

/// Reads how a model is asked; the first place that says it counts.
pub(crate) fn read(checkpoint: &Checkpoint, model: &str) -> Result<Template, Error> {
    if let Some(bytes) = checkpoint.file(PROMPT_TEMPLATE)? {
        let text = text(PROMPT_TEMPLATE, &bytes)?;
        // Editors end a file with a new line that belongs to no prompt.
        return Ok(PromptTemplate::parse(text.strip_suffix('\n').unwrap_or(text))?.into());
    }
    let config = json(checkpoint, TOKENIZER_CONFIG)?.unwrap_or_default();
    let template = match checkpoint.file(CHAT_TEMPLATE)? {
        Some(bytes) => Some(text(CHAT_TEMPLATE, &bytes)?.to_owned()),
        None => {
            let processor = json(checkpoint, CHAT_TEMPLATE_JSON)?.unwrap_or_default();
            chat_template(&processor).or_else(|| chat_template(&config))
        }
    };
    let template = template.ok_or_else(|| Error::MissingFile {
        model: model.to_owned(),
        file: PROMPT_TEMPLATE,
        says: "how a question is put, for instance `{image}{question}<a>`; nor is there a chat \
               template in `chat_template.jinja`, `chat_template.json` or `tokenizer_config.json`",
    })?;
    Ok(ChatTemplate::parse(&template, tokens(&config), local_time)?.into())
}

fn local_time() -> NaiveDateTime {
    Local::now().naive_local()
}

/// Whether the tokenizer reads the mark of a picture as the token that stands for one.
pub(crate) fn check_image_token(tokenizer: &Tokenizer, id: u32) -> Result<(), Error> {
    let got = tokenizer.encode(MARKER)?;
    if got == [id] { Ok(()) } else { Err(Error::ImageToken { expected: id, got }) }
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

/// The field `chat_template`: a template, or several with names, of which `default` counts.
fn chat_template(config: &Value) -> Option<String> {
    let own = |value: &Value| value.as_str().map(str::to_owned);
    match config.get("chat_template")? {
        Value::Array(named) => {
            let is_default = |entry: &&Value| entry.get("name").is_some_and(|n| n == "default");
            named.iter().find(is_default)?.get("template").and_then(own)
        }
        template => own(template),
    }
}

/// Special tokens are texts, or objects whose `content` is the text.
fn tokens(config: &Value) -> BTreeMap<String, String> {
    let token = |name: &&str| {
        let value = config.get(name)?;
        let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
        Some(((*name).to_owned(), text.to_owned()))
    };
    TOKENS.iter().filter_map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_is_a_text_or_one_of_several() {
        assert_eq!(chat_template(&json!({"chat_template": "a"})), Some("a".to_owned()));
        let several = json!({"chat_template": [
            {"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]});
        assert_eq!(chat_template(&several), Some("b".to_owned()));
        assert_eq!(chat_template(&json!({"eos_token": "c"})), None);
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
