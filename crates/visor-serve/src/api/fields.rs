//! The fields of a JSON object, each taken once; what is left over is refused by name.

use crate::error::ApiError;
use serde_json::{Map, Value};

/// An object whose fields are being taken.
pub(super) struct Fields {
    fields: Map<String, Value>,
    /// What stands before the names in messages.
    path: String,
}

impl Fields {
    /// # Errors
    /// If it is no object.
    pub(super) fn of(value: Value, path: impl Into<String>) -> Result<Self, ApiError> {
        let path = path.into();
        match value {
            Value::Object(fields) => Ok(Self { fields, path }),
            _ if path.is_empty() => {
                Err(ApiError::new(400, "invalid_json", "the body is no JSON object"))
            }
            _ => Err(ApiError::invalid(path, "expected an object")),
        }
    }

    /// The full name of a field.
    pub(super) fn name(&self, field: &str) -> String {
        match self.path.as_str() {
            "" => field.to_owned(),
            path => format!("{path}.{field}"),
        }
    }

    /// Takes a field; one that is null is not there.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    fn taken<T>(
        &mut self,
        field: &str,
        expected: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let wrong = || ApiError::invalid(self.name(field), expected);
        read(value).map(Some).ok_or_else(wrong)
    }

    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        // A picture's text is long: it is not copied.
        self.taken(field, "expected a text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(super) fn number(&mut self, field: &str) -> Result<Option<f64>, ApiError> {
        self.taken(field, "expected a number", |value| value.as_f64())
    }

    /// From 0 up.
    pub(super) fn count(&mut self, field: &str) -> Result<Option<u64>, ApiError> {
        self.taken(field, "expected a whole number from 0 up", |value| value.as_u64())
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<Option<bool>, ApiError> {
        self.taken(field, "expected true or false", |value| value.as_bool())
    }

    /// A field that is accepted as long as it asks for nothing.
    pub(super) fn neutral(
        &mut self,
        field: &'static str,
        is_neutral: impl FnOnce(&Value) -> bool,
        says: &'static str,
    ) -> Result<(), ApiError> {
        match self.take(field) {
            Some(value) if !is_neutral(&value) => {
                Err(ApiError::unsupported(self.name(field), says))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// If a field has not been taken.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.fields.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((field, _)) => {
                // A name is the client's own, and may be of any length.
                let short: String = self.name(field).chars().take(64).collect();
                Err(ApiError::unsupported(short, "this field is not supported here"))
            }
        }
    }
}

/// A list or an object with nothing in it.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
