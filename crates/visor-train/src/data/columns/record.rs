//! The values of a row by the name of their column: what is wrong with one is said with it.

use super::cell::{Cell, Embedded};
use crate::error::TrainError;
use parquet::data_type::ByteArray;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What lies in a row of a column.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    /// A field that is null in a struct that is not.
    Hollow,
    Truth(bool),
    Whole(i64),
    Real(f64),
    /// Text, or a picture.
    Bytes(ByteArray),
    List(Vec<Self>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "null"),
            Self::Hollow => write!(f, "null in a struct that is there"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Whole(whole) => write!(f, "{whole}"),
            Self::Real(real) => write!(f, "{real}"),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
                Ok(text) if text.len() <= 40 => write!(f, "{text:?}"),
                Ok(text) => write!(f, "a text of {} bytes", text.len()),
                Err(_) => write!(f, "{} bytes that are no text", bytes.data().len()),
            },
            Self::List(values) => write!(f, "a list of {}", values.len()),
        }
    }
}

/// A row, of which the columns that were asked for have been read.
pub(in crate::data) struct Record<'a> {
    pub(super) path: &'a Arc<Path>,
    pub(super) columns: &'a [&'a str],
    pub(super) leaves: &'a [usize],
    pub(super) values: Vec<Value>,
    pub(super) group: usize,
    /// In its group, from 0.
    pub(super) row: usize,
    /// In its file, from 1.
    pub(super) number: usize,
    /// In the split, from 1.
    pub(super) ordinal: usize,
}

impl Record<'_> {
    /// Its place among the rows of all shards, counted from 1.
    pub(in crate::data) fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// The error of a row that cannot be used.
    pub(in crate::data) fn error(&self, because: String) -> TrainError {
        let row = self.number.to_string();
        TrainError::DataRow { path: self.path.to_path_buf(), row, because }
    }

    fn place(&self, column: &str) -> Result<usize, String> {
        let place = self.columns.iter().position(|&asked| asked == column);
        place.ok_or_else(|| format!("column `{column}` was not read"))
    }

    fn value(&self, column: &str) -> Result<&Value, String> {
        Ok(&self.values[self.place(column)?])
    }

    /// Whether there is nothing.
    pub(in crate::data) fn is_null(&self, column: &str) -> Result<bool, String> {
        Ok(matches!(self.value(column)?, Value::Null))
    }

    /// A text.
    pub(in crate::data) fn text(&self, column: &str) -> Result<String, String> {
        let value = self.value(column)?;
        text(value).ok_or_else(|| unlike(column, value, "text"))
    }

    /// A text, or a number as text.
    pub(in crate::data) fn words(&self, column: &str) -> Result<String, String> {
        match self.value(column)? {
            Value::Whole(whole) => Ok(whole.to_string()),
            value => match text(value) {
                Some(text) => Ok(text.trim().to_owned()),
                None => Err(unlike(column, value, "text or a number")),
            },
        }
    }

    /// A list of texts.
    pub(in crate::data) fn texts(&self, column: &str) -> Result<Vec<String>, String> {
        self.list(column, "text", text)
    }

    /// A list of numbers.
    pub(in crate::data) fn reals(&self, column: &str) -> Result<Vec<f64>, String> {
        self.list(column, "a number", |value| match value {
            Value::Real(real) => Some(*real),
            Value::Whole(whole) => Some(*whole as f64),
            _ => None,
        })
    }

    fn list<T>(
        &self,
        column: &str,
        of: &str,
        element: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, String> {
        let value = self.value(column)?;
        let Value::List(values) = value else {
            return Err(unlike(column, value, &format!("a list of which each is {of}")));
        };
        let all = values.iter().enumerate().map(|(index, value)| {
            let expected = format!("{of} as value {} of the list", index + 1);
            element(value).ok_or_else(|| unlike(column, value, &expected))
        });
        all.collect()
    }

    /// A whole number that counts or chooses.
    pub(in crate::data) fn count(&self, column: &str) -> Result<usize, String> {
        let value = self.value(column)?;
        let count = match value {
            Value::Whole(whole) => usize::try_from(*whole).ok(),
            _ => None,
        };
        count.ok_or_else(|| unlike(column, value, "a whole number from 0"))
    }

    /// True or false.
    pub(in crate::data) fn truth(&self, column: &str) -> Result<bool, String> {
        match self.value(column)? {
            Value::Truth(truth) => Ok(*truth),
            value => Err(unlike(column, value, "true or false")),
        }
    }

    /// A picture with its address.
    pub(in crate::data) fn picture(&self, column: &str) -> Result<Embedded, String> {
        let place = self.place(column)?;
        match &self.values[place] {
            Value::Bytes(bytes) => Ok(Embedded {
                cell: Cell::new(self.path, (self.group, self.row), self.leaves[place], self.number),
                bytes: bytes.clone(),
            }),
            value => Err(unlike(column, value, "the bytes of a picture")),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).ok(),
        _ => None,
    }
}

fn unlike(column: &str, value: &Value, expected: &str) -> String {
    format!("column `{column}` is {value}: expected {expected}")
}
