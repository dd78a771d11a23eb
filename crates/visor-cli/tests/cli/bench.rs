//! `visor bench compare` and `visor train policy` on the shipped model.

use crate::common::{contents, names, visor};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

fn compare(out: &Path, more: &[&str]) -> crate::common::Ended {
    let out = out.to_str().unwrap();
    let mut args = vec!["bench", "compare", "--out", out, "--timed", "2", "--threads", "1"];
    if !more.contains(&"--questions") {
        args.extend(["--questions", "48"]);
    }
    args.extend(["--fit-questions", "48"]);
    args.extend(more);
    visor(args)
}

#[test]
fn a_comparison_leaves_a_record_plots_and_a_report_and_goes_on_where_it_was() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("compare");
    let table = compare(&out, &[]).answer();
    let rows = ["sa0", "sa3", "auto", "oracle", "family-lookup", "swapped-policy", "blank@sa3"];
    for row in rows.into_iter().chain(["random-1/4@sa0", "random-1/2@sa3"]) {
        assert!(table.contains(row), "{row} is missing:\n{table}");
    }
    let names = contents(&out);
    for name in ["record.json", "report.html", "accuracy-end-to-end.svg", "routing-by-family.png"] {
        assert!(names.iter().any(|(found, _)| found == name), "{name} is missing");
    }
    let record: Value =
        serde_json::from_slice(&std::fs::read(out.join("record.json")).unwrap()).unwrap();
    assert_eq!(record["items"], 48);
    // Nothing is asked twice, and the same observations give the same tables.
    assert_eq!(compare(&out, &[]).answer(), table);
    let json = compare(&out, &["--format", "json"]).answer();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), record);
    let old = out.join("record.json");
    compare(&out, &["--compare", old.to_str().unwrap()]).answer();
    let error = compare(&out, &["--questions", "24"]).error(1);
    assert!(error.contains("other settings"), "{error}");
}

#[test]
fn budgets_and_lists_that_are_not_there_are_named() {
    let root = TempDir::new().unwrap();
    let error = compare(root.path(), &["--budgets", "sa0,sa9"]).error(2);
    assert!(error.contains("`sa9`") && error.contains("sa3"), "{error}");
    let list = root.path().join("list.jsonl");
    std::fs::write(&list, "{\"image\": \"none.png\", \"question\": \"q\", \"answer\": \"a\"}\n")
        .unwrap();
    let list = list.to_str().unwrap();
    let error = visor(["bench", "compare", "--data", list]).error(1);
    assert!(error.contains("line 1") && error.contains("none.png"), "{error}");
    let error = visor(["bench", "compare", "--data", list, "--skip-bad"]).error(1);
    assert!(error.contains("no question"), "{error}");
}

#[test]
fn a_policy_is_trained_from_labels_and_chooses_for_its_model() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("router");
    let train = |more: &[&str]| {
        let out = out.to_str().unwrap();
        let mut args = vec!["train", "policy", "--out", out, "--epochs", "2", "--threads", "1"];
        if !more.contains(&"--questions") {
            args.extend(["--questions", "48"]);
        }
        args.extend(more);
        visor(args)
    };
    let table = train(&[]).answer();
    assert!(table.contains("oracle"), "{table}");
    assert_eq!(train(&[]).answer(), table, "the labels are kept and the seed is the same");
    let policy = out.join("policy");
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano/samples/00000.png");
    let asked = visor([
        "ask",
        "--json",
        "--policy",
        policy.to_str().unwrap(),
        "--image",
        picture,
        "colour at r1 c1 ?",
    ]);
    let answer = asked.json();
    assert_eq!(answer["budget"]["basis"], "predicted");
    let error = train(&["--questions", "60"]).error(1);
    assert!(error.contains("other questions"), "{error}");
    let error = train(&["--objective", "cheapest-right", "--thrift", "0.1"]).error(2);
    assert!(error.contains("--thrift"), "{error}");

    // The folder of another run is left alone.
    let other = root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("record.json"), "of hours").unwrap();
    let args = ["train", "policy", "--questions", "48", "--out", other.to_str().unwrap()];
    let error = visor(args).error(1);
    assert!(error.contains("`record.json`") && error.contains("choose a new folder"), "{error}");
    assert_eq!(names(&other), ["record.json"]);
    assert_eq!(std::fs::read_to_string(other.join("record.json")).unwrap(), "of hours");
}
