//! Overload, clients who leave, and the end of a server.

use super::client::*;
use crate::common::{QUESTION, UNTRAINED, command, visor};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

/// A request that takes a while: as many tokens as the context has room for, none of them the last.
fn long(seed: u64) -> Value {
    let fields = json!({"temperature": 100, "seed": seed, "max_tokens": 200, "stream": true});
    with(about(QUESTION, &[data_url(&picture(seed as u8))]), &fields)
}

#[test]
fn a_client_who_leaves_stops_his_request() {
    let server = Server::start(&[]);
    let body = long(1).to_string();
    let headers = ["host: localhost", "content-type: application/json"];
    let bytes = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
    for read in [0, 1, 200] {
        let mut stream = server.connect();
        stream.write_all(&bytes).unwrap();
        let mut seen = vec![0; read];
        stream.read_exact(&mut seen).unwrap();
        drop(stream);
        server.idle();
    }
    server.post(&about(QUESTION, &[])).ok();
    // The heads of streams say 200: only their ends tell what became of them.
    server.says(&["streamed", "request=", "outcome=\"left\"", "ms="]);
    server.post(&with(about(QUESTION, &[]), &json!({"stream": true}))).pieces();
    server.says(&["streamed", "request=", "outcome=\"finished\"", "ms="]);
    for outcome in ["left", "finished"] {
        let streams = format!("visor_streams_total{{outcome=\"{outcome}\"}}");
        assert!(server.metric(&streams) >= 1.0, "{outcome}");
    }
}

#[test]
fn overload_is_refused_with_a_time_to_come_back_and_passes() {
    let server = Server::start(&["--queue", "2", "--batch", "1", "--decoders", "8"]);
    let refused = std::thread::scope(|scope| {
        let ask = |i: u64| {
            let server = &server;
            scope.spawn(move || {
                let body = with(long(i), &json!({"stream": false, "max_tokens": 150}));
                server.post(&body)
            })
        };
        let asked: Vec<_> = (0..24).map(ask).collect();
        let answers: Vec<Answer> = asked.into_iter().map(|one| one.join().unwrap()).collect();
        for answer in &answers {
            if answer.status != 200 {
                assert_eq!(answer.error(429), "overloaded");
                let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&after));
            }
        }
        answers.iter().filter(|answer| answer.status == 429).count()
    });
    assert!((1..24).contains(&refused), "{refused} of 24 were refused");
    server.idle();
    server.post(&about(QUESTION, &[])).ok();
    let counted = server.metric("visor_engine{model=\"nano\",what=\"refused\"}");
    assert_eq!(counted as usize, refused);
}

#[test]
fn a_request_that_takes_too_long_is_ended() {
    let server = Server::start(&["--request-timeout", "0.001"]);
    let asked = with(about(QUESTION, &[]), &json!({"max_tokens": 200, "temperature": 100}));
    assert_eq!(server.post(&asked).error(504), "timeout");
    server.idle();
}

#[test]
fn a_server_that_is_told_to_end_answers_what_it_has_begun_and_exits_with_0() {
    let mut server = Server::start(&[]);
    let body = long(1).to_string();
    let headers = ["host: localhost", "content-type: application/json"];
    let mut stream = server.connect();
    stream.write_all(&request("POST", "/v1/chat/completions", &headers, body.as_bytes())).unwrap();
    // Once something has come back it is being answered.
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    server.signal("-TERM");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("data: [DONE]"), "it was cut off: {rest}");
    assert_eq!(server.ended(), Some(0), "{}", server.log());
}

#[test]
fn what_is_not_done_when_the_time_is_over_ends_with_an_error() {
    let mut server = Server::start(&["--drain-timeout", "0.001"]);
    let body = long(1).to_string();
    let headers = ["host: localhost", "content-type: application/json"];
    let mut stream = server.connect();
    stream.write_all(&request("POST", "/v1/chat/completions", &headers, body.as_bytes())).unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    server.signal("-TERM");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    let ended = rest.contains("[DONE]") || rest.contains("shutting_down");
    assert!(ended, "the stream ends without a word: {rest}");
    assert_eq!(server.ended(), Some(0), "{}", server.log());
}

#[test]
fn an_idle_server_ends_at_once_and_a_second_signal_ends_a_busy_one() {
    let mut server = Server::start(&[]);
    // A connection that is kept open keeps nothing.
    let idle = server.connect();
    server.signal("-INT");
    assert_eq!(server.ended(), Some(0), "{}", server.log());
    drop(idle);

    let mut server = Server::start(&["--drain-timeout", "600"]);
    let mut stream = server.connect();
    let half = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
                 content-type: application/json\r\nexpect: 100-continue\r\n\
                 content-length: 500\r\n\r\n";
    stream.write_all(half).unwrap();
    // It is busy once it asks for the body.
    let mut go_on = [0; 12];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100");
    server.signal("-TERM");
    server.says(&["draining"]);
    server.signal("-TERM");
    assert_eq!(server.ended(), Some(1), "{}", server.log());
}

#[test]
fn a_server_that_cannot_serve_says_why() {
    let server = Server::start(&[]);
    let port = server.address.port().to_string();
    let mut command = command();
    command.args(["serve", "--port", &port]).stdout(Stdio::null());
    let ended = crate::common::finish(&mut command);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("error: cannot listen at 127.0.0.1:"), "{}", ended.stderr);
}

#[test]
fn a_server_says_at_its_start_that_a_selector_is_untrained() {
    let root = TempDir::new().unwrap();
    let (stock, model) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../visor/tests/goldens/smolvlm"),
        root.path().join("converted"),
    );
    let (stock, model) = (stock.to_string_lossy(), model.to_string_lossy());
    let convert = ["convert", "--model", stock.as_ref(), "--out", model.as_ref(), "--selector"];
    let layers = ["--cross-attention", "0,2", "--self-attention", "1"];
    visor([&convert[..], &layers].concat()).answer();
    let log = Server::start(&["--model", model.as_ref(), "--model", "nano"]).log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains(UNTRAINED)).collect();
    assert!(said.len() == 1 && said[0].contains("converted"), "{log}");
}

#[test]
fn under_pressure_budgets_that_were_left_open_fall_and_are_reported() {
    let server = Server::start(&["--degrade", "--queue", "8", "--batch", "1", "--decoders", "16"]);
    // A question that the cheapest rung gets wrong as often as right: there is much to lower.
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano/samples/00003.png");
    let asked = about("group at r5 c5 ?", &[data_url(&fs::read(sample).unwrap())]);
    let ask = |i: u64| {
        let fields = json!({"max_tokens": 60, "temperature": 100, "seed": i,
                            "visor": {"max_gflops": 1000, "thrift": 0}});
        server.post(&with(asked.clone(), &fields))
    };
    let alone = ask(0).ok()["usage"]["visor"].clone();
    assert_eq!(alone["basis"], "predicted");
    assert_ne!(alone["chosen"], "sa0", "there is nothing to lower");
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..24).map(|i| scope.spawn(move || ask(i))).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut lowered = 0;
    for answer in answers.into_iter().filter(|answer| answer.status == 200) {
        let spent = answer.ok()["usage"]["visor"].clone();
        if spent["basis"] == "predicted" {
            assert_eq!((&spent["wanted"], &spent["chosen"]), (&Value::Null, &alone["chosen"]));
        } else {
            assert_eq!((&spent["basis"], &spent["wanted"]), (&json!("capped"), &alone["chosen"]));
            assert_ne!(spent["chosen"], spent["wanted"]);
            lowered += 1;
        }
    }
    assert!(lowered > 0, "nothing was lowered");
    server.idle();
    assert_eq!(ask(0).ok()["usage"]["visor"]["basis"], "predicted", "it has recovered");
}
