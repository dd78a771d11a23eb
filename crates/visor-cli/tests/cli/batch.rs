//! Many requests from a file.

use crate::common::{Ended, QUESTION, Tiny, finish, finish_with_input};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// `ask --batch` with these lines, in a file beside the pictures.
fn batch(tiny: &Tiny, lines: &[Value], args: &[&str]) -> Ended {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let file = tiny.file("requests.jsonl", text.as_bytes());
    finish(tiny.asking().arg("--batch").arg(file).args(args))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What an answer says apart from what it took.
fn told(answer: &Value) -> [Value; 4] {
    let budget = &answer["budget"];
    [&answer["text"], &answer["token_ids"], &budget["chosen"], &answer["cost"]["gflops_end_to_end"]]
        .map(Clone::clone)
}

#[test]
fn a_batch_answers_as_its_requests_alone_and_in_their_order() {
    let tiny = Tiny::new();
    tiny.picture();
    let image = json!(["picture.png"]);
    let asked = [
        json!({"id": "a", "prompt": QUESTION, "images": image}),
        json!({"id": 7, "prompt": "count red ?", "images": image, "budget": "sa0"}),
        json!({"prompt": QUESTION, "images": image, "budget": "sa2", "max_new_tokens": 1}),
        json!({"id": "hot", "prompt": QUESTION, "images": image, "temperature": 50, "seed": 3,
               "max_new_tokens": 9, "stop": ["red"]}),
        json!({"id": "none", "prompt": QUESTION}),
    ];
    let picture = tiny.root.path().join("picture.png");
    let picture = picture.to_str().unwrap();
    let alone: [&[&str]; 5] = [
        &["--image", picture, QUESTION],
        &["--image", picture, "--budget", "sa0", "count red ?"],
        &["--image", picture, "--budget", "sa2", "--max-new-tokens", "1", QUESTION],
        &[
            "--image",
            picture,
            "--temperature",
            "50",
            "--seed",
            "3",
            "--max-new-tokens",
            "9",
            "--stop",
            "red",
            QUESTION,
        ],
        &[QUESTION],
    ];
    let alone = alone.map(|args| tiny.ask([&["--json"], args].concat()).json());
    for together in ["1", "2", "8"] {
        let answers = lines(&batch(&tiny, &asked, &["--together", together]).answer());
        let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [&json!("a"), &json!(7), &json!(3), &json!("hot"), &json!("none")]);
        for (answer, alone) in answers.iter().zip(&alone) {
            assert_eq!(told(answer), told(alone));
        }
        // The picture is encoded for the first one alone.
        let cached: Vec<&Value> = answers.iter().map(|a| &a["pictures"]["cached"]).collect();
        assert_eq!(cached, [0, 1, 1, 1, 0]);
    }
}

#[test]
fn options_hold_where_a_request_says_nothing() {
    let tiny = Tiny::new();
    let asked = [json!({"prompt": QUESTION}), json!({"prompt": QUESTION, "budget": "sa0"})];
    let answers = lines(&batch(&tiny, &asked, &["--budget", "sa1"]).answer());
    let chosen: Vec<&Value> = answers.iter().map(|answer| &answer["budget"]["chosen"]).collect();
    assert_eq!(chosen, ["sa1", "sa0"]);
}

#[test]
fn a_bad_request_is_reported_in_its_line_and_the_others_finish() {
    let tiny = Tiny::new();
    let file = tiny.file("broken.png", b"no picture");
    assert!(file.is_file());
    let asked = [
        json!({"id": 1, "prompt": QUESTION}),
        json!({"id": 2, "prompt": QUESTION, "budget": "sa9"}),
        json!({"id": 3, "prompt": " "}),
        json!({"id": 4, "prompt": QUESTION, "images": ["nowhere.png"]}),
        json!({"id": 5, "prompt": QUESTION, "images": ["broken.png"]}),
        json!({"id": 6, "prompt": QUESTION, "colour": "red"}),
        json!({"id": 7, "prompt": QUESTION, "seed": 1}),
        json!({"id": 8, "prompt": QUESTION, "max_gflops": -1}),
        json!({"id": 9, "prompt": QUESTION, "patches": 0}),
        json!({"id": 1, "prompt": QUESTION}),
        json!([1, 2]),
        json!({"id": 12, "prompt": "red <eos>"}),
        json!({"id": 13, "prompt": QUESTION, "max_new_tokens": 0}),
        json!({"id": 14, "prompt": QUESTION}),
    ];
    let ended = batch(&tiny, &asked, &["--together", "4"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("error: 12 of 14 requests failed: their lines say why\n"));
    let answers = lines(&ended.stdout);
    let says = [
        None,
        Some("`sa0`, `sa1`, `sa2`, `sa3`"),
        Some("the prompt is empty"),
        Some("nowhere.png"),
        Some("broken.png"),
        Some("unknown field `colour`"),
        Some("give a temperature"),
        Some("max_gflops"),
        Some("patches"),
        Some("a request of the same id"),
        Some("line 11 is no request"),
        Some("`<eos>`"),
        Some("line 13 is no request"),
        None,
    ];
    assert_eq!(answers.len(), says.len());
    for (answer, says) in answers.iter().zip(says) {
        match says {
            None => assert!(answer["text"].is_string() && answer["error"].is_null(), "{answer}"),
            Some(says) => assert!(answer["error"].as_str().unwrap().contains(says), "{answer}"),
        }
    }
    assert_eq!((&answers[5]["id"], &answers[10]["id"]), (&json!(6), &json!(11)));
}

#[test]
fn a_line_that_is_too_long_or_no_text_is_a_bad_request_and_the_others_finish() {
    let tiny = Tiny::new();
    let sound = format!("{}\n", json!({"prompt": QUESTION}));
    let long = format!("{}\n", json!({"prompt": QUESTION, "stop": ["x".repeat(3 << 20)]}));
    let cut = &long.as_bytes()[..2 << 20];
    let input =
        [sound.as_bytes(), b"{\"prompt\": \"\xff\"}\n", long.as_bytes(), sound.as_bytes(), cut];
    let input = input.concat();
    for together in ["1", "8"] {
        let args = ["--batch", "-", "--together", together];
        let ended = finish_with_input(tiny.asking().args(args), &input);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.ends_with("error: 3 of 5 requests failed: their lines say why\n"));
        let answers = lines(&ended.stdout);
        let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5]);
        let too_long = |number| format!("line {number} has more than 1048576 bytes");
        let says = ["", "line 2 is no UTF-8 text", &too_long(3), "", &too_long(5)];
        for (answer, says) in answers.iter().zip(says) {
            assert_eq!(answer["error"].as_str().unwrap_or_default(), says);
        }
    }
}

#[test]
fn a_batch_comes_from_standard_input_too() {
    let tiny = Tiny::new();
    let input = format!("{}\n\n{}", json!({"prompt": QUESTION}), json!({"prompt": QUESTION}));
    let ended = finish_with_input(tiny.asking().args(["--batch", "-"]), input.as_bytes());
    let answers = lines(&ended.answer());
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [1, 3]);
}

#[test]
fn a_batch_goes_on_where_its_file_ends() {
    let tiny = Tiny::new();
    let out = tiny.root.path().join("answers.jsonl");
    let args = ["--out", out.to_str().unwrap()];
    let ask = |id: u64| json!({"id": id, "prompt": QUESTION});
    let bad = json!({"id": 2, "prompt": QUESTION, "budget": "sa9"});
    assert_eq!(batch(&tiny, &[ask(1), bad], &args).code, Some(1));
    let first = read(&out);
    assert!(first[1]["error"].is_string());
    // Cut off in the middle of a line, as by a lost machine.
    let text = fs::read_to_string(&out).unwrap();
    fs::write(&out, format!("{text}{{\"id\": 3, \"te")).unwrap();

    let ended = batch(&tiny, &[ask(1), ask(2), ask(3)], &args);
    assert!(ended.stderr.contains("2 answered, 1 before, 0 failed"), "{}", ended.stderr);
    assert_eq!(ended.answer(), "");
    let all = read(&out);
    assert_eq!(all.iter().map(|line| &line["id"]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(all[0], first[0], "what was answered stays as it was");
    assert!(all.iter().all(|line| line["error"].is_null()));

    let ended = batch(&tiny, &[ask(1), ask(2), ask(3)], &args);
    assert!(ended.stderr.contains("0 answered, 3 before, 0 failed"), "{}", ended.stderr);
    assert_eq!(read(&out), all);
}

#[test]
fn a_file_that_holds_something_else_is_left_alone() {
    let tiny = Tiny::new();
    let mine = "shopping list\nmilk\n";
    let out = tiny.file("mine.txt", mine.as_bytes());
    let ended = batch(&tiny, &[json!({"prompt": QUESTION})], &["--out", out.to_str().unwrap()]);
    assert!(ended.error(1).contains("line 1 of"));
    assert_eq!(fs::read_to_string(&out).unwrap(), mine);
}

#[test]
fn what_a_batch_cannot_be_given_is_wrong_usage() {
    let tiny = Tiny::new();
    for (args, says) in [
        (&["--batch", "-", QUESTION][..], "cannot be used with"),
        (&["--batch", "-", "--image", "a.png"], "cannot be used with"),
        (&["--out", "a.jsonl", QUESTION], "--out is for a batch"),
        (&["--together", "3", QUESTION], "--together is for a batch"),
        (&["--batch", "-", "--together", "0"], "zero"),
        (&["--batch", "-", "--temperature", "nan"], "temperature must be"),
    ] {
        let error = tiny.ask(args).error(2);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    assert!(tiny.ask(["--batch", "nowhere.jsonl"]).error(1).contains("nowhere.jsonl"));
}

fn read(path: &Path) -> Vec<Value> {
    lines(&fs::read_to_string(path).unwrap())
}
