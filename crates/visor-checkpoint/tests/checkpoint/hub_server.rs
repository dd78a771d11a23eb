//! A hub on this machine: its protocol, and what can go wrong with it. Tests of the binary use it
//! as well.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use visor_checkpoint::Sha256Sum;

/// The model that every server has.
pub(crate) const ID: &str = "owner/model";

/// What is done with one request instead of answering it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// This status, without a body.
    Status(u16),
    /// The whole file, whatever part was asked for.
    Whole,
    /// Other bytes of the same number.
    Damaged,
    /// One byte more than there should be.
    Longer,
    /// To another host, where the file is.
    Elsewhere,
    /// Something, after a while.
    Slow,
    /// Nothing, and the connection stays.
    Silence,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

#[derive(Debug)]
struct State {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Next ones first, by the end of the path.
    faults: Vec<(String, Fault)>,
    requests: Vec<Request>,
    /// Connections that stay.
    open: Vec<TcpStream>,
}

/// A running server. It ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn new<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
        let state = State {
            commit: "a".repeat(40),
            files: files.collect(),
            faults: Vec::new(),
            requests: Vec::new(),
            open: Vec::new(),
        };
        let server = Self { port, state: Arc::new(Mutex::new(state)) };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // A client that went away is a part of what is tested.
                thread::spawn(move || serving.serve(stream).ok());
            }
        });
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next request for what ends so goes wrong, and the next one after that, in this order.
    pub(crate) fn fails(&self, path: &str, faults: &[Fault]) {
        self.state().faults.extend(faults.iter().map(|fault| (path.to_owned(), *fault)));
    }

    /// From now on the branch is another commit, in which these files differ.
    pub(crate) fn commits<'f>(
        &self,
        digit: &str,
        files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) {
        let mut state = self.state();
        state.commit = digit.repeat(40);
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
        state.files.extend(files);
    }

    /// What was asked for since this was asked last.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let request = read(&stream)?;
        let (fault, commit) = {
            let mut state = self.state();
            state.requests.push(request.clone());
            let path = request.path.split('?').next().unwrap_or_default();
            let at = state.faults.iter().position(|(end, _)| path.ends_with(end.as_str()));
            (at.map(|at| state.faults.remove(at).1), state.commit.clone())
        };
        if let Some(Fault::Silence) = fault {
            self.state().open.push(stream);
            return Ok(());
        }
        if let Some(Fault::Slow) = fault {
            thread::sleep(Duration::from_millis(50));
        }
        if let Some(Fault::Status(status)) = fault {
            return head(&mut stream, status, &[("Content-Length", "0")]);
        }
        let api = format!("/api/models/{ID}/revision/");
        if request.path.starts_with(&api) {
            let body = self.listing().to_string();
            head(&mut stream, 200, &[("Content-Length", &body.len().to_string())])?;
            return stream.write_all(body.as_bytes());
        }
        let name = ["", "/elsewhere"].iter().find_map(|place| {
            request.path.strip_prefix(&format!("{place}/{ID}/resolve/{commit}/"))
        });
        let found = name.and_then(|name| self.state().files.get(name).cloned());
        match found {
            None => head(&mut stream, 404, &[("Content-Length", "0")]),
            Some(bytes) => self.send(&mut stream, &request, bytes, fault),
        }
    }

    fn send(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        mut bytes: Vec<u8>,
        fault: Option<Fault>,
    ) -> std::io::Result<()> {
        let all = bytes.len();
        let start = request.range.as_deref().and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        match fault {
            Some(Fault::Elsewhere) => {
                let place = format!("http://localhost:{}/elsewhere{}", self.port, request.path);
                return head(stream, 302, &[("Location", &place), ("Content-Length", "0")]);
            }
            Some(Fault::Damaged) => bytes.iter_mut().for_each(|byte| *byte ^= 1),
            Some(Fault::Longer) => bytes.push(0),
            _ => (),
        }
        let start = start.filter(|_| !matches!(fault, Some(Fault::Whole)));
        if start.is_some_and(|start| start >= all) {
            return head(stream, 416, &[("Content-Length", "0")]);
        }
        let rest = &bytes[start.unwrap_or(0)..];
        let length = rest.len().to_string();
        match start {
            None => head(stream, 200, &[("Content-Length", &length)])?,
            Some(start) => {
                let range = format!("bytes {start}-{}/{all}", all - 1);
                head(stream, 206, &[("Content-Length", &length), ("Content-Range", &range)])?;
            }
        }
        match fault {
            Some(Fault::Cut(n)) => stream.write_all(&rest[..n.min(rest.len())]),
            _ => stream.write_all(rest),
        }
    }

    /// Large files as such: by their hash. Of others the hub says what git calls them.
    fn listing(&self) -> Value {
        let state = self.state();
        let file = |(name, bytes): (&String, &Vec<u8>)| {
            let sum = Sha256Sum::of(bytes).to_string();
            let lfs = json!({ "sha256": sum, "size": bytes.len(), "pointerSize": 134 });
            let lfs = if name.ends_with(".safetensors") { lfs } else { Value::Null };
            json!({ "rfilename": name, "size": bytes.len(), "blobId": &sum[..40], "lfs": lfs })
        };
        let siblings: Vec<Value> = state.files.iter().map(file).collect();
        json!({ "id": ID, "sha": state.commit, "private": false, "siblings": siblings })
    }
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = Request { path, range: None, authorization: None };
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            None => break,
            Some((name, value)) => match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value.to_owned()),
                "authorization" => request.authorization = Some(value.to_owned()),
                _ => (),
            },
        }
    }
    Ok(request)
}

fn head(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)]) -> std::io::Result<()> {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}\r\n")
}
