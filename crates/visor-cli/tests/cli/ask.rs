//! Questions that are answered.

use crate::common::{QUESTION, Tiny};
use serde_json::Value;

fn ask(tiny: &Tiny, args: &[&str]) -> Value {
    let picture = tiny.picture();
    let fixed = ["--json", "--image", picture.to_str().unwrap()];
    tiny.ask([&fixed[..], args].concat()).json()
}

#[test]
fn the_json_object_is_the_one_of_the_contract() {
    let tiny = Tiny::new();
    let picture = tiny.picture();
    let line = tiny.ask(["--json", "--image", picture.to_str().unwrap(), QUESTION]).answer();
    assert_eq!(line.lines().count(), 1);
    let mut rest = line.as_str();
    for key in [
        "{\"text\"",
        "\"token_ids\":[",
        "\"prompt_tokens\":42",
        "\"visual_tokens\":36",
        "\"finish_reason\":\"",
        "\"budget\":{\"requested\":null,\"chosen\":\"sa3\",\"self_attention_layers\":[2,3,5]",
        "\"patches\":null,\"basis\":\"default\"}",
        "\"cost\":{\"gflops_prefill\":",
        "\"gflops_end_to_end\":",
        "\"gflops_dense_end_to_end\":",
        "\"saving\":",
        "\"spent_gflops\":",
        "\"kv_bytes\":",
        "\"timing_ms\":{\"preprocess\":",
        "\"encode\":",
        "\"prefill\":",
        "\"decode\":",
        "\"first_token\":",
        "\"total\":",
        "\"tokens_per_second\":",
        "\"peak_rss_bytes\":",
        "\"device\":\"cpu\"",
        "\"dtype\":\"f32\"",
        "\"model\":\"checkpoint\"",
        "\"model_sha256\":\"",
        "\"policy\":null}",
    ] {
        let at = rest.find(key).unwrap_or_else(|| panic!("no {key} in its place in {line}"));
        rest = &rest[at + key.len()..];
    }
}

#[test]
fn a_budget_is_had_by_name_and_by_ceiling() {
    let tiny = Tiny::new();
    let mut costs = Vec::new();
    for name in ["sa0", "sa1", "sa2", "sa3"] {
        let answer = ask(&tiny, &["--budget", name, QUESTION]);
        assert_eq!(answer["budget"]["chosen"], name);
        assert_eq!(answer["budget"]["requested"], name);
        assert_eq!(answer["budget"]["basis"], "requested");
        costs.push(answer["cost"]["gflops_end_to_end"].as_f64().unwrap());
    }
    assert!(costs.is_sorted(), "{costs:?}");
    for (rung, cost) in costs.iter().enumerate() {
        let answer = ask(&tiny, &["--max-gflops", &(cost + 1e-9).to_string(), QUESTION]);
        assert_eq!(answer["budget"]["chosen"], format!("sa{rung}"));
        assert_eq!(answer["budget"]["basis"], "ceiling");
    }
}

#[test]
fn the_same_question_has_the_same_answer_in_every_form() {
    let tiny = Tiny::new();
    let picture = tiny.picture();
    let plain = ask(&tiny, &[QUESTION]);
    let raw = ask(&tiny, &["--raw-prompt", &format!("<image>{QUESTION}<a>")]);
    let message = format!(
        r#"[{{"role": "user", "content": [{{"type": "image", "path": "{}"}},
            {{"type": "text", "text": "{QUESTION}"}}]}}]"#,
        picture.file_name().unwrap().to_str().unwrap()
    );
    let file = tiny.file("message.json", message.as_bytes());
    let message = tiny.ask(["--json", "--messages", file.to_str().unwrap()]).json();
    let threads = ask(&tiny, &["--threads", "1", QUESTION]);
    for other in [&raw, &message, &threads] {
        assert_eq!(other["token_ids"], plain["token_ids"]);
        assert_eq!(other["prompt_tokens"], plain["prompt_tokens"]);
    }
    let human = tiny.ask(["--image", picture.to_str().unwrap(), QUESTION]).answer();
    assert_eq!(human.trim_end(), plain["text"].as_str().unwrap().trim_end());
}

#[test]
fn several_pictures_and_none_are_asked_about() {
    let tiny = Tiny::new();
    let picture = tiny.picture();
    let two = ask(&tiny, &["--image", picture.to_str().unwrap(), QUESTION]);
    assert_eq!(two["visual_tokens"], 72);
    let none = tiny.ask(["--json", QUESTION]).json();
    assert_eq!(none["visual_tokens"], 0);
    assert_eq!(none["prompt_tokens"], 6);
}

#[test]
fn draws_follow_their_seed_and_answers_end_where_they_should() {
    let tiny = Tiny::new();
    let draw = |seed: &str| {
        let hot = ["--temperature", "50", "--max-new-tokens", "12", "--seed", seed, QUESTION];
        ask(&tiny, &hot)["token_ids"].clone()
    };
    assert_eq!(draw("1"), draw("1"));
    assert!((2..9).any(|seed| draw(&seed.to_string()) != draw("1")));
    let greedy = ask(&tiny, &[QUESTION]);
    assert_eq!(ask(&tiny, &["--temperature", "0", QUESTION])["token_ids"], greedy["token_ids"]);
    let short = ask(&tiny, &["--temperature", "50", "--max-new-tokens", "1", QUESTION]);
    assert_eq!(short["token_ids"].as_array().unwrap().len(), 1);
}

#[test]
fn words_that_the_model_does_not_know_are_named_with_questions_that_it_does() {
    let tiny = Tiny::new();
    let ended = tiny.ask(["what colour is the dog at r4 c5 ?"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let warning = ended.stderr.lines().next().unwrap();
    assert!(warning.starts_with("warning: the model does not know `what`, `is`, `dog`"));
    assert!(ended.stderr.contains("questions that it can answer: `colour at r"));
    assert!(!tiny.ask([QUESTION]).stderr.contains("warning"));
}
