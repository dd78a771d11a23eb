//! What a client is told when it does not get an answer: the form of OpenAI's errors.
//!
//! What is wrong with a request is said in full, for it is the client's own. What is wrong here is
//! said in general, with the id of the request; the log has the rest.

use crate::engine::{EngineError, Refused};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;
use visor::{BudgetError, Error, PictureError, RunError};

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Of HTTP.
    pub status: u16,
    /// A word for programs.
    pub code: &'static str,
    /// The field that it is about.
    pub param: Option<String>,
    /// For people.
    pub message: Cow<'static, str>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// Of a request that cannot be followed, about a field of it.
    pub fn invalid(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { param: Some(param.into()), ..Self::new(400, "invalid_value", message) }
    }

    /// Of a request that asks for what is not done here, by name.
    pub fn unsupported(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { param: Some(param.into()), ..Self::new(400, "unsupported_parameter", message) }
    }

    /// Of any other kind.
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, param: None, message: message.into(), retry_after: None }
    }

    /// Something went wrong here.
    pub fn internal() -> Self {
        let message = "something went wrong on the server; the log has more under the request id";
        Self::new(500, "internal_error", message)
    }

    /// It took longer than requests may.
    pub fn timeout() -> Self {
        Self::new(504, "timeout", "the request took longer than this server allows")
    }

    /// A larger body than requests may have.
    pub fn too_large(limit: u64) -> Self {
        let message = format!("the request has more than {limit} bytes");
        Self::new(413, "request_too_large", message)
    }

    /// The body of the answer.
    pub fn body(&self, request_id: &str) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
            "request_id": request_id,
        }})
    }

    fn kind(&self) -> &'static str {
        match self.status {
            401 | 403 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full { retry_after, .. } => {
                let message = "too many requests wait already: try again later";
                let error = Self::new(429, "overloaded", message);
                Self { retry_after: Some(retry_after), ..error }
            }
            Refused::TooLarge { .. } => Self::new(413, "too_many_keys", refused.to_string()),
            Refused::Closing => Self::closing(),
        }
    }
}

impl ApiError {
    /// The server is about to end.
    pub fn closing() -> Self {
        let error = Self::new(503, "shutting_down", "the server is shutting down");
        Self { retry_after: Some(Duration::from_secs(5)), ..error }
    }

    /// The server has not loaded its models yet.
    pub fn loading() -> Self {
        let error = Self::new(503, "loading", "the server is loading its models");
        Self { retry_after: Some(Duration::from_secs(5)), ..error }
    }
}

impl From<&EngineError> for ApiError {
    fn from(error: &EngineError) -> Self {
        match error {
            EngineError::Run(error) => error.into(),
            EngineError::Ended => Self::closing(),
            EngineError::Panicked | EngineError::Interrupted => Self::internal(),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Run(error) => (&error).into(),
            Error::ThriftBesideBudget { .. } | Error::ThriftWithoutPolicy => {
                Self::invalid("visor.thrift", as_fields(error.to_string()))
            }
            _ => Self::internal(),
        }
    }
}

/// Messages of the library name options of the command line; a client knows them as fields.
fn as_fields(message: String) -> String {
    let options = [
        ("--max-gflops", "visor.max_gflops"),
        ("--patches", "visor.patches"),
        ("--thrift", "visor.thrift"),
    ];
    options.iter().fold(message, |message, (option, field)| message.replace(option, field))
}

impl From<&RunError> for ApiError {
    fn from(error: &RunError) -> Self {
        let message = as_fields(error.to_string());
        match error {
            RunError::Picture { index, source } => Self::picture(*index, source),
            RunError::Context { .. } => {
                Self { code: "context_length_exceeded", ..Self::invalid("messages", message) }
            }
            RunError::Prompt(_) => Self::invalid("messages", message),
            RunError::Budget(BudgetError::BelowCheapest { .. } | BudgetError::Ceiling { .. }) => {
                Self::invalid("visor.max_gflops", message)
            }
            RunError::Budget(_) => Self::invalid("visor.budget", message),
            RunError::AboveCeiling { .. } => Self::invalid("visor.max_gflops", message),
            RunError::NoSelector { .. }
            | RunError::Patches { .. }
            | RunError::DensePatches { .. } => Self::invalid("visor.patches", message),
            RunError::Policy(visor::PolicyError::NoThrift { .. }) => {
                Self::invalid("visor.thrift", message)
            }
            RunError::Cancelled(_) => Self::closing(),
            _ => Self::internal(),
        }
    }
}

impl ApiError {
    /// Says what is wrong with a picture, and not what a decoder says about its bytes.
    fn picture(index: usize, source: &PictureError) -> Self {
        let code = match source {
            PictureError::TooLarge { .. }
            | PictureError::TooManyPixels { .. }
            | PictureError::TooMuchMemory { .. } => "picture_too_large",
            PictureError::TooSmall { .. } | PictureError::TooNarrow { .. } => "picture_shape",
            _ => "picture_unreadable",
        };
        Self { code, ..Self::invalid(format!("picture {}", index + 1), source.to_string()) }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
