//! Bytes that are no request, or try to be two: what comes back, and that the server goes on.

use super::client::*;
use crate::common::QUESTION;
use serde_json::json;
use std::io::{ErrorKind, Write};

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                    content-type: application/json\r\n";

fn sound() -> String {
    json!({"model": "nano", "messages": [{"role": "user", "content": QUESTION}]}).to_string()
}

/// A request with this body and these lines in its head.
fn post(lines: &str, body: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), lines.as_bytes(), b"\r\n", body].concat()
}

fn sized(body: &[u8]) -> Vec<u8> {
    post(&format!("content-length: {}\r\n", body.len()), body)
}

#[test]
fn what_is_no_request_is_answered_with_the_right_error_or_dropped() {
    let server = Server::start(&["--max-body", "1", "--head-timeout", "1", "--body-timeout", "1"]);
    let sound = sound();
    let of = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let get =
        |path: &str| of(&format!("GET {path} HTTP/1.1\nhost: localhost\nconnection: close\n\n"));
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let huge = format!("x-huge: {}\r\n", "a".repeat(200_000));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let small = format!("[{}0]", r#"{"":0},"#.repeat(140_000));
    let chunk = format!("{:x}\r\n{}\r\n", 700_000, "a".repeat(700_000));
    let chunks = format!("{chunk}{chunk}{chunk}0\r\n\r\n");
    let both = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", sound.len());
    let two = format!("content-length: {}\r\ncontent-length: 5\r\n", sound.len());
    // The status that must come back; 0: the connection may just end.
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("nothing", Vec::new(), &[0, 408]),
        ("noise", (0..=255).cycle().take(4096).collect(), &[0, 400, 408]),
        ("zeros", vec![0; 4096], &[0, 400, 408]),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[0, 400, 408]),
        ("http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[0, 400]),
        ("half a head", of("POST /v1/chat/completions HTTP/1.1\nhost: loc"), &[0, 400, 408]),
        ("no version", of("GET /health\n\n"), &[0, 400]),
        ("a line without a colon", of("GET /health HTTP/1.1\nhost localhost\n\n"), &[0, 400]),
        ("a folded line", of("GET /health HTTP/1.1\nhost: a\n b\n\n"), &[0, 400]),
        ("huge header", post(&huge, b""), &[0, 431]),
        ("many headers", post(&many, b""), &[0, 431]),
        ("huge path", get(&"/a".repeat(40_000)), &[0, 400, 414, 431]),
        ("unknown path", get("/v1/embeddings"), &[404]),
        ("root", get("/"), &[404]),
        ("traversal", get("/v1/models/../../etc/passwd"), &[404]),
        ("encoded traversal", get("/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), &[404]),
        ("bad encoding", get("/v1/models/%ff%fe"), &[400, 404]),
        ("null in a path", get("/v1/models/a%00b"), &[404]),
        ("wrong method", get("/v1/chat/completions"), &[405]),
        (
            "delete",
            of("DELETE /v1/models HTTP/1.1\nhost: localhost\nconnection: close\n\n"),
            &[405],
        ),
        ("trace", of("TRACE / HTTP/1.1\nhost: localhost\nconnection: close\n\n"), &[404, 405]),
        (
            "connect",
            of("CONNECT a:80 HTTP/1.1\nhost: localhost\nconnection: close\n\n"),
            &[0, 400, 404, 405, 421],
        ),
        ("an absolute address", get("http://evil.org/v1/models"), &[200, 404]),
        (
            "preflight",
            of("OPTIONS /v1/chat/completions HTTP/1.1\nhost: localhost\n\
            origin: https://evil.org\naccess-control-request-method: POST\nconnection: close\n\n"),
            &[405],
        ),
        ("empty body", sized(b""), &[400]),
        ("no JSON", sized(b"model=nano"), &[400]),
        ("cut JSON", sized(&sound.as_bytes()[..40]), &[400]),
        ("two values", sized(format!("{sound}{sound}").as_bytes()), &[400]),
        ("deep JSON", sized(deep.as_bytes()), &[400]),
        ("a value in 7 bytes", sized(small.as_bytes()), &[413]),
        ("commas alone", sized(",".repeat(1 << 20).as_bytes()), &[413]),
        ("no UTF-8", sized(b"{\"model\": \"\xff\xfe\"}"), &[400]),
        ("NaN", sized(br#"{"model": "nano", "temperature": NaN}"#), &[400]),
        ("1e999", sized(br#"{"model": "nano", "temperature": 1e999}"#), &[400]),
        ("lone surrogate", sized(br#"{"model": "\ud800"}"#), &[400]),
        ("byte order mark", sized(format!("\u{feff}{sound}").as_bytes()), &[400]),
        (
            "gzip",
            post("content-encoding: gzip\r\ncontent-length: 4\r\n", b"\x1f\x8b\x08\x00"),
            &[400],
        ),
        ("announced too large", post("content-length: 99999999\r\n", b"{"), &[413]),
        (
            "announced beyond all numbers",
            post("content-length: 99999999999999999999999\r\n", b"{"),
            &[0, 400, 413],
        ),
        ("negative length", post("content-length: -1\r\n", sound.as_bytes()), &[0, 400]),
        ("two lengths", post(&two, sound.as_bytes()), &[0, 400]),
        ("length and chunks", post(&both, sound.as_bytes()), &[0, 400, 408]),
        ("too large in chunks", post("transfer-encoding: chunked\r\n", chunks.as_bytes()), &[413]),
        ("a chunk of no size", post("transfer-encoding: chunked\r\n", b"zz\r\n"), &[0, 400, 413]),
        (
            "an endless chunk size",
            post("transfer-encoding: chunked\r\n", b"fffffffffffffffff\r\n"),
            &[0, 400, 413, 408],
        ),
        ("less than announced", post("content-length: 500\r\n", sound.as_bytes()), &[408]),
        (
            "no content type",
            of(&format!(
                "POST /v1/chat/completions HTTP/1.1\nhost: localhost\n\
            connection: close\ncontent-length: {}\n\n{sound}",
                sound.len()
            )),
            &[415],
        ),
        (
            "a form's content type",
            of(&format!(
                "POST /v1/chat/completions HTTP/1.1\n\
            host: localhost\nconnection: close\ncontent-type: text/plain\n\
            content-length: {}\n\n{sound}",
                sound.len()
            )),
            &[415],
        ),
        (
            "another host",
            of("GET /v1/models HTTP/1.1\nhost: evil.org\nconnection: close\n\n"),
            &[421],
        ),
        (
            "a host that looks local",
            of("GET /v1/models HTTP/1.1\nhost: localhost.evil.org\nconnection: close\n\n"),
            &[421],
        ),
        ("no host", of("GET /v1/models HTTP/1.0\n\n"), &[421]),
        (
            "contradicting budgets",
            [
                HEAD.as_bytes(),
                b"x-visor-budget: sa1\r\nx-visor-budget: sa2\r\n",
                format!("content-length: {}\r\n\r\n{sound}", sound.len()).as_bytes(),
            ]
            .concat(),
            &[400],
        ),
        (
            "a budget that is no text",
            [
                HEAD.as_bytes(),
                b"x-visor-budget: \xff\xff\r\n",
                format!("content-length: {}\r\n\r\n{sound}", sound.len()).as_bytes(),
            ]
            .concat(),
            &[400],
        ),
        (
            "a thrift that is no number",
            [
                HEAD.as_bytes(),
                b"x-visor-thrift: much\r\n",
                format!("content-length: {}\r\n\r\n{sound}", sound.len()).as_bytes(),
            ]
            .concat(),
            &[400],
        ),
        (
            "an endless ceiling",
            [
                HEAD.as_bytes(),
                b"x-visor-max-gflops: inf\r\n",
                format!("content-length: {}\r\n\r\n{sound}", sound.len()).as_bytes(),
            ]
            .concat(),
            &[400],
        ),
    ];
    let answered = |bytes: &[u8]| server.raw(bytes);
    for (name, bytes, statuses) in &cases {
        let answer = answered(bytes);
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        assert!(statuses.contains(&status), "{name}: {status} {answer:?}");
        if let Some(answer) = &answer {
            let cors = answer.header("access-control-allow-origin");
            assert_eq!(cors, None, "{name}: other origins are let in");
        }
    }
    // What came before has left nothing behind.
    assert_eq!(server.raw(&sized(sound.as_bytes())).unwrap().status, 200);
    server.idle();
}

#[test]
fn a_client_who_sends_slowly_is_dropped_and_delays_nobody() {
    let server = Server::start(&["--head-timeout", "0.3", "--body-timeout", "0.3"]);
    // Half a head, and nothing more.
    let slow_head = (0..20).map(|_| {
        let mut stream = server.connect();
        stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: local").unwrap();
        stream
    });
    let slow_head: Vec<_> = slow_head.collect();
    let slow_body = (0..20).map(|_| {
        let mut stream = server.connect();
        stream.write_all(&post("content-length: 500\r\n", b"{\"model\"")).unwrap();
        stream
    });
    let slow_body: Vec<_> = slow_body.collect();
    assert_eq!(server.raw(&sized(sound().as_bytes())).unwrap().status, 200);
    for stream in slow_body {
        assert_eq!(received(stream).unwrap().error(408), "slow_body");
    }
    for stream in slow_head {
        let answer = received(stream);
        assert!(answer.is_none_or(|answer| answer.status == 408));
    }
}

#[test]
fn a_client_who_never_reads_is_dropped_and_his_place_is_given_on() {
    // One place, and nothing else that would end its connection.
    let (one, patient) = (["--max-connections", "1"], ["--head-timeout", "600"]);
    let quiet = ["--log-level", "warn", "--write-timeout", "0.3"];
    let server = Server::start(&[&one[..], &patient, &quiet].concat());
    let mut deaf = server.connect();
    let asked = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    // Until all buffers are full. Then the server takes nothing more, and breaks off.
    let error = loop {
        if let Err(error) = deaf.write_all(&asked) {
            break error;
        }
    };
    let broken = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
    assert!(broken.contains(&error.kind()), "{error}");
    assert_eq!(server.raw(&sized(sound().as_bytes())).unwrap().status, 200);
}

#[test]
fn more_connections_than_allowed_wait_and_are_then_answered() {
    let server = Server::start(&["--max-connections", "4", "--head-timeout", "0.3"]);
    let idle: Vec<_> = (0..8).map(|_| server.connect()).collect();
    assert_eq!(server.raw(&sized(sound().as_bytes())).unwrap().status, 200);
    drop(idle);
}

#[test]
fn connections_that_are_cut_at_any_place_leave_nothing_behind() {
    let server = Server::start(&[]);
    let body = with(about(QUESTION, &[data_url(&picture(1))]), &json!({"stream": true}));
    let whole = sized(body.to_string().as_bytes());
    for at in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len()]) {
        let mut stream = server.connect();
        stream.write_all(&whole[..at]).unwrap();
        drop(stream);
    }
    assert_eq!(server.raw(&sized(sound().as_bytes())).unwrap().status, 200);
    server.idle();
}
