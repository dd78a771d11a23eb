//! Who may ask.

use super::client::*;
use crate::common::{QUESTION, command, visor};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

const KEY: &str = "a-key-of-the-tests-0123456789";
const OTHER: &str = "another-key-of-the-tests-9876543210";

fn guarded() -> (Server, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, format!("# of the tests\n{KEY}\n{OTHER}\n")).unwrap();
    (Server::start(&["--api-key-file", file.to_str().unwrap()]), folder)
}

#[test]
fn without_the_right_key_nothing_but_health_is_answered() {
    let (server, _folder) = guarded();
    let body = json!({"model": "nano", "messages": [{"role": "user", "content": QUESTION}]});
    let short = &KEY[..KEY.len() - 1];
    let wrong = [
        "x-nothing: 1".to_owned(),
        "authorization: Bearer".to_owned(),
        "authorization: Bearer ".to_owned(),
        format!("authorization: {KEY}"),
        format!("authorization: Basic {KEY}"),
        format!("authorization: Bearer {short}"),
        format!("authorization: Bearer {KEY}x"),
        format!("authorization: Bearer {}", KEY.to_uppercase()),
        format!("x-api-key: {KEY}"),
        "authorization: Bearer # of the tests".to_owned(),
    ];
    for header in &wrong {
        for (method, path) in [
            ("GET", "/v1/models"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("GET", "/x"),
            ("POST", "/v1/chat/completions"),
            ("GET", "/v1/models/nano"),
        ] {
            let headers = [header.as_str(), "content-type: application/json"];
            let answer = server.send(method, path, &headers, body.to_string().as_bytes());
            assert_eq!(answer.error(401), "invalid_api_key", "{header} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
    for key in [KEY, OTHER] {
        let header = format!("authorization: bearer {key}");
        // With a key the name of the host is the proxy's business.
        let answer = server.send("GET", "/v1/models", &[&header, "host: visor.example.org"], b"");
        assert_eq!(answer.status, 200);
        assert_eq!(server.chat(&[&header], body.to_string().as_bytes()).status, 200);
    }
    let log = server.log();
    assert!(!log.contains(KEY) && !log.contains(OTHER), "{log}");
}

#[test]
fn a_key_may_come_from_the_environment_and_must_be_hard_to_guess() {
    let mut command = command();
    command.args(["serve", "--port", "0"]).env("VISOR_API_KEY", KEY);
    let server = Server::of(&mut command);
    assert_eq!(server.get("/v1/models").error(401), "invalid_api_key");
    let header = format!("authorization: Bearer {KEY}");
    assert_eq!(server.send("GET", "/v1/models", &[&header], b"").status, 200);

    for (key, says) in
        [("short", "fewer than 16"), ("", "no API key"), ("x y z x y z x y z", "blanks")]
    {
        let mut command = crate::common::command();
        command.args(["serve", "--port", "0"]).env("VISOR_API_KEY", key);
        let error = crate::common::finish(&mut command).error(2);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_server_that_others_can_reach_says_so_loudly() {
    let server = Server::start(&["--host", "0.0.0.0"]);
    assert!(server.log().contains("WITHOUT AN API KEY"), "{}", server.log());
    let server = Server::start(&[]);
    assert!(!server.log().contains("warning"), "{}", server.log());
}

#[test]
fn what_a_server_cannot_be_given_is_said() {
    for (args, code, says) in [
        (&["--port", "99999"][..], 2, "99999"),
        (&["--host", "everywhere"], 2, "everywhere"),
        (&["--queue", "0"], 2, "zero"),
        (&["--request-timeout", "0"], 2, "0.001 to 86400"),
        (&["--max-body", "99999999999"], 2, "--max-body"),
        (&["--max-connections", "18446744073709551615"], 2, "connections at once: expected 1 to"),
        (&["--decoders", "18446744073709551615"], 2, "decoders at once: expected 1 to"),
        (&["--allow-remote-images"], 2, "--allowed-image-host"),
        (&["--allowed-image-host", "a.org"], 2, "--allow-remote-images"),
        (&["--allow-remote-images", "--allowed-image-host", "http://a"], 2, "names no host"),
        (&["--api-key-file", "nowhere"], 1, "nowhere"),
        (&["--model", "nowhere"], 1, "there is no model `nowhere`"),
        (&["--model", "nano", "--model", "nano", "--port", "0"], 1, "two models are called `nano`"),
    ] {
        let ended = visor([&["serve"], args].concat());
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{args:?}: {}", ended.stderr);
    }
}
