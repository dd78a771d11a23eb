//! A connection that is kept open: as little HTTP as a client needs, so that the load of the client
//! takes little of the machine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    limit: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Of HTTP.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Connection {
    /// A connection that is opened when it is needed; nothing is waited for longer than `limit`.
    pub fn new(address: SocketAddr, limit: Duration) -> Self {
        Self { address, stream: None, limit }
    }

    /// Sends the JSON body of a request.
    ///
    /// # Errors
    /// If the server cannot be reached, ends the connection, or breaks the rules of HTTP.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Response> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<Response> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, self.limit)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(self.limit))?;
                stream.set_write_timeout(Some(self.limit))?;
                BufReader::new(stream)
            }
        };
        stream.get_mut().write_all(bytes)?;
        let (response, stays) = received(&mut stream)?;
        self.stream = stays.then_some(stream);
        Ok(response)
    }
}

/// An answer with a length, and whether the connection stays open.
fn received(stream: &mut impl BufRead) -> io::Result<(Response, bool)> {
    let line = line(stream)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| broken("an answer without a status"))?;
    let (mut length, mut stays) = (None, true);
    loop {
        let line = self::line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("a broken header"))?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<usize>().ok(),
            "connection" => stays = !value.trim().eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let length = length.ok_or_else(|| broken("an answer without a length"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((Response { status, body }, stays))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(1 << 16).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(broken("the connection ended within an answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_to_their_length_and_no_further() {
        let two = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 429 No\r\n\
                    connection: close\r\ncontent-length: 0\r\n\r\n";
        let mut stream = &two[..];
        let (first, stays) = received(&mut stream).expect("an answer");
        assert_eq!((first.status, first.body.as_slice(), stays), (200, &b"abc"[..], true));
        let (second, stays) = received(&mut stream).expect("an answer");
        assert_eq!((second.status, second.body.len(), stays), (429, 0, false));
        assert!(received(&mut stream).is_err());
        assert!(received(&mut &b"HTTP/1.1 200 OK\r\n\r\n"[..]).is_err());
    }
}
