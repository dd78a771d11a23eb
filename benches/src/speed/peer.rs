//! Another program that takes turns with this one: a Python script that is told what to time and
//! answers with seconds, a line of JSON each way. It sleeps while it is not its turn.

use super::clock::Clock;
use super::stage::Turn;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use thiserror::Error;
use visor_runtime::Dtype;

/// The script that comes with the program: Hugging Face transformers with the sizes of a
/// `config.json` and random weights.
const TRANSFORMERS: &str = include_str!("../../../tools/peer_transformers.py");

/// What a turn is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// By which clock.
    #[serde(serialize_with = "by_name")]
    pub clock: Clock,
    /// Tiles of a picture.
    pub tiles: usize,
    /// Pictures and prompts at once.
    pub batch: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Text tokens.
    pub text_tokens: usize,
    /// Visual tokens.
    pub visual_tokens: usize,
    /// Decode steps.
    pub new_tokens: usize,
}

fn by_name<S: serde::Serializer>(clock: &Clock, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(clock)
}

/// Which script runs, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// The one that comes with the program.
    Transformers,
    /// Another one that speaks the same lines.
    File(String),
}

/// Why there is no peer, or no answer of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// It does not start.
    #[error("cannot start `{python}`: give the interpreter that has torch with `--python`")]
    Start {
        /// The interpreter.
        python: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or said what cannot be understood.
    #[error("the peer ended or said what is no answer: {said}")]
    Answer {
        /// The end of what it said.
        said: String,
    },
    /// The lines between the two broke.
    #[error("cannot talk to the peer")]
    Io(#[from] std::io::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    peer: String,
    parameters: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    encode: f64,
    prefill: f64,
    decode: f64,
}

/// A running peer. It ends with this value.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// What it is, with versions.
    pub name: String,
    /// Parameters of its model.
    pub parameters: u64,
}

impl Peer {
    /// Starts a peer, which is told a number format, and waits until it has built its model.
    ///
    /// # Errors
    /// If there is no such interpreter, or it lacks what the script needs.
    pub fn start(
        script: &Script,
        python: &str,
        config_json: &str,
        dtype: Dtype,
    ) -> Result<Self, PeerError> {
        let mut command = Command::new(python);
        match script {
            Script::Transformers => command.args(["-c", TRANSFORMERS]),
            Script::File(path) => command.arg(path),
        };
        let start = command
            .arg(dtype.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Threads of OpenMP would otherwise spin while it is not their turn.
            .env("OMP_WAIT_POLICY", "passive")
            .env("KMP_BLOCKTIME", "0")
            .env("HF_HUB_OFFLINE", "1")
            .spawn();
        let mut child =
            start.map_err(|source| PeerError::Start { python: python.to_owned(), source })?;
        let broken = || PeerError::Answer { said: "it has no standard streams".to_owned() };
        let mut to = child.stdin.take().ok_or_else(broken)?;
        let from = BufReader::new(child.stdout.take().ok_or_else(broken)?);
        let config: String = config_json.split_whitespace().collect::<Vec<_>>().join(" ");
        // Where it has ended already, what it said on the way is the better message.
        let told = writeln!(to, "{config}").and_then(|()| to.flush());
        let mut peer = Self { child, to, from, name: String::new(), parameters: 0 };
        let hello: Hello = peer.line()?;
        told?;
        (peer.name, peer.parameters) = (hello.peer, hello.parameters);
        Ok(peer)
    }

    /// One turn.
    ///
    /// # Errors
    /// If it ended.
    pub fn turn(&mut self, task: &Task) -> Result<Turn, PeerError> {
        let line = serde_json::to_string(task).map_err(std::io::Error::from)?;
        writeln!(self.to, "{line}").and_then(|()| self.to.flush())?;
        let Answer { encode, prefill, decode } = self.line()?;
        let decode = (task.new_tokens > 0).then_some((decode, task.new_tokens));
        let (encode, prefill) = (Some(encode), Some(prefill));
        Ok(Turn { encode, prefill, decode, ..Turn::default() })
    }

    fn line<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, PeerError> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| {
            let mut said = line;
            if said.is_empty()
                && let Some(mut errors) = self.child.stderr.take()
            {
                // What cannot be read was not said.
                let _ = errors.read_to_string(&mut said);
            }
            let last = said.trim().lines().last().unwrap_or("nothing").to_owned();
            PeerError::Answer { said: last }
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const TASK: Task = Task {
        clock: Clock::Wall,
        tiles: 1,
        batch: 1,
        threads: 1,
        text_tokens: 3,
        visual_tokens: 4,
        new_tokens: 2,
    };

    fn scripted(lines: &str) -> Result<Peer, PeerError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("peer");
        std::fs::write(&path, lines).expect("written");
        Peer::start(&Script::File(path.display().to_string()), "sh", "{}", Dtype::F32)
    }

    #[test]
    fn a_peer_says_hello_and_answers_turn_by_turn() {
        let mut peer = scripted(
            "read config\necho '{\"peer\": \"a script\", \"parameters\": 7}'\n\
             while read task; do echo '{\"encode\": 1.5, \"prefill\": 2.0, \"decode\": 3.0}'; done",
        )
        .expect("started");
        assert_eq!((peer.name.as_str(), peer.parameters), ("a script", 7));
        for _ in 0..2 {
            let turn = peer.turn(&TASK).expect("answered");
            assert_eq!((turn.encode, turn.decode), (Some(1.5), Some((3.0, 2))));
        }
    }

    #[test]
    fn a_peer_that_cannot_start_says_why() {
        let error = scripted("echo 'no torch here' >&2").expect_err("ended").to_string();
        assert!(error.contains("no torch here"), "{error}");
        let error = Peer::start(&Script::Transformers, "no-such-python", "{}", Dtype::F32);
        let error = error.expect_err("none");
        assert!(error.to_string().contains("no-such-python"), "{error}");
    }
}
