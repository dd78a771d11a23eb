//! What the requests of an engine hold.

use crate::faulty::*;
use std::sync::Arc;
use visor_runtime::{Prepared, Runner};
use visor_serve::engine::{Client, Engine, EngineOptions, Gate, Refused, Share};

const QUESTION: &str = "colour at r2 c3 ?";

/// An engine with room for so many bytes of keys and values.
fn with_room(runner: &Arc<Runner<Faulty>>, kv_memory: u64) -> Engine {
    let options = EngineOptions { kv_memory, ..EngineOptions::default() };
    Engine::start(runner.clone(), options).unwrap()
}

/// Memory that one request takes all of.
struct Pixels {
    gate: Gate,
    waits: tokio::runtime::Runtime,
}

impl Pixels {
    fn new() -> Self {
        let waits = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self { gate: Gate::new(1, 1), waits: waits.unwrap() }
    }

    /// Once nobody has it.
    fn all(&self) -> Share {
        let pass = async { tokio::time::timeout(LONG, self.gate.pass(Client(0), 1)).await };
        self.waits.block_on(pass).unwrap().unwrap()
    }
}

#[test]
fn no_more_run_at_once_than_there_is_room_for_their_keys_and_values() {
    let (runner, _open) = faulty();
    let prepared = |seed| runner.prepare(request(QUESTION, Some(1), seed, 12)).unwrap();
    let one = prepared(0).kv_bytes();
    let room = 2 * one + one / 2;
    let engine = with_room(&runner, room);
    // Nobody ends while this is held.
    let hold = runner.model().hold.lock().unwrap();
    let tickets = (0..6).map(|seed| engine.submit(Client(seed), prepared(seed)).unwrap());
    let mut tickets: Vec<_> = tickets.collect();
    tickets.iter_mut().take(2).for_each(begun);
    assert!(engine.stats().kv_bytes <= room);
    drop(hold);
    for ticket in tickets {
        finish(ticket).unwrap();
    }
    let steps = runner.model().steps.lock().unwrap().clone();
    assert!(steps.iter().all(|together| *together <= 2), "{steps:?}");
    idle(&engine);
    assert_eq!(engine.stats().kv_bytes, 0);
}

#[test]
fn a_request_that_could_never_be_begun_is_refused_with_what_there_is_room_for() {
    let (runner, _open) = faulty();
    let prepared = |tokens| runner.prepare(request(QUESTION, Some(1), 1, tokens)).unwrap();
    let room = prepared(9).kv_bytes();
    let engine = with_room(&runner, room);
    finish(engine.submit(Client(0), prepared(9)).unwrap()).unwrap();
    let refused = engine.submit(Client(0), prepared(10)).unwrap_err();
    assert_eq!(refused, Refused::TooLarge { kv_bytes: prepared(10).kv_bytes(), room });
    assert!(refused.to_string().contains("ask for fewer tokens"), "{refused}");
}

#[test]
fn a_request_that_waits_for_room_is_not_overtaken_by_smaller_ones() {
    let (runner, open) = faulty();
    let prepared = |word: &str, tokens| {
        runner.prepare(request(&format!("{word} the red ?"), Some(1), 1, tokens)).unwrap()
    };
    let (large, small): (Prepared, Prepared) = (prepared(WAITS, 60), prepared("shape", 2));
    let engine = with_room(&runner, large.kv_bytes());
    let mut first = engine.submit(Client(0), prepared(WAITS, 2)).unwrap();
    begun(&mut first);
    let mut large = engine.submit(Client(1), large).unwrap();
    let small = engine.submit(Client(2), small).unwrap();
    open.send(()).unwrap();
    begun(&mut large);
    let stats = engine.stats();
    assert_eq!((stats.running, stats.queued), (1, 1), "the small one was begun before");
    finish(first).unwrap();
    open.send(()).unwrap();
    finish(large).unwrap();
    finish(small).unwrap();
}

#[test]
fn memory_of_pixels_is_given_back_when_they_are_encoded_and_not_when_the_answer_ends() {
    let (runner, _open) = faulty();
    let engine = engine(&runner);
    let pixels = Pixels::new();
    let prepared = runner.prepare(request(QUESTION, Some(1), 1, 60)).unwrap();
    let hold = runner.model().hold.lock().unwrap();
    let ticket = engine.submit_with(Client(0), prepared, Some(pixels.all())).unwrap();
    // Its answer goes on when `hold` is dropped.
    drop(pixels.all());
    drop(hold);
    finish(ticket).unwrap();
}

#[test]
fn memory_of_pixels_is_given_back_by_whoever_leaves_the_queue() {
    let (runner, open) = faulty();
    let engine = engine(&runner);
    let pixels = Pixels::new();
    let prepared = |word: &str| runner.prepare(request(word, Some(1), 1, 2)).unwrap();
    let mut busy = engine.submit(Client(0), prepared(WAITS)).unwrap();
    begun(&mut busy);
    drop(engine.submit_with(Client(0), prepared(QUESTION), Some(pixels.all())).unwrap());
    open.send(()).unwrap();
    drop(pixels.all());
    finish(busy).unwrap();
}
