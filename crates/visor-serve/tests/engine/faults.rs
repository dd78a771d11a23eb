//! Panics, cancellations, and engines that end.

use crate::faulty::*;
use visor::RunError;
use visor_serve::engine::{Client, EngineError, Update};

const SOUND: &str = "colour at r2 c3 ?";

#[test]
fn a_panic_ends_the_request_that_causes_it_and_no_other() {
    let (runner, open) = faulty();
    let sound = |seed| request(SOUND, Some(1), seed, 12);
    let alone = |seed| {
        let prepared = runner.prepare(sound(seed)).unwrap();
        runner.generate(prepared).finish().unwrap()
    };
    let alone: Vec<_> = (0..4).map(alone).collect();
    for word in [PANICS_IN_PREFILL, PANICS_IN_DECODE] {
        let engine = engine(&runner);
        let submit = |request| engine.submit(Client(0), runner.prepare(request).unwrap()).unwrap();
        // Held back so that all of them go through the same passes.
        let mut held = submit(request(&format!("{WAITS} ?"), None, 1, 1));
        begun(&mut held);
        let good: Vec<_> = (0..4).map(|seed| submit(sound(seed))).collect();
        let bad = submit(request(&format!("the {word} ?"), Some(1), 9, 12));
        open.send(()).unwrap();
        finish(held).unwrap();
        let error = finish(bad).unwrap_err();
        assert!(matches!(error, EngineError::Panicked), "{word}: {error}");
        for (ticket, alone) in good.into_iter().zip(&alone) {
            let (answer, streamed) = finish(ticket).unwrap();
            assert_eq!(answer.token_ids, alone.token_ids);
            assert_eq!(streamed, alone.text, "nothing was sent twice or left out");
        }
        assert!(engine.stats().panics >= 1);
        // The engine goes on.
        finish(submit(sound(0))).unwrap();
        idle(&engine);
    }
}

#[test]
fn a_request_whose_client_leaves_stops_and_the_others_go_on() {
    let (runner, _open) = faulty();
    let prepared = |seed, tokens| runner.prepare(request(SOUND, Some(1), seed, tokens)).unwrap();
    let alone = runner.generate(prepared(2, 60)).finish().unwrap().token_ids;
    runner.model().steps.lock().unwrap().clear();
    let engine = engine(&runner);
    let submit = |seed, tokens| engine.submit(Client(0), prepared(seed, tokens));
    let hold = runner.model().hold.lock().unwrap();
    let mut leaving = submit(1, 90).unwrap();
    let staying = submit(2, 60).unwrap();
    loop {
        if let Update::Event(visor::Event::Token { .. }) = leaving.wait().unwrap().unwrap() {
            break;
        }
    }
    drop(leaving);
    drop(hold);
    assert_eq!(finish(staying).unwrap().0.token_ids, alone);
    idle(&engine);
    let steps: usize = runner.model().steps.lock().unwrap().iter().sum();
    // It was in at most one step more.
    assert!((alone.len() - 1..=alone.len()).contains(&steps), "{steps} steps");
}

#[test]
fn a_request_that_is_called_off_while_it_waits_is_never_begun() {
    let (runner, open) = faulty();
    let engine = engine(&runner);
    let submit = |word: &str| {
        let prepared = runner.prepare(request(&format!("{word} ?"), None, 1, 2)).unwrap();
        engine.submit(Client(0), prepared).unwrap()
    };
    let mut busy = submit(WAITS);
    begun(&mut busy);
    drop(submit(PANICS_IN_PREFILL));
    open.send(()).unwrap();
    finish(busy).unwrap();
    idle(&engine);
    assert_eq!(engine.stats().panics, 0);
}

#[test]
fn calling_off_an_engine_ends_everything_with_an_error() {
    let (runner, open) = faulty();
    let engine = engine(&runner);
    let submit = |word: &str, tokens| {
        let prepared = runner.prepare(request(&format!("{word} ?"), None, 1, tokens)).unwrap();
        engine.submit(Client(0), prepared).unwrap()
    };
    let mut busy = submit(WAITS, 90);
    begun(&mut busy);
    let queued = submit("the", 90);
    engine.close();
    engine.call_off();
    open.send(()).unwrap();
    let error = finish(busy).unwrap_err();
    assert!(matches!(error, EngineError::Run(RunError::Cancelled(_))), "{error}");
    assert!(matches!(finish(queued).unwrap_err(), EngineError::Ended));
    drop(engine);
}

#[test]
fn an_error_of_one_request_is_its_own() {
    let (runner, _open) = faulty();
    let engine = engine(&runner);
    let prepared = |seed| runner.prepare(request(SOUND, Some(1), seed, 4)).unwrap();
    let wrong = prepared(1);
    wrong.cancel().cancel();
    let wrong = engine.submit(Client(0), wrong).unwrap();
    let sound = engine.submit(Client(0), prepared(2)).unwrap();
    finish(sound).unwrap();
    assert!(finish(wrong).is_err());
}
