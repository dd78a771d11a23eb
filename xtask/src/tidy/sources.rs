//! What every file keeps to, whatever it is about.

use crate::repo::Repo;
use anyhow::Result;

const MAX_LINES: usize = 500;

/// Marks of unfinished work and tests that do not run. In two halves each: this file keeps the rule.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
];

/// Folders that only somebody's machine has.
const OF_A_MACHINE: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// The lint that code which the compiler cannot vouch for has to be excused from, and where it is.
const UNVOUCHED: &str = concat!("unsafe", "_code");
const EXCUSED: [&str; 2] =
    ["crates/visor-kernels/src/matrix/pairs.rs", "crates/visor-kernels/src/matrix/vnni.rs"];

/// Endings of files that people write; others are data.
const WRITTEN: [&str; 8] = ["md", "py", "rs", "sh", "svg", "toml", "yaml", "yml"];

pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    Ok(repo.texts().flat_map(|(file, text)| findings(file, &text)).collect())
}

fn findings(file: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if file.ends_with(".rs") {
        if !text.starts_with("//!") {
            findings.push(format!("{file}:1: the first line is not a module doc (`//!`)"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            findings.push(format!("{file}: {lines} lines, more than {MAX_LINES}"));
        }
    }
    let of_the_workspace = !file.starts_with("stubs/") && !file.starts_with("fuzz/");
    let of_a_crate = file.ends_with("/Cargo.toml") && of_the_workspace;
    if of_a_crate && !text.contains("[lints]\nworkspace = true\n") {
        findings.push(format!("{file}: the crate does not keep the lints of the workspace"));
    }
    let written = is_written(file);
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
        if let Some(folder) = OF_A_MACHINE.iter().find(|folder| names_root(line, folder)) {
            findings.push(format!("{file}:{number}: a path of one machine (`{folder}`)"));
        }
        if file.ends_with(".rs") && has_word(line, UNVOUCHED) && !EXCUSED.contains(&file) {
            findings
                .push(format!("{file}:{number}: `{UNVOUCHED}` is excused in {EXCUSED:?} alone"));
        }
        if let Some(mark) = UNFINISHED.iter().find(|mark| written && has_word(line, mark)) {
            findings.push(format!("{file}:{number}: unfinished or not run (`{mark}`)"));
        }
    }
    findings
}

/// Whether people wrote the file: by its ending, or because it has none, as scripts and licences.
fn is_written(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    match name.rsplit_once('.') {
        Some((_, ending)) => WRITTEN.contains(&ending),
        None => true,
    }
}

/// Whether `folder` begins a path in `line`, rather than continues one.
fn names_root(line: &str, folder: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "._-~/})>*".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(continues))
}

/// Whether `word` stands in `line` and is no part of a longer one.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let rest = &line[at + word.len()..];
        let open_end = word.ends_with(of_a_word) && rest.starts_with(of_a_word);
        !line[..at].ends_with(of_a_word) && !open_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_rust_begins_with_its_doc_and_stays_short() {
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(findings("a.rs", "//! A module.\nfn f() {}\n"), [""; 0]);
        assert_eq!(findings("a.rs", "use std::fs;\n").len(), 1);
        assert_eq!(findings("a.rs", &long), ["a.rs: 501 lines, more than 500"]);
        assert_eq!(findings("a.md", &long), [""; 0]);
    }

    #[test]
    fn every_crate_keeps_the_lints_of_the_workspace() {
        assert_eq!(findings("a/Cargo.toml", "[package]\n").len(), 1);
        assert_eq!(findings("a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), [""; 0]);
        assert_eq!(findings("stubs/a/Cargo.toml", "[package]\n"), [""; 0]);
        assert_eq!(findings("Cargo.toml", "[workspace]\n"), [""; 0]);
    }

    #[test]
    fn what_the_compiler_cannot_vouch_for_stands_in_two_files() {
        let text = format!("//! A module.\n#[allow({UNVOUCHED})]\n");
        assert_eq!(findings("src/a.rs", &text).len(), 1);
        assert_eq!(findings(EXCUSED[0], &text), [""; 0]);
        assert_eq!(findings("Cargo.toml", &text), [""; 0]);
    }

    #[test]
    fn unfinished_work_is_found_in_what_people_write_and_not_in_data() {
        for mark in UNFINISHED {
            let text = format!("//! A module.\n// {mark} (later)\n");
            assert_eq!(findings("src/a.rs", &text).len(), 1, "{mark}");
            assert_eq!(findings(".ci/run", &text).len(), 1, "{mark}");
            assert_eq!(findings("tokenizer.json", &text), [""; 0]);
        }
        let lint = concat!("to", "do = \"warn\"\nPHO", "TO", "DOC\n");
        assert_eq!(findings("Cargo.toml", lint), [""; 0]);
    }

    #[test]
    fn paths_of_a_machine_are_found_where_they_begin() {
        for folder in OF_A_MACHINE {
            assert_eq!(findings("record.json", &format!("\"{folder}x\"")).len(), 1, "{folder}");
            assert_eq!(findings("a.md", &format!("see {folder}x")).len(), 1, "{folder}");
            assert_eq!(findings("a.md", &format!("https://example.org{folder}x")), [""; 0]);
            assert_eq!(findings("a.md", &format!("..{folder}x")), [""; 0]);
        }
    }
}
