//! JSON of strangers. Its values take many times the memory of their bytes, so they are counted
//! before any of them is built.

use crate::error::ApiError;
use serde_json::Value;

/// # Errors
/// If it may have more than `most` values, or is no JSON.
pub(super) fn read(body: &[u8], most: usize) -> Result<Value, ApiError> {
    if most_values(body) > most {
        let message = format!("the request has more than {most} JSON values");
        return Err(ApiError::new(413, "request_too_large", message));
    }
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ApiError::new(400, "invalid_json", format!("the body is no JSON: see {place}"))
    })
}

/// As many values as a JSON text can have: one, and one behind each bracket that opens and each
/// comma.
fn most_values(body: &[u8]) -> usize {
    let (mut values, mut bytes) = (1, body.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' | b',' => values += 1,
            b'"' => pass_text(&mut bytes),
            _ => {}
        }
    }
    values
}

/// Goes on behind the end of a text.
fn pass_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(fields) => fields.values().map(count).sum(),
            _ => 0,
        }
    }

    #[test]
    fn signs_within_texts_are_no_values() {
        for (json, values) in [
            ("7", 1),
            (r#""a,[{\",[\\""#, 1),
            (r#"{",": "[\\", "b": [1, "\""]}"#, 5),
            (r#"["#, 2),
            (r#"",,,,"#, 1),
            (r#""\"#, 1),
        ] {
            assert_eq!(most_values(json.as_bytes()), values, "{json}");
        }
    }

    #[test]
    fn many_small_values_are_refused_and_as_many_as_allowed_are_read() {
        let many = format!("[{}0]", r#"{"":0},"#.repeat(1000));
        assert_eq!(read(many.as_bytes(), 2001).expect_err("too many").status, 413);
        assert_eq!(count(&read(many.as_bytes(), 2002).expect("few enough")), 2002);
    }

    proptest! {
        #[test]
        fn no_word_changes_the_count(
            words in proptest::collection::vec(r#"[\[\]{},:"\\a]{0,6}"#, 1..6)
        ) {
            let fields: Value = words.iter().map(|word| (word.clone(), json!(word))).collect();
            let value = json!([words, fields]);
            prop_assert_eq!(most_values(value.to_string().as_bytes()), count(&value), "{}", value);
        }
    }
}
