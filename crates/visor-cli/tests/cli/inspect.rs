//! What is said of a model before its weights are read.

use crate::common::{QUESTION, Tiny, visor};
use std::fs;

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn rungs_are_listed_cheapest_first_with_their_costs() {
    let tiny = Tiny::new();
    let folder = tiny.checkpoint();
    let args = ["inspect", "--json", "--model", folder.to_str().unwrap()];
    let info = visor(args).json();
    let rungs = info["rungs"].as_array().unwrap();
    let names: Vec<&str> = rungs.iter().map(|rung| rung["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sa0", "sa1", "sa2", "sa3"]);
    let mut before = 0.0;
    for rung in rungs {
        let expected = ["gflops", "kv_bytes", "name", "saving", "self_attention_layers"];
        assert_eq!(keys(rung), expected);
        let scopes = ["decode_step", "end_to_end", "lm_prefill", "vision_side"];
        assert_eq!(keys(&rung["gflops"]), scopes);
        let cost = rung["gflops"]["end_to_end"].as_f64().unwrap();
        assert!(cost > before && rung["saving"].as_f64().unwrap() > 1.0, "{rung}");
        before = cost;
    }
    assert_eq!(info["dense"]["available"], false);
    let text = visor(["inspect", "--model", folder.to_str().unwrap()]).answer();
    for name in names {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
}

#[test]
fn an_answer_costs_what_was_predicted() {
    let tiny = Tiny::new();
    let folder = tiny.checkpoint();
    let picture = tiny.picture();
    let picture = picture.to_str().unwrap();
    for rung in 0..4 {
        let budget = format!("sa{rung}");
        let answer = tiny.ask(["--json", "--image", picture, "--budget", &budget, QUESTION]).json();
        let text = answer["prompt_tokens"].as_u64().unwrap() - 36;
        let args = ["inspect", "--json", "--model", folder.to_str().unwrap(), "--text-tokens"];
        let info = visor([&args[..], &[&text.to_string()]].concat()).json();
        let predicted = &info["rungs"][rung];
        let cost = &answer["cost"];
        assert_eq!(cost["gflops_end_to_end"], predicted["gflops"]["end_to_end"]);
        assert_eq!(cost["gflops_prefill"], predicted["gflops"]["lm_prefill"]);
        assert_eq!(cost["kv_bytes"], predicted["kv_bytes"]);
        assert_eq!(cost["saving"], predicted["saving"]);
    }
}

#[test]
fn weights_are_not_read_for_it() {
    let tiny = Tiny::new();
    let folder = tiny.checkpoint();
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    visor(["inspect", "--model", folder.to_str().unwrap()]).answer();
    let error = visor(["inspect", "--model", "nowhere"]).error(1);
    assert!(error.contains("nowhere"), "{error}");
    for size in ["48", "0x48", "48x", "70000x1"] {
        let args = ["inspect", "--model", folder.to_str().unwrap(), "--image-size", size];
        assert!(visor(args).error(2).contains("expected WxH"));
    }
}
