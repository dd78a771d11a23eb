//! What the tests share: running the binary, a tiny checkpoint, pictures.

use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A question whose words a nano model knows.
pub(crate) const QUESTION: &str = "colour at r4 c5 ?";

/// What is said where a selector chooses that nobody has taught.
pub(crate) const UNTRAINED: &str = "warning: the selector is untrained";

/// The binary, ready to be given arguments.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visor"));
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end, which is never a panic.
pub(crate) fn finish(command: &mut Command) -> Ended {
    ended(&command.output().unwrap())
}

/// The same with something on standard input.
pub(crate) fn finish_with_input(command: &mut Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no further closes its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    ended(&child.wait_with_output().unwrap())
}

pub(crate) fn ended(output: &std::process::Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ended { code: output.status.code(), stdout, stderr }
}

/// Runs the binary with these arguments.
pub(crate) fn visor<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    finish(command().args(args))
}

impl Ended {
    /// What a command that worked has answered.
    pub(crate) fn answer(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// The same, where it is a JSON object.
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.answer()).unwrap()
    }

    /// The error of a command that did not work: the last that is said, and no answer beside it. A
    /// failure takes one line; wrong usage may be followed by what would be right.
    pub(crate) fn error(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "{}", self.stderr);
        let at = self.stderr.find("error: ").unwrap_or_else(|| panic!("{:?}", self.stderr));
        let error = &self.stderr[at..];
        assert!(code != 1 || error.lines().count() == 1, "{error}");
        error.to_owned()
    }
}

/// A folder with a checkpoint of the nano shape that has been trained for a single step.
pub(crate) struct Tiny {
    pub(crate) root: TempDir,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().unwrap();
        let run = root.path().join("run");
        train(&run, &["--steps", "0,0,1", "--batch", "1"]).answer();
        Self { root }
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.path().join("run/checkpoint")
    }

    /// A picture of the suite.
    pub(crate) fn picture(&self) -> PathBuf {
        self.file("picture.png", &png(&DynamicImage::ImageRgb8(gradient(48, 48))))
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// `ask` with this model and these arguments.
    pub(crate) fn ask<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        finish(self.asking().args(args))
    }

    /// `ask` with this model, to be given more arguments.
    pub(crate) fn asking(&self) -> Command {
        let mut command = command();
        command.args(["ask", "--model"]).arg(self.checkpoint());
        command
    }
}

/// `train universal` without the parts that take long.
pub(crate) fn train(out: &Path, args: &[&str]) -> Ended {
    finish(training(out, args).args(["--test-pictures", "0"]))
}

/// The same as a command.
pub(crate) fn training(out: &Path, args: &[&str]) -> Command {
    let mut command = command();
    command.args(["train", "universal", "--validation-pictures", "7", "--out"]).arg(out).args(args);
    command
}

/// A picture in which no two pixels near each other are equal.
pub(crate) fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, (x + y) as u8]))
}

pub(crate) fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Names and contents of all files in a folder, but for the stamp of a verification.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with(visor_checkpoint::files::STAMP))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Names of all entries of a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}
