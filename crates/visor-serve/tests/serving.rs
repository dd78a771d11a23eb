//! A server of a tiny model, where memory is short or another host is slow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use visor::{LoadOptions, Model, ModelRef, fixture};
use visor_serve::engine::EngineOptions;
use visor_serve::http::{self, Limits, ServeOptions, Stop};
use visor_serve::remote::{Addresses, RemoteImages, RemoteLimits, Schemes};

/// Nothing takes this long unless it hangs.
const LONG: Duration = Duration::from_secs(60);
/// Bytes of the one tile that a picture becomes.
const PIXELS: u64 = 32 * 32 * 3 * 4;

struct Server {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(options: ServeOptions) -> Self {
        let thread = std::thread::current().id();
        let folder =
            std::env::temp_dir().join(format!("visor-serving-{}-{thread:?}", std::process::id()));
        fixture::universal(&folder, 1).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ready, stops) = mpsc::channel();
        let load = move || {
            let model = Model::load(&ModelRef::Folder(folder.clone()), &LoadOptions::default());
            std::fs::remove_dir_all(folder).unwrap();
            model.map(|model| vec![("tiny".to_owned(), model)])
        };
        let thread = std::thread::spawn(move || {
            http::serve(listener, options, load, |stop| ready.send(stop).unwrap()).unwrap();
        });
        let stop = stops.recv_timeout(LONG).unwrap();
        Self { address, stop, thread: Some(thread) }
    }

    /// Asks about pictures, for so many tokens; the connection.
    fn send(&self, pictures: &[String], max_tokens: usize) -> TcpStream {
        let picture = |url| json!({"type": "image_url", "image_url": {"url": url}});
        let text = json!({"type": "text", "text": fixture::QUESTION});
        let content: Vec<Value> = pictures.iter().map(picture).chain([text]).collect();
        let messages = json!([{"role": "user", "content": content}]);
        let body = json!({"model": "tiny", "max_tokens": max_tokens, "messages": messages});
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream
    }

    /// The status that comes back, and everything else.
    fn ask(&self, pictures: &[String], max_tokens: usize) -> (u16, String) {
        answer(self.send(pictures, max_tokens))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{text}")), text)
}

/// A picture of 20 x 16 pixels that a client sends along.
fn sent(shade: u8) -> String {
    let info = [40, 20, 16, 1 | 24 << 16, 0, 0, 0, 0, 0, 0_u32];
    let head = [0, 0, 54].into_iter().chain(info);
    let mut bytes = b"BM".to_vec();
    bytes.extend(head.flat_map(u32::to_le_bytes));
    bytes.extend(vec![shade; 20 * 16 * 3]);
    format!("data:image/bmp;base64,{}", STANDARD.encode(bytes))
}

/// A server that fetches pictures from this machine, and an address at which nobody answers.
fn beside_a_silent_host(options: ServeOptions) -> (Server, TcpListener, String) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.bmp", silent.local_addr().unwrap());
    let limits = RemoteLimits { time: LONG, ..RemoteLimits::default() };
    let hosts = vec!["127.0.0.1".parse().unwrap()];
    let remote = Some(RemoteImages::new(hosts, Schemes::HttpToo, Addresses::Any, limits));
    (Server::start(ServeOptions { remote, ..options }), silent, url)
}

#[test]
fn pixels_wait_for_memory_and_more_than_there_is_of_it_are_refused() {
    let limits = Limits { pixels: 2 * PIXELS, decoders: 8, ..Limits::default() };
    let server = Server::start(ServeOptions { limits, ..ServeOptions::default() });
    let (status, said) = server.ask(&[sent(1), sent(2), sent(3)], 1);
    assert!(status == 413 && said.contains("\"too_many_pixels\""), "{said}");
    // Each takes all that there is.
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let (status, said) = server.ask(&[sent(client), sent(client + 1)], 3);
                assert_eq!(status, 200, "{said}");
            });
        }
    });
}

#[test]
fn a_request_that_may_hold_more_keys_than_there_is_room_for_is_refused_at_once() {
    // 7 layers with two KV heads of width 8.
    let token = 7 * 2 * 2 * 8 * 4;
    let engine = EngineOptions { kv_memory: 60 * token, ..EngineOptions::default() };
    let server = Server::start(ServeOptions { engine, ..ServeOptions::default() });
    let (status, said) = server.ask(&[], 90);
    assert!(status == 413 && said.contains("\"too_many_keys\""), "{said}");
    assert_eq!(server.ask(&[], 3).0, 200);
}

#[test]
fn a_host_that_does_not_answer_holds_up_neither_words_nor_pictures_of_others() {
    let limits = Limits { decoders: 1, ..Limits::default() };
    let options = ServeOptions { limits, ..ServeOptions::default() };
    let (server, silent, url) = beside_a_silent_host(options);
    let waiting = [1, 2].map(|_| server.send(std::slice::from_ref(&url), 1));
    let fetched = [1, 2].map(|_| silent.accept().unwrap());
    assert_eq!(server.ask(&[], 1).0, 200);
    assert_eq!(server.ask(&[sent(1)], 1).0, 200);
    drop(fetched);
    for stream in waiting {
        let (status, said) = answer(stream);
        assert!(status == 400 && said.contains("remote_image_unavailable"), "{said}");
    }
}

#[test]
fn those_who_wait_to_be_prepared_are_bounded_and_the_rest_is_told_when_to_come_back() {
    let one = NonZeroUsize::MIN;
    let engine = EngineOptions { queue: one, ..EngineOptions::default() };
    let options = ServeOptions { engine, ..ServeOptions::default() };
    let (server, silent, url) = beside_a_silent_host(options);
    // As many pictures as are fetched at once.
    let first = server.send(&vec![url.clone(); 8], 1);
    let fetched = silent.accept().unwrap();
    let (tell, told) = mpsc::channel();
    for _ in 0..2 {
        let (tell, stream) = (tell.clone(), server.send(std::slice::from_ref(&url), 1));
        std::thread::spawn(move || tell.send(answer(stream)));
    }
    // One of them waits, and the other one is not let in.
    let (status, said) = told.recv_timeout(LONG).unwrap();
    assert!(status == 429 && said.contains("\"overloaded\""), "{said}");
    assert!(said.to_ascii_lowercase().contains("retry-after: "), "{said}");
    assert_eq!(server.ask(&[], 1).0, 200, "words wait for nobody");
    // The one who waits is served when the first one leaves and his fetching has ended.
    drop((first, fetched));
    drop(silent);
    let (status, said) = told.recv_timeout(LONG).unwrap();
    assert!(status == 400 && said.contains("remote_image_unavailable"), "{said}");
}
