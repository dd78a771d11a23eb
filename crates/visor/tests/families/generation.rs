//! Answers where `generation_config.json` changes scores, held against those of `transformers`. The
//! recordings are made by `tools/export_generation_goldens.py`.

use crate::support::*;
use serde_json::Value;

/// A copy of a golden whose `generation_config.json` says this too.
fn saying(name: &str, asked: &Value) -> Copy {
    let copy = Copy::of(name);
    let mut all: Value = serde_json::from_str(&copy.read("generation_config.json")).unwrap();
    for (field, value) in asked.as_object().unwrap() {
        all[field] = value.clone();
    }
    copy.write("generation_config.json", all.to_string());
    copy
}

#[test]
fn answers_under_the_rules_of_a_checkpoint_are_those_of_transformers() {
    let recorded = std::fs::read_to_string(golden("generation.json")).unwrap();
    let recorded: Vec<Value> = serde_json::from_str(&recorded).unwrap();
    assert!(recorded.len() > 100);
    for case in recorded {
        let copy = saying(case["model"].as_str().unwrap(), &case["generation"]);
        let shown = case["images"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let shown: Vec<&str> = shown.collect();
        let answer = copy.load().unwrap().ask(question(&shown)).unwrap();
        let expected = case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
        assert_eq!(answer.token_ids, expected.collect::<Vec<u32>>(), "{case}");
    }
}

#[test]
fn rules_that_leave_no_token_are_an_error_that_names_the_file() {
    let vocab = model("idefics3").card().vocab;
    let all = serde_json::json!({ "suppress_tokens": (0..vocab).collect::<Vec<_>>() });
    let model = saying("idefics3", &all).load().unwrap();
    let error = model.ask(question(&[])).unwrap_err().to_string();
    assert!(error.contains("no token is left for token 1"), "{error}");
}

#[test]
fn what_is_not_followed_is_said_and_how_tokens_are_drawn_is_not() {
    let asked = serde_json::json!({ "num_beams": 4, "do_sample": true, "temperature": 0.3 });
    let copy = saying("smolvlm", &asked);
    let model = copy.load().unwrap();
    let [remark] = model.remarks() else { panic!("{:?}", model.remarks()) };
    let text = remark.to_string();
    assert!(text.contains("num_beams") && !text.contains("do_sample"), "{text}");
    let info = visor::ModelInfo::open(&visor::ModelRef::Folder(copy.path())).unwrap();
    assert_eq!(info.remarks(), model.remarks());
    // Beside it, the answer is the greedy one.
    let plain = crate::support::model("smolvlm").ask(question(&["photo"])).unwrap();
    assert_eq!(model.ask(question(&["photo"])).unwrap().token_ids, plain.token_ids);
}
