//! A disk without room. Nobody without privileges can fill one, so that a limit on the size of
//! files stands in for it: a write beyond it fails half-way, as on a full disk.
#![cfg(unix)]

use crate::common::{Ended, command, contents, ended, names, train};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Runs the binary where no file can grow beyond `blocks` of half a KiB or of one, as the shell has
/// it.
fn with_room(blocks: u32, args: &[&str]) -> Ended {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let binary = command().get_program().to_owned();
    ended(&Command::new("sh").args(["-c", &script]).arg(binary).args(args).output().unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn pictures_that_do_not_fit_leave_no_folder() {
    let root = TempDir::new().unwrap();
    let out = root.path().join("out");
    let args = ["tasks", "generate", "--suite", "nano", "--count", "200", "--out", text(&out)];
    let error = with_room(40, &args).error(1);
    assert!(error.contains("cannot write") && error.contains("samples.jsonl"), "{error}");
    assert_eq!(names(root.path()), [""; 0]);
    let args = ["tasks", "show", "--suite", "nano", "--out", text(&out)];
    let error = with_room(8, &args).error(1);
    assert!(error.contains("cannot write") && error.contains("out"), "{error}");
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn a_state_that_does_not_fit_leaves_none() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    let args = ["train", "universal", "--steps", "0,0,1", "--batch", "1", "--out", text(&run)];
    let error = with_room(1000, &args).error(1);
    assert!(error.contains("cannot write") && error.contains("state.safetensors"), "{error}");
    assert!(names(&run).iter().all(|name| ["log.jsonl", "minutes.json"].contains(&name.as_str())));
}

#[test]
fn a_checkpoint_that_does_not_fit_leaves_the_old_one() {
    let root = TempDir::new().unwrap();
    let run = root.path().join("run");
    let options = ["--steps", "0,0,1", "--batch", "1"];
    train(&run, &options).answer();
    let before = contents(&run.join("checkpoint"));
    let args = ["train", "universal", "--out", text(&run), "--validation-pictures", "7"];
    let error = with_room(1000, &[&args[..], &options].concat()).error(1);
    assert!(error.contains("cannot export to") && error.contains("model.safetensors"), "{error}");
    assert_eq!(contents(&run.join("checkpoint")), before);
    let expected = ["checkpoint", "log.jsonl", "minutes.json", "state.safetensors"];
    assert_eq!(names(&run), expected);
}
