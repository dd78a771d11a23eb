//! Runs that are stopped or killed go on to the very same weights.
#![cfg(unix)]

use crate::common::{ended, train, training};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const RUN: [&str; 8] = ["--steps", "8,16,16", "--batch", "4", "--seed", "3", "--save-every", "2"];

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoint/model.safetensors")).unwrap()
}

/// Starts a run and waits until it has saved a state later than the one that is there.
fn start(run: &Path, threads: &str) -> Child {
    let state = run.join("state.safetensors");
    let saved = || fs::metadata(&state).and_then(|found| found.modified()).ok();
    let before = saved();
    let mut command = training(run, &RUN);
    command.args(["--test-pictures", "0", "--threads", threads]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(120);
    while saved() == before {
        assert!(Instant::now() < limit, "no state was saved");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_stopped_and_a_killed_run_end_with_the_weights_of_one_that_was_not() {
    for threads in ["1", "2"] {
        let root = TempDir::new().unwrap();
        let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
        let options = [&RUN[..], &["--threads", threads]].concat();
        train(&whole, &options).answer();

        let killed = {
            let mut child = start(&broken, threads);
            child.kill().unwrap();
            child.wait_with_output().unwrap()
        };
        assert_eq!(killed.status.code(), None, "it ended before it could be killed");

        let child = start(&broken, threads);
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let error = ended(&child.wait_with_output().unwrap()).error(1);
        assert!(error.contains("stopped at step") && error.contains("goes on from there"));
        assert!(!broken.join("checkpoint").exists());

        let resumed = train(&broken, &options);
        assert!(resumed.stderr.contains("going on from step"), "{}", resumed.stderr);
        resumed.answer();
        assert!(weights(&broken) == weights(&whole), "other weights with {threads} threads");
    }
}

#[test]
fn a_run_does_not_go_on_with_another_recipe() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    train(&run, &["--steps", "0,0,1", "--batch", "1"]).answer();
    let error = train(&run, &["--steps", "0,0,1", "--batch", "1", "--seed", "2"]).error(1);
    assert!(error.contains("seed differs"), "{error}");
}

#[test]
fn a_damaged_state_is_an_error_and_not_a_new_start() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    train(&run, &["--steps", "0,0,1", "--batch", "1"]).answer();
    let state = run.join("state.safetensors");
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() / 2]).unwrap();
    let error = train(&run, &["--steps", "0,0,1", "--batch", "1"]).error(1);
    assert!(error.contains("state.safetensors"), "{error}");
    assert_eq!(fs::read(&state).unwrap().len(), bytes.len() / 2);
}
