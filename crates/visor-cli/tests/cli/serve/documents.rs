//! What documents show is run.

use super::client::*;
use crate::common::command;
use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A shell in the root of the repository that finds the binary by its name.
fn shell(script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_visor")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), env::var("PATH").unwrap());
    let out = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(root())
        .env("PATH", path)
        .env_remove("VISOR_API_KEY")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{script}\n{error}");
    String::from_utf8(out.stdout).unwrap()
}

/// What `ask` says to the question that documents show.
fn right() -> String {
    let mut ask = command();
    ask.current_dir(root());
    ask.args(["ask", "--image", "models/nano/samples/00004.png", "follow r5 c3 ?"]);
    crate::common::finish(&mut ask).answer().trim().to_owned()
}

#[test]
fn the_five_lines_of_the_readme_serve_and_answer() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- runs: serving -->\n\n```\n").unwrap();
    let (script, _) = rest.split_once("\n```").unwrap();
    assert_eq!(script.lines().count(), 5);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let out = shell(&script.replace("8080", &free.to_string()));
    // The first line is that of the health check, without an end.
    let (_, answer) = out.split_once("{\"status\":\"ok\"}").unwrap();
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"].as_str().unwrap().trim(), right());
}

#[test]
fn the_curl_example_runs_against_a_live_server() {
    let server = Server::start(&[]);
    let out = shell(&format!("bash examples/clients/curl.sh http://{}", server.address));
    let after = |title: &str| {
        let (_, rest) = out.split_once(title).unwrap_or_else(|| panic!("no {title}: {out}"));
        rest.lines().nth(1).unwrap().to_owned()
    };
    assert!(after("# models").contains("nano@sa0"));
    assert!(after("# the policy").contains(&right()));
    assert!(after("# the cheapest").contains("\"chosen\":\"sa0\""));
    assert!(after("# at most").contains("\"basis\":"));
    assert!(after("# piece").starts_with("data: "));
    assert!(out.contains("data: [DONE]"));
    assert!(after("# an error").contains("\"error\""));
}
