//! Models of the hub: downloaded, asked, used offline; from a hub on this machine.

use crate::common::{Ended, QUESTION, Tiny, command, contents, finish, names};
use crate::hub_server::{Fault, ID, Server};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// A hub with files, and the environment of somebody who uses it.
struct Bench {
    server: Server,
    home: TempDir,
}

impl Bench {
    fn new(files: &[(String, Vec<u8>)]) -> Self {
        let files = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        Self { server: Server::new(files), home: TempDir::new().unwrap() }
    }

    fn command(&self) -> Command {
        let mut command = command();
        for variable in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH"] {
            command.env_remove(variable);
        }
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE"] {
            command.env_remove(variable);
        }
        command.env("HF_HOME", self.home.path()).env("HF_ENDPOINT", self.server.endpoint());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        finish(self.command().args(args))
    }
}

fn stock() -> Vec<(String, Vec<u8>)> {
    let files: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("model.safetensors", b"weights"),
        ("processor_config.json", b"{}"),
        ("pytorch_model.bin", b"pickled"),
        ("tokenizer.json", b"{}"),
    ];
    files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).to_vec()
}

#[test]
fn a_model_of_the_hub_is_downloaded_once_and_answers_by_its_id() {
    let tiny = Tiny::new();
    let bench = Bench::new(&contents(&tiny.checkpoint()));
    let picture = tiny.picture();
    let ask = ["ask", "--model", ID, "--json", "--image", picture.to_str().unwrap(), QUESTION];
    let first = bench.run(&ask).json();
    assert_eq!(first["model"], ID);
    assert!(!bench.server.requests().is_empty());

    let offline = [&ask[..], &["--offline"]].concat();
    assert_eq!(bench.run(&offline).json()["text"], first["text"]);
    let mut told = bench.command();
    told.args(ask).env("HF_HUB_OFFLINE", "1");
    assert_eq!(finish(&mut told).json()["text"], first["text"]);
    let text = bench.run(&["inspect", "--model", ID]).answer();
    assert!(text.contains(ID), "{text}");
    assert_eq!(bench.server.requests(), []);
}

#[test]
fn inspecting_a_model_of_the_hub_asks_for_no_weights_and_asking_brings_them() {
    let tiny = Tiny::new();
    let bench = Bench::new(&contents(&tiny.checkpoint()));
    let text = bench.run(&["inspect", "--model", ID]).answer();
    assert!(text.contains(ID), "{text}");
    let asked = |bench: &Bench| -> Vec<String> {
        bench.server.requests().into_iter().map(|request| request.path).collect()
    };
    let small = asked(&bench);
    assert!(small.iter().any(|path| path.ends_with("config.json")), "{small:?}");
    assert!(small.iter().all(|path| !path.ends_with(".safetensors")), "{small:?}");
    assert_eq!(bench.run(&["inspect", "--offline", "--model", ID]).answer(), text);
    let picture = tiny.picture();
    let ask = ["ask", "--model", ID, "--json", "--image", picture.to_str().unwrap(), QUESTION];
    let error = bench.run(&[&ask[..], &["--offline"]].concat()).error(1);
    assert!(error.contains("is in the cache") && error.contains("`model.safetensors`"), "{error}");
    assert_eq!(asked(&bench), [""; 0]);
    assert_eq!(bench.run(&ask).json()["model"], ID);
    let large = asked(&bench);
    assert!(large.iter().any(|path| path.ends_with("/model.safetensors")), "{large:?}");
}

#[test]
fn a_download_prints_its_folder_and_draws_no_bar_without_a_terminal() {
    let bench = Bench::new(&stock());
    let ended = bench.run(&["download", ID]);
    assert_eq!(ended.stderr, format!("{ID} is commit {}\n", "a".repeat(40)));
    let folder = ended.answer();
    let folder = std::path::Path::new(folder.trim_end());
    assert!(folder.starts_with(bench.home.path().join("hub/models--owner--model/snapshots")));
    let all = ["config.json", "model.safetensors", "processor_config.json", "tokenizer.json"];
    assert_eq!(names(folder), all);
    bench.run(&["download", ID, "--offline"]).answer();
    let at = bench.run(&["download", ID, "--revision", &"a".repeat(40)]).answer();
    assert_eq!(at.trim_end(), folder.to_str().unwrap());
}

#[test]
fn a_download_that_fails_says_why_and_what_to_do() {
    for (path, fault, says) in [
        ("/revision/main", Fault::Status(401), "set HF_TOKEN"),
        ("/revision/main", Fault::Status(404), "check the id and the revision"),
        ("/model.safetensors", Fault::Cut(3), "cut off after 3 of 7 bytes"),
        ("/model.safetensors", Fault::Damaged, "sha256"),
    ] {
        // The second connection brings nothing where the first was cut off.
        let bench = Bench::new(&stock());
        bench.server.fails(path, &[fault, Fault::Cut(0)]);
        let error = bench.run(&["download", ID]).error(1);
        assert!(error.contains(says), "{error}");
        assert!(error.contains("`owner/model` at revision `main`"), "{error}");
    }
    let bench = Bench::new(&stock());
    bench.server.fails("/revision/v1", &[Fault::Status(404)]);
    let error = bench.run(&["inspect", "--model", "owner/model@v1"]).error(1);
    assert!(error.contains("`owner/model` at revision `v1`"), "{error}");
}

#[test]
fn a_model_that_is_not_in_the_cache_says_so_offline() {
    let bench = Bench::new(&stock());
    for args in [
        &["download", ID, "--offline"][..],
        &["ask", "--offline", "--model", ID, QUESTION],
        &["convert", "--offline", "--model", ID, "--out", "nowhere"],
    ] {
        let error = bench.run(args).error(1);
        assert!(error.contains("is not in the cache"), "{error}");
        assert!(error.contains("leave out --offline and HF_HUB_OFFLINE"), "{error}");
    }
    assert_eq!(bench.server.requests(), []);
}

#[test]
fn what_can_be_no_id_or_revision_is_wrong_usage() {
    let bench = Bench::new(&stock());
    for args in [
        &["download"][..],
        &["download", "model"],
        &["download", "../model"],
        &["download", ID, "--revision", "../x"],
        &["download", "owner/model@v1", "--revision", "v1"],
    ] {
        bench.run(args).error(2);
    }
    assert_eq!(bench.server.requests(), []);
}

#[test]
fn a_shipped_name_and_a_folder_that_is_there_win_over_the_hub() {
    let bench = Bench::new(&stock());
    bench.run(&["inspect", "--model", "nano"]).answer();
    let here = TempDir::new().unwrap();
    fs::create_dir_all(here.path().join(ID)).unwrap();
    let mut inspect = bench.command();
    let error = finish(inspect.current_dir(here.path()).args(["inspect", "--model", ID])).error(1);
    assert!(error.contains("owner/model has no `config.json`"), "{error}");
    assert_eq!(bench.server.requests(), []);
}
