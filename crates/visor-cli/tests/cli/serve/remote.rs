//! Pictures from elsewhere, and where they are not fetched from.

use super::client::*;
use crate::common::QUESTION;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// A server of pictures; notes what it is asked.
struct Pictures {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Pictures {
    /// `answer` is given a path and gives back everything that is sent.
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = [0; 4096];
                let n = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = stream.write_all(&answer(&path));
                noted.lock().unwrap().push(path);
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.address.port())
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn pictures() -> Pictures {
    Pictures::start(|path| match path {
        "/a.png" => answer("200 OK", "content-type: image/png\r\n", &picture(1)),
        "/missing.png" => answer("404 Not Found", "", b"secret of the inner network"),
        "/large.png" => answer("200 OK", "", &vec![b'x'; 11 << 20]),
        "/endless.png" => answer("200 OK", "transfer-encoding: chunked\r\n", &[]),
        "/text" => answer("200 OK", "content-type: image/png\r\n", b"secret of the inner network"),
        "/to" => answer("302 Found", "location: /a.png\r\n", b""),
        "/round" => answer("302 Found", "location: /round\r\n", b""),
        "/away" => answer("302 Found", "location: http://evil.example.org/a.png\r\n", b""),
        "/file" => answer("302 Found", "location: file:///etc/passwd\r\n", b""),
        "/metadata" => answer("302 Found", "location: http://169.254.169.254/latest\r\n", b""),
        _ => answer("500 Oh", "", b""),
    })
}

#[test]
fn pictures_are_fetched_from_allowed_hosts_and_nothing_is_told_of_what_lies_there() {
    let pictures = pictures();
    let server = Server::start(&[
        "--allow-remote-images",
        "--allowed-image-host",
        "127.0.0.1",
        "--allow-http-images",
        "--allow-private-image-addresses",
    ]);
    assert!(server.log().contains("private addresses"), "{}", server.log());
    let ask = |path: &str| server.post(&about(QUESTION, &[pictures.url(path)]));
    let fetched = ask("/a.png").ok();
    let sent = server.post(&about(QUESTION, &[data_url(&picture(1))])).ok();
    assert_eq!(fetched["choices"], sent["choices"]);
    assert_eq!(ask("/to").ok()["choices"], sent["choices"]);
    for (path, code) in [
        ("/missing.png", "remote_image_unavailable"),
        ("/large.png", "picture_too_large"),
        ("/text", "picture_unreadable"),
        ("/round", "remote_image_unavailable"),
        ("/away", "remote_image_not_allowed"),
        ("/file", "remote_image_unavailable"),
        ("/metadata", "remote_image_not_allowed"),
    ] {
        let answer = ask(path);
        assert_eq!(answer.error(400), code, "{path}");
        assert!(!answer.body.contains("secret"), "{path}: {}", answer.body);
    }
    let asked = pictures.asked.lock().unwrap().clone();
    let rounds = asked.iter().filter(|path| *path == "/round").count();
    assert!(rounds <= 4, "{rounds} redirects");
}

#[test]
fn no_address_that_is_not_public_is_fetched_from_under_any_name() {
    let pictures = pictures();
    let port = pictures.address.port();
    // All of these are on the list, and still none is connected to.
    let hosts = [
        "localhost",
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
    ];
    let mut args = vec!["--allow-remote-images", "--allow-http-images"];
    for host in &hosts {
        args.extend(["--allowed-image-host", host]);
    }
    let server = Server::start(&args);
    let refused = |url: String| {
        let answer = server.post(&about(QUESTION, std::slice::from_ref(&url)));
        assert_eq!(answer.status, 400, "{url}: {}", answer.body);
        let code = answer.error(400);
        let codes = ["remote_image_not_allowed", "remote_image_unavailable"];
        assert!(codes.contains(&code.as_str()), "{url}: {code}");
    };
    for host in hosts {
        refused(format!("http://{host}:{port}/a.png"));
    }
    for host in ["[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]"] {
        refused(format!("http://{host}:{port}/a.png"));
    }
    for url in [
        "http://localhost@127.0.0.1/",
        "http://127.0.0.1\\@localhost/",
        "http:///a.png",
        "http://",
        "http://user:word@localhost/",
        "http://not.on.the.list.example.org/",
        "http://localhost.:1/",
        "https://localhost/",
        "http:localhost",
        "http://local\nhost/",
    ] {
        refused(url.to_owned());
    }
    assert_eq!(pictures.asked.lock().unwrap().len(), 0, "somebody was connected to");
}

#[test]
fn without_http_only_https_is_spoken() {
    let pictures = pictures();
    let server = Server::start(&[
        "--allow-remote-images",
        "--allowed-image-host",
        "127.0.0.1",
        "--allow-private-image-addresses",
    ]);
    let answer = server.post(&about(QUESTION, &[pictures.url("/a.png")]));
    assert_eq!(answer.error(400), "remote_image_not_allowed");
    assert_eq!(pictures.asked.lock().unwrap().len(), 0);
}
