//! What a client may say about the budget: in the model's name, in the `visor` object, in headers.

use super::fields::Fields;
use crate::error::ApiError;
use serde_json::Value;
use std::num::NonZeroUsize;
use visor::{BudgetRequest, Flops, Patches, Question, Thrift};

/// A header that says one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnobHeader {
    /// `x-visor-budget`
    Budget,
    /// `x-visor-max-gflops`
    MaxGflops,
    /// `x-visor-thrift`
    Thrift,
    /// `x-visor-patches`
    Patches,
}

impl KnobHeader {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Budget, Self::MaxGflops, Self::Thrift, Self::Patches];

    /// The name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Budget => "x-visor-budget",
            Self::MaxGflops => "x-visor-max-gflops",
            Self::Thrift => "x-visor-thrift",
            Self::Patches => "x-visor-patches",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::MaxGflops => "max_gflops",
            Self::Thrift => "thrift",
            Self::Patches => "patches",
        }
    }
}

/// How much shall be computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knobs {
    /// The budget.
    pub budget: Option<BudgetRequest>,
    /// Most FLOPs before the first token.
    pub ceiling: Option<Flops>,
    /// How much cost weighs where a policy chooses.
    pub thrift: Option<Thrift>,
    /// What cross-attention may read.
    pub patches: Option<Patches>,
    /// Most tiles of a picture.
    pub max_tiles: Option<NonZeroUsize>,
}

impl Knobs {
    /// Reads the `visor` object and the headers; what both say must be the same.
    pub(super) fn read(
        object: Option<Value>,
        headers: &[(KnobHeader, String)],
    ) -> Result<Self, ApiError> {
        let mut fields = match object {
            Some(object) => Fields::of(object, "visor")?,
            None => Fields::of(Value::Object(serde_json::Map::new()), "visor")?,
        };
        let mut knobs = Self::default();
        for header in KnobHeader::ALL {
            let own = fields.take(header.field()).map(|value| (fields.name(header.field()), value));
            let of_header = headers.iter().filter(|(which, _)| *which == header);
            let of_header =
                of_header.map(|(_, text)| (header.name().to_owned(), of_text(header, text)));
            let mut before: Option<Self> = None;
            for (name, value) in own.into_iter().chain(of_header) {
                let mut one = Self::default();
                one.set(header, &name, &value)?;
                if before.as_ref().is_some_and(|before| *before != one) {
                    let message = "the header and the body say different things";
                    return Err(ApiError::invalid(name, message));
                }
                knobs.set(header, &name, &value)?;
                before = Some(one);
            }
        }
        knobs.max_tiles = match fields.count("max_tiles")? {
            None => None,
            Some(count) => Some(positive("visor.max_tiles", count)?),
        };
        fields.finish()?;
        Ok(knobs)
    }

    fn set(&mut self, which: KnobHeader, name: &str, value: &Value) -> Result<(), ApiError> {
        let wrong = |expected: &'static str| ApiError::invalid(name, expected);
        match which {
            KnobHeader::Budget => {
                let expected = "expected the name of a budget";
                let word = value.as_str().ok_or_else(|| wrong(expected))?;
                self.budget = Some(budget(word).ok_or_else(|| wrong(expected))?);
            }
            KnobHeader::MaxGflops => {
                let flops = value.as_f64().and_then(Flops::from_giga).filter(|f| *f > Flops(0));
                self.ceiling = Some(flops.ok_or_else(|| wrong("expected a positive number"))?);
            }
            KnobHeader::Thrift => {
                let thrift = value.as_f64().and_then(|weight| Thrift::new(weight as f32));
                self.thrift = Some(thrift.ok_or_else(|| wrong("expected a number from 0 up"))?);
            }
            KnobHeader::Patches => {
                let word = match value {
                    Value::String(word) => word.clone(),
                    other => other.to_string(),
                };
                let patches = word.parse().ok();
                let expected =
                    "expected all, auto, a number from 1 up, or random/4 for one in four";
                self.patches = Some(patches.ok_or_else(|| wrong(expected))?);
            }
        }
        Ok(())
    }

    /// The budget that stands in the model's name, unless another one stands elsewhere.
    pub(super) fn named(self, in_name: Option<BudgetRequest>) -> Result<Self, ApiError> {
        match (&self.budget, in_name) {
            (Some(own), Some(in_name)) if *own != in_name => {
                let message = "the model's name and the budget say different things";
                Err(ApiError::invalid("visor.budget", message))
            }
            (None, budget @ Some(_)) => Ok(Self { budget, ..self }),
            (Some(_) | None, _) => Ok(self),
        }
    }

    /// Puts them into a question.
    pub fn apply(self, question: Question) -> Question {
        let question = self.budget.into_iter().fold(question, Question::budget);
        let question = self.ceiling.into_iter().fold(question, Question::ceiling);
        let question = self.thrift.into_iter().fold(question, Question::thrift);
        let question = self.patches.into_iter().fold(question, Question::patches);
        self.max_tiles.into_iter().fold(question, Question::max_tiles)
    }
}

/// A budget by its word, if that can be one.
pub(super) fn budget(word: &str) -> Option<BudgetRequest> {
    let fits = !word.is_empty() && word.len() <= 64;
    word.parse().ok().filter(|_| fits)
}

/// A header's text as the body would have it.
fn of_text(which: KnobHeader, text: &str) -> Value {
    match which {
        KnobHeader::Budget | KnobHeader::Patches => Value::from(text),
        KnobHeader::MaxGflops | KnobHeader::Thrift => {
            text.parse::<f64>().map_or(Value::Null, Value::from)
        }
    }
}

pub(super) fn positive(name: &str, count: u64) -> Result<NonZeroUsize, ApiError> {
    let count = usize::try_from(count).ok().and_then(NonZeroUsize::new);
    count.ok_or_else(|| ApiError::invalid(name, "expected a whole number from 1 up"))
}
