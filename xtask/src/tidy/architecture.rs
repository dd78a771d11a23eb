//! Whatever ARCHITECTURE.md names by path, or as a test, is there.

use crate::markdown::code_spans;
use crate::repo::Repo;
use anyhow::Result;
use std::collections::BTreeSet;

pub(super) const FILE: &str = "ARCHITECTURE.md";

pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    let spans: BTreeSet<String> = code_spans(&repo.text(FILE)?).into_iter().collect();
    let functions: BTreeSet<String> = repo
        .texts()
        .filter(|(file, _)| file.ends_with(".rs"))
        .flat_map(|(_, text)| function_names(&text))
        .collect();
    let missing = |span: &String| {
        let kind = if is_path(span) && !repo.exists(span) {
            "path"
        } else if is_sentence(span) && !functions.contains(span) {
            "test"
        } else {
            return None;
        };
        Some(format!("{FILE} names the {kind} `{span}`, which is not there"))
    };
    Ok(spans.iter().filter_map(missing).collect())
}

/// A path has a folder, or is a document; it has nothing that only code has.
fn is_path(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    span.chars().all(plain) && (span.contains('/') || span.ends_with(".md"))
}

/// The name of a test is a sentence: four words or more.
fn is_sentence(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    span.chars().all(plain) && span.split('_').filter(|word| !word.is_empty()).count() >= 4
}

fn function_names(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let (_, rest) = line.split_once("fn ")?;
        let end = rest.find(['(', '<'])?;
        Some(rest[..end].to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_other_code() {
        for path in ["crates/visor-core", "README.md", ".ci/run", "models/"] {
            assert!(is_path(path), "{path}");
        }
        for other in ["visor.json", "[B, T, E]", "cargo run -p xtask -- tidy", "a::b", "T + CA"] {
            assert!(!is_path(other), "{other}");
        }
    }

    #[test]
    fn tests_are_told_from_other_names_by_their_length() {
        assert!(is_sentence("a_row_of_a_batch_equals_the_sample_alone"));
        for other in ["visual_stream", "null_key", "LayerMode", "-D_a_b_c", "self_attention_layers"]
        {
            assert!(!is_sentence(other), "{other}");
        }
    }

    #[test]
    fn functions_are_found_in_modules_and_in_macros() {
        let text = "    fn one_of_them() {\npub(crate) fn two<T>(x: T) {\nlet f = 1;\n";
        assert_eq!(function_names(text), ["one_of_them", "two"]);
    }
}
