//! Training from the command line: a short run learns, and impossible ones are refused.

use crate::common::{names, train};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

#[test]
fn the_loss_falls_within_thirty_steps() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    let options = ["--steps", "0,0,30", "--batch", "8", "--log-every", "5"];
    let table = train(&run, &options).answer();
    let rungs: Vec<&str> = table.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(rungs, ["budget", "sa0", "sa1", "sa2", "sa3"]);

    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let loss = |line: Value| {
        let answers = line["answers"].as_object()?.values().map(|loss| loss.as_f64().unwrap());
        let (sum, n) = answers.fold((0.0, 0.0), |(sum, n), loss| (sum + loss, n + 1.0));
        Some(sum / n)
    };
    let losses: Vec<f64> = lines.filter_map(loss).collect();
    assert_eq!(losses.len(), 6, "{log}");
    assert!(losses[5] < 0.8 * losses[0], "{losses:?}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_step_and_pass() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    let error = train(&run, &["--steps", "0,0,20", "--batch", "2", "--lr", "1e30"]).error(1);
    assert!(error.contains("at step 2") && error.contains("the loss of pass `"), "{error}");
    assert!(!run.join("checkpoint").exists());
}

#[test]
fn controls_are_trained_too_and_only_what_can_run_is_exported() {
    let root = TempDir::new().unwrap();
    for (arm, rungs, exported) in [
        ("late-answers-only", 4, true),
        ("discard-refinement", 4, false),
        ("cross-only", 1, true),
        ("dense", 1, false),
    ] {
        let run = root.path().join(arm);
        let ended = train(&run, &["--steps", "1,1,1", "--batch", "1", "--arm", arm]);
        assert_eq!(ended.stderr.contains("no checkpoint to export"), !exported, "{}", ended.stderr);
        assert_eq!(ended.answer().lines().count(), 1 + rungs, "{arm}");
        assert_eq!(run.join("checkpoint").exists(), exported, "{arm}");
    }
}

#[test]
fn what_cannot_be_trained_is_wrong_usage() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    for (args, says) in [
        (["--steps", "1,2"], "three numbers"),
        (["--steps", "0,0,0"], "at least 1 step"),
        (["--steps", "0,0,99999999999999"], "more than 2^40 pictures"),
        (["--batch", "0"], "0 is not in 1..=65536"),
        (["--lr", "-1"], "unexpected argument '-1'"),
        (["--lr", "nan"], "a positive number"),
        (["--lr", "0"], "a positive number"),
        (["--arm", "sparse"], "[possible values: universal, "),
        (["--recipe", "giant"], "`giant` is no recipe for the generated suite"),
        (["--seed", "16777216"], "is not in 0..16777216"),
        (["--save-every", "0"], "0 is not in 1.."),
        (["--validate-every", "0"], "0 is not in 1.."),
    ] {
        let ended = train(&run, &args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn a_folder_of_other_things_is_not_trained_into() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("thesis.tex"), b"mine").unwrap();
    let error = train(root.path(), &["--steps", "0,0,1", "--batch", "1"]).error(1);
    assert!(error.contains("`thesis.tex`"), "{error}");
    assert_eq!(names(root.path()), ["thesis.tex"]);
}
