//! What goes where: answers to standard output, everything else to standard error.

use crate::common::{QUESTION, Tiny, ended, finish, visor};
use std::process::Stdio;

#[test]
fn an_answer_is_one_line_and_what_is_said_about_it_stands_elsewhere() {
    let tiny = Tiny::new();
    let picture = tiny.picture();
    let ended = tiny.ask(["--image", picture.to_str().unwrap(), QUESTION]);
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert!(ended.stderr.starts_with("sa3 (default): "), "{}", ended.stderr);
    assert!(ended.stderr.contains("weights checked by their hash"), "{}", ended.stderr);
}

#[test]
fn an_answer_that_nobody_reads_is_no_failure() {
    let tiny = Tiny::new();
    for args in [vec!["ask", "--json", QUESTION], vec!["inspect"], vec!["inspect", "--json"]] {
        let mut command = crate::common::command();
        command.args(&args).arg("--model").arg(tiny.checkpoint());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = ended(&child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("error"), "{}", ended.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let tiny = Tiny::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = tiny.asking();
    // `output` would take standard output back.
    let child = command.arg(QUESTION).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let ended = ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("error: cannot write the answer: No space left"));
}

#[test]
fn devices_and_models_are_listed() {
    let devices = visor(["devices"]).answer();
    assert!(devices.starts_with("cpu  the processor"), "{devices}");
    assert_eq!(visor(["models"]).code, Some(0));
    assert_eq!(finish(&mut crate::common::command()).code, Some(2));
}
