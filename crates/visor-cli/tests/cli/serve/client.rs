//! A server that is started and ended, and a client that sends what it is told to.

use crate::common::{command, gradient, png};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::DynamicImage;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Nothing takes this long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// A server on a port of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Server {
    /// The shipped model with these options; ready when this returns.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = command();
        command.args(["serve", "--port", "0"]).args(args);
        Self::of(&mut command)
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            log.lock().unwrap().push_str(&format!("{line}\n"));
            if let Some((_, found)) = line.split_once("listening at http://") {
                address = Some(found.trim().parse().unwrap());
            }
            if line == "ready" {
                break;
            }
        }
        let address = address.unwrap_or_else(|| panic!("{}", log.lock().unwrap()));
        let rest = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                rest.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, address, log }
    }

    /// Everything that it has said.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends bytes as they are and waits; `None` if the connection ends without an answer.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        // A server that has heard enough closes its end.
        let _ = stream.write_all(bytes);
        received(stream)
    }

    /// A request with headers of its own.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let _ = stream.write_all(&request(method, path, headers, body));
        received(stream).expect("an answer")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &["host: localhost"], b"")
    }

    pub(crate) fn post(&self, body: &Value) -> Answer {
        self.chat(&[], body.to_string().as_bytes())
    }

    /// A chat completion with headers beside the usual ones.
    pub(crate) fn chat(&self, headers: &[&str], body: &[u8]) -> Answer {
        let usual = ["host: localhost", "content-type: application/json"];
        self.send("POST", "/v1/chat/completions", &[&usual, headers].concat(), body)
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let limit = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < limit, "the server does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A number of the metrics; 0 where it is not there yet.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").body;
        let found = text.lines().find_map(|one| one.strip_prefix(line));
        found.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Waits for a line of the log with all these words.
    pub(crate) fn says(&self, words: &[&str]) {
        let limit = Instant::now() + LONG;
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        while !self.log().lines().any(has_all) {
            assert!(Instant::now() < limit, "{words:?} are not in one line of\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing is queued or worked on.
    pub(crate) fn idle(&self) {
        let limit = Instant::now() + LONG;
        let engine =
            |what: &str| self.metric(&format!("visor_engine{{model=\"nano\",what=\"{what}\"}}"));
        while engine("queued") + engine("running") > 0.0 {
            assert!(Instant::now() < limit, "the engine is not done");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The answer of a request that was followed.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// The code of an error, which is in the form of OpenAI's.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        let error = &self.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
        assert!(error["request_id"].as_str().is_some_and(|id| id.len() == 32), "{error}");
        error["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The pieces of a stream, the last of which says that it is the last.
    pub(crate) fn pieces(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut data: Vec<&str> = data.collect();
        assert_eq!(data.pop(), Some("[DONE]"), "{}", self.body);
        data.into_iter().map(|piece| serde_json::from_str(piece).unwrap()).collect()
    }
}

/// The bytes of a request after which the connection ends.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// Everything up to the end of a connection.
pub(crate) fn received(mut stream: TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    // A reset after an answer to half a request is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    answer(&bytes)
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let rest = &bytes[end + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { dechunked(rest) } else { rest.to_vec() };
    Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let from = end + 2;
        let to = (from + size).min(bytes.len());
        body.extend_from_slice(&bytes[from..to]);
        if size == 0 || to + 2 > bytes.len() {
            break;
        }
        bytes = &bytes[to + 2..];
    }
    body
}

/// A picture of the size that nano knows.
pub(crate) fn picture(shift: u8) -> Vec<u8> {
    let mut rgb = gradient(48, 48);
    rgb.pixels_mut().for_each(|pixel| pixel.0[0] = pixel.0[0].wrapping_add(shift));
    png(&DynamicImage::ImageRgb8(rgb))
}

pub(crate) fn data_url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

/// A question about pictures.
pub(crate) fn about(question: &str, pictures: &[String]) -> Value {
    let images = pictures.iter().map(|url| json!({"type": "image_url", "image_url": {"url": url}}));
    let text = json!({"type": "text", "text": question});
    let parts: Vec<Value> = images.chain([text]).collect();
    json!({"model": "nano", "messages": [{"role": "user", "content": parts}]})
}

/// The same with more fields.
pub(crate) fn with(mut body: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
