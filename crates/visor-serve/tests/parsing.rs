//! Requests as clients write them, and as nobody should: what comes of the fuzz target's corpus and
//! of arbitrary bytes without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use visor_serve::ApiError;
use visor_serve::api::{
    ChatRequest, KnobHeader, PictureSource, RequestLimits, Streaming, expect_length, parse,
};

fn read(body: &Value) -> Result<ChatRequest, ApiError> {
    parse(body.to_string().as_bytes(), &[], &RequestLimits::default())
}

/// What holds of every outcome.
fn check(body: &[u8], headers: &[(KnobHeader, String)]) {
    let limits = RequestLimits::default();
    match parse(body, headers, &limits) {
        Ok(request) => assert!(request.pictures.len() <= limits.pictures),
        Err(error) => {
            assert!((400..500).contains(&error.status), "{error:?}");
            assert!(error.message.len() < 4096 && error.param.is_none_or(|p| p.len() < 512));
        }
    }
}

#[test]
fn the_corpus_of_the_fuzz_target_is_parsed_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/chat_request");
    let mut seen = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        check(bytes.get(1..).unwrap_or_default(), &[]);
        seen += 1;
    }
    assert!(seen >= 20, "{seen} files");
}

#[test]
fn a_request_becomes_what_it_says() {
    let request = read(&json!({
        "model": "small@sa1",
        "messages": [
            {"role": "developer", "content": "be short"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}},
                {"type": "image_url", "image_url": {"url": "https://a.org/b.png"}},
                {"type": "text", "text": "what ?"}]},
        ],
        "visor": {"max_gflops": 2, "patches": 4},
        "stream": true, "stream_options": {"include_usage": true},
        "max_completion_tokens": 7, "max_tokens": 7,
    }))
    .unwrap();
    assert_eq!((request.model.base(), request.model.whole.as_str()), ("small", "small@sa1"));
    assert_eq!(request.knobs.budget.unwrap().to_string(), "sa1");
    assert_eq!(request.knobs.ceiling.unwrap().giga(), 2.0);
    assert_eq!(request.pictures[0], PictureSource::Bytes(vec![0, 1, 2]));
    assert_eq!(request.pictures[1], PictureSource::Remote("https://a.org/b.png".to_owned()));
    assert_eq!(request.settings.max_new_tokens.unwrap().get(), 7);
    assert_eq!((request.messages.len(), request.streaming), (2, Streaming::PiecesAndUsage));
}

#[test]
fn headers_say_what_the_body_may_say_and_contradict_it_never() {
    let body = |visor: Value| json!({"model": "a", "messages": [{"role": "user", "content": "b"}], "visor": visor});
    let read = |visor: Value, headers: &[(KnobHeader, &str)]| {
        let headers: Vec<_> =
            headers.iter().map(|(which, text)| (*which, (*text).to_owned())).collect();
        parse(body(visor).to_string().as_bytes(), &headers, &RequestLimits::default())
    };
    use KnobHeader::{Budget, MaxGflops, Patches, Thrift};
    let all = [(Budget, "auto"), (MaxGflops, "1.5"), (Thrift, "0.2"), (Patches, "auto")];
    let of_headers = read(Value::Null, &all).unwrap().knobs;
    let same = json!({"budget": "auto", "max_gflops": 1.5, "thrift": 0.2, "patches": "auto"});
    assert_eq!(of_headers, read(same.clone(), &[]).unwrap().knobs);
    assert_eq!(of_headers, read(same.clone(), &all).unwrap().knobs);
    for other in [(Budget, "sa1"), (MaxGflops, "2"), (Thrift, "1"), (Patches, "3")] {
        let error = read(same.clone(), &[other]).unwrap_err();
        assert!(error.message.contains("different"), "{error}");
    }
}

#[test]
fn a_seed_is_drawn_where_there_is_none_and_something_is_drawn() {
    let seed = |fields: &[(&str, u64)]| {
        let mut body = json!({"model": "a", "messages": [{"role": "user", "content": "b"}]});
        fields.iter().for_each(|(name, value)| body[*name] = json!(value));
        read(&body).unwrap().settings.sampling.seed()
    };
    assert_eq!(seed(&[("temperature", 1), ("seed", u64::MAX)]), Some(u64::MAX));
    assert_eq!(seed(&[("seed", 3)]), None);
    let mut drawn: Vec<u64> = (0..100).map(|_| seed(&[("temperature", 1)]).unwrap()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    // Every number of JavaScript up to here is itself.
    assert!(drawn.len() == 100 && drawn.iter().all(|seed| *seed < 1 << 53), "{drawn:?}");
}

#[test]
fn an_answer_is_taken_back_as_it_was_given() {
    let after = |fields: &Value| {
        let mut answer = json!({"role": "assistant", "content": "b"});
        for (name, value) in fields.as_object().unwrap() {
            answer[name] = value.clone();
        }
        let user = json!({"role": "user", "content": "a"});
        read(&json!({"model": "a", "messages": [user, answer, user]}))
    };
    let plain = after(&json!({})).unwrap().messages;
    for silent in [
        json!({"refusal": null}),
        json!({"refusal": "", "tool_calls": [], "annotations": []}),
        json!({"refusal": null, "tool_calls": null, "function_call": null, "audio": null,
               "annotations": null}),
    ] {
        assert_eq!(after(&silent).unwrap().messages, plain, "{silent}");
    }
    for (name, value) in [
        ("refusal", json!("I cannot")),
        ("tool_calls", json!([{"id": "1"}])),
        ("function_call", json!({"name": "f"})),
        ("audio", json!({"id": "1"})),
        ("annotations", json!([{"type": "url_citation"}])),
    ] {
        let error = after(&json!({name: value})).unwrap_err();
        assert_eq!(error.code, "unsupported_parameter", "{name}");
        assert_eq!(error.param, Some(format!("messages[1].{name}")));
    }
}

#[test]
fn a_field_that_is_null_is_not_there_whatever_it_is() {
    let body = |none: Value| {
        let part = json!({"type": "text", "text": "b", "bold": none});
        json!({"model": "a", "colour": none, "visor": {"colour": none},
               "messages": [{"role": "user", "name": none, "content": [part]}]})
    };
    let plain = json!({"model": "a", "messages": [{"role": "user", "content": "b"}]});
    assert_eq!(read(&body(Value::Null)), read(&plain));
    assert_eq!(read(&body(json!(1))).unwrap_err().code, "unsupported_parameter");
}

#[test]
fn text_beyond_what_a_context_can_hold_is_refused_by_its_bytes() {
    let said = |text: &str| {
        let url = format!("data:image/png;base64,{}", "A".repeat(4000));
        let picture = json!({"type": "image_url", "image_url": {"url": url}});
        read(&json!({"model": "a", "messages": [
            {"role": "system", "content": text},
            {"role": "user", "content": [{"type": "text", "text": text}, picture]}]}))
        .unwrap()
        .messages
    };
    assert_eq!(expect_length(&said(&"a".repeat(160)), 10), Ok(()));
    let error = expect_length(&said(&"a".repeat(161)), 10).unwrap_err();
    assert_eq!((error.status, error.code), (400, "context_length_exceeded"));
    assert_eq!(error.param.as_deref(), Some("messages"));
    assert!(error.message.contains("322 bytes") && error.message.contains("10 tokens"), "{error}");
}

#[test]
fn a_detail_of_low_is_a_single_tile() {
    let body = |detail: &[&str]| {
        let part = |detail: &&str| {
            json!({"type": "image_url",
                   "image_url": {"url": "data:image/png;base64,AA==", "detail": detail}})
        };
        let parts: Vec<Value> = detail.iter().map(part).collect();
        read(&json!({"model": "a", "messages": [{"role": "user", "content": parts}]}))
    };
    let tiles = |detail: &[&str]| body(detail).unwrap().knobs.max_tiles.map(|tiles| tiles.get());
    assert_eq!(tiles(&["low", "low"]), Some(1));
    assert_eq!((tiles(&["auto"]), tiles(&["high", "high"])), (None, None));
    assert_eq!(body(&["low", "high"]).unwrap_err().code, "unsupported_parameter");
}

/// JSON that looks like a request often enough to get behind the first check.
fn values() -> impl Strategy<Value = Value> {
    let words = proptest::sample::select(vec![
        "model",
        "messages",
        "role",
        "user",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "visor",
        "budget",
        "stop",
        "stream",
        "n",
        "tools",
        "data:image/png;base64,AAAA",
        "max_tokens",
        "seed",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((words.clone(), inner), 0..8).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn arbitrary_bodies_are_never_more_than_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,80}"
    ) {
        check(&bytes, &[]);
        check(text.as_bytes(), &[(KnobHeader::Budget, text.clone())]);
    }

    #[test]
    fn arbitrary_json_is_never_more_than_an_error(value in values(), which in 0_usize..4) {
        let header = (KnobHeader::ALL[which], value.to_string());
        check(value.to_string().as_bytes(), &[header]);
        let mut sound = json!({"model": "a", "messages": [{"role": "user", "content": "b"}]});
        for name in ["messages", "visor", "stop", "temperature", "stream_options", "max_tokens"] {
            let before = sound[name].clone();
            sound[name] = value.clone();
            check(sound.to_string().as_bytes(), &[]);
            sound[name] = before;
        }
        sound["messages"][0]["content"] = json!([value]);
        check(sound.to_string().as_bytes(), &[]);
    }
}
