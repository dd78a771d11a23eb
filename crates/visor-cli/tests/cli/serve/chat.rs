//! Answers, whole and in pieces, at every budget: those of `visor ask`.

use super::client::*;
use crate::common::{QUESTION, visor};
use crate::families::golden;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// `visor ask` of the same.
fn alone(picture: &[u8], args: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("picture.png");
    fs::write(&file, picture).unwrap();
    let fixed = ["ask", "--json", "--image", file.to_str().unwrap()];
    visor([&fixed[..], args, &[QUESTION]].concat()).json()
}

fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[test]
fn answers_are_those_of_ask_at_every_budget_whichever_way_it_is_said() {
    let server = Server::start(&[]);
    let asked = about(QUESTION, &[data_url(&picture(1))]);
    for budget in ["sa0", "sa1", "sa2", "sa3", "auto"] {
        let alone = alone(&picture(1), &["--budget", budget]);
        let named = with(asked.clone(), &json!({"model": format!("nano@{budget}")}));
        let object = with(asked.clone(), &json!({"visor": {"budget": budget}}));
        let header = format!("x-visor-budget: {budget}");
        let header = server.chat(&[&header], asked.to_string().as_bytes()).ok();
        for answer in [server.post(&named).ok(), server.post(&object).ok(), header] {
            assert_eq!(text(&answer), alone["text"].as_str().unwrap());
            let (usage, spent) = (&answer["usage"], &answer["usage"]["visor"]);
            assert_eq!(usage["prompt_tokens"], alone["prompt_tokens"]);
            assert_eq!(
                usage["completion_tokens"].as_u64().unwrap() as usize,
                alone["token_ids"].as_array().unwrap().len()
            );
            assert_eq!(spent["requested"], budget);
            assert_eq!(spent["chosen"], alone["budget"]["chosen"]);
            assert_eq!(spent["basis"], alone["budget"]["basis"]);
            assert_eq!(spent["gflops"], alone["cost"]["gflops_end_to_end"]);
            assert_eq!(spent["saving"], alone["cost"]["saving"]);
            assert_eq!(spent["visual_tokens"], alone["visual_tokens"]);
        }
    }
}

#[test]
fn ceilings_thrift_and_patches_reach_the_model() {
    let server = Server::start(&[]);
    let asked = about(QUESTION, &[data_url(&picture(1))]);
    let cheapest = server.post(&with(asked.clone(), &json!({"visor": {"budget": "sa0"}}))).ok();
    let most = cheapest["usage"]["visor"]["gflops"].as_f64().unwrap() * 1.1;
    let most = server.post(&with(asked.clone(), &json!({"visor": {"max_gflops": most}}))).ok();
    assert_eq!(most["usage"]["visor"]["chosen"], "sa0");
    let thrifty = server.post(&with(asked.clone(), &json!({"visor": {"thrift": 100}}))).ok();
    assert_eq!(thrifty["usage"]["visor"]["chosen"], "sa0");
    assert_eq!(thrifty["usage"]["visor"]["thrift"], 100.0);
    let error = server.post(&with(asked, &json!({"visor": {"patches": 1000, "budget": "sa0"}})));
    assert_eq!(error.error(400), "invalid_value");
    assert_eq!(error.json()["error"]["param"], "visor.patches");
}

#[test]
fn a_stream_has_the_same_words_and_ends_with_what_it_took() {
    let server = Server::start(&[]);
    let drawn = json!({"temperature": 50, "seed": 3, "max_tokens": 12});
    let asked = with(about(QUESTION, &[data_url(&picture(1))]), &drawn);
    let whole = server.post(&asked).ok();
    let streamed = json!({"stream": true, "stream_options": {"include_usage": true}});
    let answer = server.post(&with(asked.clone(), &streamed));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let pieces = answer.pieces();
    let said = |piece: &Value| piece["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    assert_eq!(pieces.iter().filter_map(said).collect::<String>(), text(&whole));
    assert_eq!(pieces[0]["choices"][0]["delta"]["role"], "assistant");
    let (usage, end) = (pieces.last().unwrap(), &pieces[pieces.len() - 2]);
    assert_eq!(end["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
    assert_eq!(usage["usage"]["visor"]["chosen"], whole["usage"]["visor"]["chosen"]);
    assert!(pieces.iter().all(|piece| piece["id"] == pieces[0]["id"]));
    // It is announced in every piece before, as OpenAI does.
    let before = &pieces[..pieces.len() - 1];
    assert!(before.iter().all(|piece| piece.get("usage") == Some(&Value::Null)));
    // Nobody is told what he did not ask for.
    let plain = server.post(&with(asked, &json!({"stream": true}))).pieces();
    assert!(plain.iter().all(|piece| piece.get("usage").is_none()));
}

#[test]
fn sampling_seeds_stops_and_lengths_are_honoured() {
    let server = Server::start(&[]);
    let asked = about(QUESTION, &[data_url(&picture(1))]);
    let draw = |seed: u64| {
        let fields = json!({"temperature": 50, "seed": seed, "max_tokens": 12});
        text(&server.post(&with(asked.clone(), &fields)).ok()).to_owned()
    };
    assert_eq!(draw(1), draw(1));
    assert!((2..9).any(|seed| draw(seed) != draw(1)));
    let alone =
        alone(&picture(1), &["--temperature", "50", "--seed", "1", "--max-new-tokens", "12"]);
    assert_eq!(draw(1), alone["text"].as_str().unwrap());
    // Without a seed there is another one every time, which gives the same answer again.
    let drawn = |fields: Value| {
        let answer = server.post(&with(asked.clone(), &fields)).ok();
        (answer["usage"]["visor"]["seed"].clone(), text(&answer).to_owned())
    };
    let (seed, said) = drawn(json!({"temperature": 50, "max_tokens": 12}));
    assert_eq!(said, draw(seed.as_u64().unwrap()));
    assert_ne!(drawn(json!({"temperature": 50, "max_tokens": 12})).0, seed);
    assert_eq!(drawn(json!({"seed": 5})).0, Value::Null);
    let short = json!({"temperature": 50, "max_completion_tokens": 1});
    let short = server.post(&with(asked.clone(), &short)).ok();
    assert_eq!(short["usage"]["completion_tokens"], 1);
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    let word = draw(1).split(' ').nth(1).unwrap().to_owned();
    let stopped = json!({"temperature": 50, "seed": 1, "max_tokens": 12, "stop": [word]});
    let stopped = server.post(&with(asked.clone(), &stopped)).ok();
    assert!(!text(&stopped).contains(&word) && draw(1).starts_with(text(&stopped)));
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
}

#[test]
fn what_asks_for_nothing_is_accepted() {
    let server = Server::start(&[]);
    let neutral = json!({
        "n": 1, "logprobs": false, "tools": [], "tool_choice": "none", "presence_penalty": 0,
        "frequency_penalty": 0.0, "logit_bias": {}, "response_format": {"type": "text"},
        "stop": null, "seed": null, "top_p": 1, "temperature": 0, "stream": false, "store": false,
    });
    server.post(&with(about(QUESTION, &[]), &neutral)).ok();
}

#[test]
fn a_conversation_of_several_messages_is_that_of_ask() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("picture.png"), picture(1)).unwrap();
    let file = folder.path().join("messages.json");
    let said = |image: Value| {
        json!([
            {"role": "user", "content": [image, {"type": "text", "text": QUESTION}]},
            {"role": "assistant", "content": "red"},
            {"role": "user", "content": "count red ?"},
        ])
    };
    fs::write(&file, said(json!({"type": "image", "path": "picture.png"})).to_string()).unwrap();
    let alone = visor(["ask", "--json", "--messages", file.to_str().unwrap()]);
    let image = json!({"type": "image_url", "image_url": {"url": data_url(&picture(1))}});
    let served = server.post(&json!({"model": "nano", "messages": said(image)}));
    // The shipped model is asked single questions: both say so, or both answer.
    match alone.code {
        Some(0) => assert_eq!(text(&served.ok()), alone.json()["text"]),
        _ => assert_eq!(served.error(400), "invalid_value"),
    }
}

#[test]
fn conversations_with_pictures_behind_words_are_those_of_ask_also_when_the_pictures_are_kept() {
    let folder = TempDir::new().unwrap();
    let pictures = [("a.png", picture(1)), ("b.png", picture(2))];
    for (name, picture) in &pictures {
        fs::write(folder.path().join(name), picture).unwrap();
    }
    let said = |images: [Value; 2], question: &str| {
        let text = |text: &str| json!({"type": "text", "text": text});
        let [a, b] = images;
        json!([
            {"role": "user", "content": [text("First"), a, text("and then"), b, text("Same?")]},
            {"role": "assistant", "content": "No."},
            {"role": "user", "content": question},
        ])
    };
    let file = folder.path().join("messages.json");
    for family in ["idefics3", "llava-onevision"] {
        let model = golden(family).to_string_lossy().into_owned();
        let server = Server::start(&["--model", &model]);
        for (question, kept) in [("Why?", 0), ("Why?", 2), ("What differs?", 2)] {
            let paths = [0, 1].map(|i| json!({"type": "image", "path": pictures[i].0}));
            fs::write(&file, said(paths, question).to_string()).unwrap();
            let asked = ["ask", "--model", &model, "--json", "--max-new-tokens", "6"];
            let file = ["--messages", file.to_str().unwrap()];
            let alone = visor([&asked[..], &file].concat()).json();
            let urls = [0, 1].map(
                |i| json!({"type": "image_url", "image_url": {"url": data_url(&pictures[i].1)}}),
            );
            let served = server
                .post(&json!({"model": family, "max_tokens": 6, "messages": said(urls, question)}))
                .ok();
            assert_eq!(text(&served), alone["text"].as_str().unwrap(), "{family}, {question}");
            let usage = &served["usage"];
            assert_eq!(usage["prompt_tokens"], alone["prompt_tokens"], "{family}");
            assert_eq!(usage["visor"]["visual_tokens"], alone["visual_tokens"], "{family}");
            assert_eq!(usage["visor"]["cached_pictures"], kept, "{family}, {question}");
        }
    }
}

#[test]
fn an_answer_goes_back_as_it_came_before_the_next_question() {
    let model = golden("idefics3").to_string_lossy().into_owned();
    let server = Server::start(&["--model", &model]);
    let mut asked = about("Why?", &[data_url(&picture(1))]);
    asked["model"] = json!("idefics3");
    asked["max_tokens"] = json!(4);
    let first = server.post(&asked).ok();
    let mut answer = first["choices"][0]["message"].clone();
    // Weights are random here, and what they say may have words in it that are reserved.
    answer["content"] = json!("No.");
    let next = json!({"role": "user", "content": "What differs?"});
    asked["messages"].as_array_mut().unwrap().extend([answer.clone(), next]);
    let second = server.post(&asked).ok();
    // What the official package makes of it when it is written out in full.
    for name in ["tool_calls", "function_call", "audio", "annotations"] {
        answer[name] = Value::Null;
    }
    asked["messages"][1] = answer;
    assert_eq!(text(&server.post(&asked).ok()), text(&second));
}

#[test]
fn models_are_listed_with_their_budgets() {
    let server = Server::start(&[]);
    let list = server.get("/v1/models").ok();
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["nano", "nano@sa0", "nano@sa1", "nano@sa2", "nano@sa3", "nano@auto"]);
    assert_eq!(server.get("/v1/models/nano@sa1").ok()["visor"]["budget"], "sa1");
    assert_eq!(server.get("/v1/models/nano@sa9").error(404), "model_not_found");
}

#[test]
fn metrics_count_by_rung_and_the_document_names_every_route() {
    let server = Server::start(&[]);
    let asked = about(QUESTION, &[data_url(&picture(1))]);
    for _ in 0..2 {
        server.post(&with(asked.clone(), &json!({"model": "nano@sa1"}))).ok();
    }
    let rung = "{model=\"nano\",rung=\"sa1\"}";
    assert_eq!(server.metric(&format!("visor_request_seconds_count{rung}")), 2.0);
    assert_eq!(server.metric("visor_pictures_total{model=\"nano\",found=\"kept\"}"), 1.0);
    assert_eq!(server.metric("visor_pictures_total{model=\"nano\",found=\"encoded\"}"), 1.0);
    let paths = server.get("/openapi.json").ok()["paths"].clone();
    for (path, methods) in paths.as_object().unwrap() {
        let path = path.replace("{model}", "nano");
        for method in methods.as_object().unwrap().keys() {
            let headers = ["host: localhost"];
            let answer = server.send(&method.to_uppercase(), &path, &headers, b"");
            assert!(![404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
        }
    }
}
