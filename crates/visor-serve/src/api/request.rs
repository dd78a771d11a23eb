//! A chat completion as it is asked for: parsed once, into types that cannot be wrong.

use super::bounded;
use super::fields::{Fields, is_empty};
use super::knobs::{KnobHeader, Knobs, budget, positive};
use super::messages::{self, Conversation, Detail, PictureSource};
use crate::error::ApiError;
use serde_json::Value;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use visor::{
    BudgetRequest, GenerationSettings, Message, Sampling, StopString, Temperature, TopK, TopP,
};

/// What bounds a request before anything is done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// JSON values of a body: each takes up to a hundred times its bytes.
    pub values: usize,
    /// Messages of a conversation.
    pub messages: usize,
    /// Pictures of all messages.
    pub pictures: usize,
    /// Most tokens that an answer may be asked for.
    pub max_tokens: NonZeroUsize,
    /// Texts that may end an answer.
    pub stops: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        let max_tokens = NonZeroUsize::new(4096).unwrap_or(NonZeroUsize::MIN);
        Self { values: 1 << 16, messages: 256, pictures: 8, max_tokens, stops: 4 }
    }
}

/// Longest text that may end an answer, in bytes.
const MAX_STOP: usize = 256;

/// A model by name, perhaps with a budget: `nano`, `nano@sa1`, `nano@auto`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelName {
    /// The whole name.
    pub whole: String,
    /// What stands behind the last `@`, if anything does.
    pub budget: Option<BudgetRequest>,
}

impl ModelName {
    /// The name without the budget.
    pub fn base(&self) -> &str {
        self.whole.rsplit_once('@').map_or(self.whole.as_str(), |(base, _)| base)
    }
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// At once, when it is complete.
    Off,
    /// Piece by piece.
    Pieces,
    /// Piece by piece, and at the end what it took.
    PiecesAndUsage,
}

/// A request for a chat completion.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// Who shall answer.
    pub model: ModelName,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Its pictures, in the order in which it shows them.
    pub pictures: Vec<PictureSource>,
    /// How the answer is generated.
    pub settings: GenerationSettings,
    /// How much is computed, but for what the model's name says.
    pub knobs: Knobs,
    /// How the answer is sent.
    pub streaming: Streaming,
}

/// Reads the body of a request, and the headers that say something about its budget.
///
/// # Errors
/// If it is no request, goes beyond a limit, or asks for what is not done here.
pub fn parse(
    body: &[u8],
    headers: &[(KnobHeader, String)],
    limits: &RequestLimits,
) -> Result<ChatRequest, ApiError> {
    let mut fields = Fields::of(bounded::read(body, limits.values)?, "")?;
    let model = model(&mut fields)?;
    let knobs = Knobs::read(fields.take("visor"), headers)?;
    let messages = fields.take("messages").unwrap_or(Value::Null);
    let Conversation { messages, pictures, detail } = messages::read(messages, limits)?;
    let settings = settings(&mut fields, limits)?;
    let streaming = streaming(&mut fields)?;
    refuse(&mut fields)?;
    fields.finish()?;
    let knobs = detailed(knobs.named(model.budget.clone())?, detail)?;
    Ok(ChatRequest { model, messages, pictures, settings, knobs, streaming })
}

fn model(fields: &mut Fields) -> Result<ModelName, ApiError> {
    let wrong = || ApiError::invalid("model", "expected the name of a model");
    let whole = fields.text("model")?.filter(|name| !name.is_empty() && name.len() <= 256);
    let whole = whole.ok_or_else(wrong)?;
    let budget = match whole.rsplit_once('@') {
        None => None,
        Some((_, word)) => Some(budget(word).ok_or_else(wrong)?),
    };
    Ok(ModelName { whole, budget })
}

/// `low` is a single tile; `high` is as many as the model makes.
fn detailed(knobs: Knobs, detail: Option<Detail>) -> Result<Knobs, ApiError> {
    match (detail, knobs.max_tiles) {
        (Some(Detail::Low), None) => Ok(Knobs { max_tiles: Some(NonZeroUsize::MIN), ..knobs }),
        (Some(_), Some(_)) => {
            let message = "say it with detail or with visor.max_tiles, not with both";
            Err(ApiError::invalid("visor.max_tiles", message))
        }
        (Some(Detail::High) | None, _) => Ok(knobs),
    }
}

fn settings(fields: &mut Fields, limits: &RequestLimits) -> Result<GenerationSettings, ApiError> {
    let invalid = |name: &'static str| {
        move |error: visor::SamplingError| ApiError::invalid(name, error.to_string())
    };
    let temperature = fields.number("temperature")?.filter(|temperature| *temperature != 0.0);
    let (top_p, top_k) = (fields.number("top_p")?, fields.count("top_k")?);
    let top_p = top_p.map(TopP::new).transpose().map_err(invalid("top_p"))?;
    let seed = fields.count("seed")?;
    let sampling = match temperature {
        Some(temperature) => {
            let top_k = top_k.map(|k| TopK::new(usize::try_from(k).unwrap_or(usize::MAX)));
            Sampling::Random {
                temperature: Temperature::new(temperature).map_err(invalid("temperature"))?,
                top_p,
                top_k: top_k.transpose().map_err(invalid("top_k"))?,
                seed: seed.unwrap_or_else(draw_seed),
            }
        }
        // Without a temperature the best token is taken, and nothing is drawn.
        None => {
            let whole = TopP::new(1.0).ok();
            let says = "needs a temperature above 0: without one the best token is always taken";
            if top_p.is_some() && top_p != whole {
                return Err(ApiError::invalid("top_p", says));
            }
            if top_k.is_some() {
                return Err(ApiError::invalid("top_k", says));
            }
            Sampling::Greedy
        }
    };
    Ok(GenerationSettings {
        max_new_tokens: max_tokens(fields, limits)?,
        sampling,
        stop: stops(fields, limits)?,
    })
}

/// A seed that nobody has asked for, and that can be asked for again: the numbers of some clients
/// have 53 bits.
fn draw_seed() -> u64 {
    RandomState::new().hash_one("seed") >> 11
}

fn max_tokens(
    fields: &mut Fields,
    limits: &RequestLimits,
) -> Result<Option<NonZeroUsize>, ApiError> {
    let mut asked = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(count) = fields.count(name)? else { continue };
        let count = positive(name, count)?;
        if count > limits.max_tokens {
            let message = format!("expected at most {}", limits.max_tokens);
            return Err(ApiError::invalid(name, message));
        }
        if asked.replace(count).is_some_and(|before| before != count) {
            let message = "max_tokens and max_completion_tokens say different things";
            return Err(ApiError::invalid(name, message));
        }
    }
    Ok(asked)
}

fn stops(fields: &mut Fields, limits: &RequestLimits) -> Result<Vec<StopString>, ApiError> {
    let expected = || ApiError::invalid("stop", "expected a text, or a list of up to 4 texts");
    let texts = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![Value::String(text)],
        Some(Value::Array(texts)) if texts.len() <= limits.stops => texts,
        Some(_) => return Err(expected()),
    };
    let stop = |text: &Value| {
        let text = text.as_str().filter(|text| text.len() <= MAX_STOP).ok_or_else(expected)?;
        StopString::new(text).map_err(|error| ApiError::invalid("stop", error.to_string()))
    };
    texts.iter().map(stop).collect()
}

fn streaming(fields: &mut Fields) -> Result<Streaming, ApiError> {
    let stream = fields.flag("stream")?.unwrap_or(false);
    let usage = match fields.take("stream_options") {
        None => None,
        Some(options) => {
            let mut options = Fields::of(options, "stream_options")?;
            let usage = options.flag("include_usage")?;
            options.neutral(
                "include_obfuscation",
                |value| *value == Value::Bool(false),
                "streams are not obfuscated here",
            )?;
            options.finish()?;
            Some(usage.unwrap_or(false))
        }
    };
    match (stream, usage) {
        (false, None) => Ok(Streaming::Off),
        (false, Some(_)) => {
            Err(ApiError::invalid("stream_options", "is for answers that are streamed"))
        }
        (true, Some(true)) => Ok(Streaming::PiecesAndUsage),
        (true, Some(false) | None) => Ok(Streaming::Pieces),
    }
}

/// What is not done here is accepted where it asks for nothing, and else refused by name.
fn refuse(fields: &mut Fields) -> Result<(), ApiError> {
    let zero = |value: &Value| value.as_f64() == Some(0.0);
    let off = |value: &Value| *value == Value::Bool(false);
    let one = |value: &Value| value.as_u64() == Some(1);
    let word = |word: &'static str| move |value: &Value| value.as_str() == Some(word);
    fields.neutral("n", one, "one answer is given to a request: ask several times")?;
    fields.neutral("frequency_penalty", zero, "penalties are not supported")?;
    fields.neutral("presence_penalty", zero, "penalties are not supported")?;
    fields.neutral("logprobs", off, "probabilities of tokens are not given out")?;
    fields.neutral("top_logprobs", zero, "probabilities of tokens are not given out")?;
    fields.neutral("logit_bias", is_empty, "tokens cannot be favoured")?;
    fields.neutral("tools", is_empty, "tools are not supported")?;
    fields.neutral("functions", is_empty, "functions are not supported")?;
    fields.neutral("tool_choice", word("none"), "tools are not supported")?;
    fields.neutral("function_call", word("none"), "functions are not supported")?;
    fields.neutral("parallel_tool_calls", off, "tools are not supported")?;
    fields.neutral("store", off, "answers are not stored")?;
    fields.neutral("service_tier", word("auto"), "there are no service tiers")?;
    let text = |value: &Value| value.get("type").and_then(Value::as_str) == Some("text");
    fields.neutral("response_format", text, "answers are plain text")?;
    let modalities = |value: &Value| *value == serde_json::json!(["text"]);
    fields.neutral("modalities", modalities, "answers are plain text")
}
