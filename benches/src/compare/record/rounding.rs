//! Floats with six significant digits: more says nothing and differs between machines.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

/// The record with all floats rounded.
pub(crate) fn rounded<R: Serialize + DeserializeOwned>(record: &R) -> Result<R, serde_json::Error> {
    let mut value = serde_json::to_value(record)?;
    round(&mut value);
    serde_json::from_value(value)
}

fn round(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if number.is_f64()
                && let Some(float) = number.as_f64()
                && let Some(short) = six_digits(float)
            {
                *number = short;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(fields) => fields.values_mut().for_each(round),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Adding 0 makes no zero negative, as a difference of rounding errors can be.
fn six_digits(float: f64) -> Option<Number> {
    Number::from_f64(format!("{float:.5e}").parse::<f64>().ok()? + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_kept_whatever_the_size() {
        let short = |float| six_digits(float).and_then(|number| number.as_f64());
        assert_eq!(short(0.123_456_789), Some(0.123_457));
        assert_eq!(short(123_456_789.0), Some(123_457_000.0));
        assert_eq!(short(1.234_567_8e-300), Some(1.234_57e-300));
        assert_eq!(short(-0.0).map(f64::is_sign_negative), Some(false));
        assert_eq!(short(1.0), Some(1.0));
    }
}
