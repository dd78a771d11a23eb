//! Pairs of a rung and a number of patches: asked for by name, chosen by a policy, compared.

use crate::common::{Ended, visor};
use std::fs;
use tempfile::TempDir;

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano/samples/00000.png");

fn ask(more: &[&str]) -> Ended {
    let args = ["ask", "--image", PICTURE, "--json", "colour at r1 c1 ?"];
    visor(args.iter().chain(more))
}

#[test]
fn a_pair_is_a_budget_of_a_model_with_a_selector() {
    let plain = ask(&["--budget", "sa1"]).json();
    let pair = ask(&["--budget", "sa1-k8"]).json();
    assert_eq!(pair["budget"]["chosen"], "sa1-k8");
    assert_eq!(pair["budget"]["patches"], 8);
    assert_eq!(pair["budget"]["self_attention_layers"], plain["budget"]["self_attention_layers"]);
    for cost in ["gflops_end_to_end", "kv_bytes"] {
        let of = |answer: &serde_json::Value| answer["cost"][cost].as_f64().unwrap();
        assert!(of(&pair) < of(&plain), "{cost}");
    }
    let whole = ask(&["--budget", "sa1-k36"]).json();
    assert!(whole["budget"]["patches"].is_null(), "a picture of 36 patches is read whole");
    assert_eq!(whole["cost"], plain["cost"]);
}

#[test]
fn what_is_no_pair_and_patches_asked_for_twice_are_wrong_usage() {
    for budget in ["sa9-k8", "sa1-k0", "sa1-k"] {
        let error = ask(&["--budget", budget]).error(2);
        assert!(error.contains(&format!("`{budget}`")) && error.contains("`sa1`"), "{error}");
    }
    let error = ask(&["--budget", "sa1-k8", "--patches", "4"]).error(2);
    assert!(error.contains("`sa1-k8` says itself how many patches"), "{error}");
}

#[test]
fn a_policy_of_pairs_is_trained_asked_and_compared() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("router");
    let train = |levels: &str| {
        let out = out.to_str().unwrap();
        let args = ["train", "policy", "--out", out, "--epochs", "2", "--threads", "1"];
        visor(args.into_iter().chain(["--questions", "48", "--patch-levels", levels]))
    };
    let error = train("4,36").error(2);
    assert!(error.contains("36 patches") && error.contains("name fewer"), "{error}");
    let table = train("4,12").answer();
    let record = fs::read_to_string(out.join("record.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let measured = record["measured"].as_array().unwrap();
    assert_eq!(measured.len(), 12, "four rungs, each plain and with two numbers of patches");
    let kept: Vec<&str> = measured
        .iter()
        .filter(|budget| budget["kept"].as_bool().unwrap())
        .map(|budget| budget["name"].as_str().unwrap())
        .collect();
    assert!(kept.len() > 4 && kept.iter().all(|name| table.contains(name)), "{kept:?}: {table}");

    let policy = out.join("policy");
    let policy = policy.to_str().unwrap();
    let answer = ask(&["--policy", policy]).json();
    let probabilities = answer["budget"]["probabilities"].as_object().unwrap();
    assert_eq!(probabilities.len(), kept.len());
    assert!(kept.iter().all(|name| probabilities.contains_key(*name)), "{probabilities:?}");

    let compare = ["bench", "compare", "--policy", policy, "--questions", "14"];
    let more = ["--fit-questions", "14", "--timed", "0", "--format", "csv"];
    let rows = visor(compare.into_iter().chain(more)).answer();
    for name in &kept {
        assert!(rows.lines().any(|row| row.starts_with(&format!("{name},"))), "{name}: {rows}");
    }

    // Its answers are not another's, nor are the labels of its pairs another selector's.
    let compared = root.path().join("compared");
    let compare = |policy: &str| {
        let out = compared.to_str().unwrap();
        let args = ["bench", "compare", "--policy", policy, "--out", out, "--budgets", "auto"];
        let more = ["--questions", "14", "--fit-questions", "14", "--timed", "0"];
        visor(args.into_iter().chain(more).chain(["--patch-controls", "4"]))
    };
    compare(policy).answer();
    let error = compare("nano-router").error(1);
    assert!(error.contains("other settings") && error.contains("policy sha256"), "{error}");
    let selection = compared.join("selection.json");
    let kept = fs::read_to_string(&selection).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let other = serde_json::json!({ "settings_sha256": "0", "questions": 4,
        "selection": kept["selection"] });
    fs::write(&selection, other.to_string()).unwrap();
    let error = compare(policy).error(1);
    assert!(error.contains("selection.json") && error.contains("other settings"), "{error}");
    let labels = fs::read_to_string(out.join("labels.jsonl")).unwrap();
    let mut first: serde_json::Value =
        serde_json::from_str(labels.lines().next().unwrap()).unwrap();
    assert!(first["selector_sha256"].is_string(), "{first}");
    first["selector_sha256"] = "0".into();
    let rest: String = labels.split_inclusive('\n').skip(1).collect();
    fs::write(out.join("labels.jsonl"), format!("{first}\n{rest}")).unwrap();
    let error = train("4,12").error(1);
    assert!(error.contains("labels of another selector"), "{error}");

    // Another selector, or none, is another model.
    let manifest = fs::read_to_string(out.join("policy/policy.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let digest = value["selector_digest"].as_str().unwrap();
    let other = manifest.replace(digest, &digest.chars().rev().collect::<String>());
    fs::write(out.join("policy/policy.json"), other).unwrap();
    let error = ask(&["--policy", policy]).error(1);
    assert!(error.contains("patch selector"), "{error}");
}
