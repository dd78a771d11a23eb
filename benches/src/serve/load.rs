//! Clients that ask, and what they are told.

use super::connection::{Connection, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where completions are.
const PATH: &str = "/v1/chat/completions";

/// A request, and the answer that it must get.
#[derive(Clone, Debug)]
pub struct Item {
    /// The body.
    pub body: Vec<u8>,
    /// The text of the right answer; `None` where any is.
    pub text: Option<String>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Of HTTP; `None` if there was no answer.
    pub status: Option<u16>,
    /// From the request to the whole answer.
    pub time: Duration,
    /// Whether the answer was another than the one that it must be.
    pub wrong: bool,
    /// GFLOPs of the answer, end to end.
    pub gflops: Option<f64>,
}

/// `clients` clients ask one request after another until `time` is over, or `most` have been asked.
pub fn closed(
    address: SocketAddr,
    items: &[Item],
    clients: usize,
    time: Duration,
    most: usize,
) -> Vec<Asked> {
    let (next, end) = (AtomicUsize::new(0), Instant::now() + time);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = Connection::new(address, LIMIT);
                let mut own = Vec::new();
                while Instant::now() < end {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= most {
                        break;
                    }
                    own.push(ask(&mut connection, &items[number % items.len()]));
                }
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Longer than any server lets a request take.
const LIMIT: Duration = Duration::from_secs(180);

/// Requests arrive `rate` times a second for `time`, each on the first of `clients` connections that
/// is free; one that finds none free waits, and its time counts from when it arrived.
pub fn open(
    address: SocketAddr,
    items: &[Item],
    clients: usize,
    rate: f64,
    time: Duration,
) -> Vec<Asked> {
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = Connection::new(address, LIMIT);
                let mut own = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = Duration::from_secs_f64(number as f64 / rate);
                    if due >= time {
                        break;
                    }
                    std::thread::sleep((begun + due).saturating_duration_since(Instant::now()));
                    let asked = ask(&mut connection, &items[number % items.len()]);
                    own.push(Asked { time: (begun + due).elapsed(), ..asked });
                }
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn ask(connection: &mut Connection, item: &Item) -> Asked {
    let begun = Instant::now();
    let response = connection.post(PATH, &item.body);
    let time = begun.elapsed();
    match response {
        Ok(Response { status: 200, body }) => {
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            let text = answer["choices"][0]["message"]["content"].as_str();
            let wrong =
                text.is_none() || item.text.as_deref().is_some_and(|right| text != Some(right));
            let gflops = answer["usage"]["visor"]["gflops"].as_f64();
            Asked { status: Some(200), time, wrong, gflops }
        }
        Ok(Response { status, .. }) => {
            Asked { status: Some(status), time, wrong: false, gflops: None }
        }
        Err(_) => Asked { status: None, time, wrong: false, gflops: None },
    }
}
