//! The examples run.

use crate::support::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use visor::{Objective, Question, fixture};

/// The example's binary, which `cargo test -p visor` builds beside the tests.
fn binary(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.ancestors().nth(2).unwrap();
    let binary = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is not built: run `cargo test -p visor`", binary.display());
    binary
}

fn run(name: &str, arguments: &[&Path]) -> String {
    let out = Command::new(binary(name)).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{error}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_fixed_budget_example_answers_and_is_short() {
    let folder = Folder::universal();
    let picture = png(&folder.path(), 1);
    let question = Path::new(fixture::QUESTION);
    let out = run("fixed_budget", &[&folder.path(), Path::new("sa1"), &picture, question]);
    assert!(out.contains("[sa1, "), "{out}");
    let source = include_str!("../../examples/fixed_budget.rs");
    assert!(source.lines().count() <= 30);
}

#[test]
fn the_dynamic_policy_example_chooses_a_budget_and_is_short() {
    let folder = Folder::universal();
    let policy = folder.path().join("router");
    fixture::policy(&policy, &folder.path(), Objective::Utility, 1).unwrap();
    fixture::name_policy(&folder.path(), Some("router")).unwrap();
    let picture = png(&folder.path(), 1);
    let out = run("dynamic_policy", &[&folder.path(), &picture, Path::new(fixture::QUESTION)]);
    let model = folder.load().unwrap();
    let asked = Question::new(fixture::QUESTION).picture_file(&picture);
    let chosen = model.ask(asked).unwrap().decided.name;
    assert!(out.contains(&format!("[{chosen}, saving ")), "{out}");
    let source = include_str!("../../examples/dynamic_policy.rs");
    assert!(source.lines().count() <= 30);
}

#[test]
fn the_compare_budgets_example_asks_every_sample_at_every_budget_and_is_short() {
    let out = run("compare_budgets", &[]);
    let budgets: Vec<&str> = out.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(budgets, ["sa0", "sa1", "sa2", "sa3", "auto"], "{out}");
    let source = include_str!("../../examples/compare_budgets.rs");
    assert!(source.lines().count() <= 30);
}

#[test]
fn the_library_tour_goes_all_the_way() {
    let folder = Folder::universal();
    let picture = png(&folder.path(), 1);
    let question = Path::new(fixture::QUESTION);
    let out = run("library_tour", &[&folder.path(), &picture, question]);
    for expected in ["sa3 [2, 3, 5]", "unknown words: []", "(again: true)", "called off: true"] {
        assert!(out.contains(expected), "{expected} is not in {out}");
    }
}
