//! Requests that are sound.

use crate::faulty::*;
use std::num::NonZeroUsize;
use visor::{Basis, fixture};
use visor_runtime::Request;
use visor_serve::engine::{Client, Engine, EngineOptions, Pressure, Refused, Update};

const QUESTIONS: [&str; 4] =
    ["colour at r2 c3 ?", "shape at r0 c0 ?", "colour of the blue ?", "the red at r1 ?"];

/// Requests that differ in everything, and repeat pictures.
fn requests() -> Vec<Request> {
    (0..48_u8)
        .map(|i| {
            let shade = (i % 4 != 3).then_some(1 + i % 5);
            let question = QUESTIONS[usize::from(i) % QUESTIONS.len()];
            let mut request = request(question, shade, u64::from(i), 1 + usize::from(i) % 9);
            if i % 6 != 5 {
                request.budget = Some(fixture::RUNGS[usize::from(i) % 4].parse().unwrap());
            }
            request
        })
        .collect()
}

#[test]
fn answers_of_concurrent_requests_are_those_of_the_requests_alone() {
    let model = model();
    let alone: Vec<_> = requests()
        .into_iter()
        .map(|one| {
            let prepared = model.runner().prepare(one).unwrap();
            model.runner().generate(prepared).finish().unwrap()
        })
        .collect();
    for (batch, prefill_tokens) in [(32, 2048), (5, 1), (1, 64)] {
        let number = |n| NonZeroUsize::new(n).unwrap();
        let options = EngineOptions {
            batch: number(batch),
            prefill_tokens: number(prefill_tokens),
            ..EngineOptions::default()
        };
        let engine = Engine::start(model.clone(), options).unwrap();
        std::thread::scope(|scope| {
            for client in 0..6 {
                let (engine, model, alone) = (&engine, &model, &alone);
                scope.spawn(move || {
                    let mine = || requests().into_iter().enumerate().skip(client).step_by(6);
                    let tickets = mine().map(|(_, request)| {
                        let prepared = model.runner().prepare(request).unwrap();
                        engine.submit(Client(client as u64), prepared).unwrap()
                    });
                    let tickets: Vec<_> = tickets.collect();
                    for ((index, _), ticket) in mine().zip(tickets) {
                        let (answer, streamed) = finish(ticket).unwrap();
                        let alone = &alone[index];
                        assert_eq!(answer.token_ids, alone.token_ids, "request {index}");
                        assert_eq!((&answer.text, &streamed), (&alone.text, &alone.text));
                        assert_eq!(answer.decided, alone.decided);
                        assert_eq!(answer.cost.cold, alone.cost.cold);
                    }
                });
            }
        });
        idle(&engine);
        let stats = engine.stats();
        assert_eq!((stats.panics, stats.refused), (0, 0));
        let all: usize = alone.iter().map(|answer| answer.token_ids.len()).sum();
        assert_eq!(stats.step_tokens as usize, all - alone.len(), "first tokens are prefill's");
    }
}

#[test]
fn a_long_prefill_does_not_stall_those_who_decode() {
    let (runner, open) = faulty();
    let engine = engine(&runner);
    let submit =
        |client, request| engine.submit(Client(client), runner.prepare(request).unwrap()).unwrap();
    let mut decoding = submit(1, request(QUESTIONS[0], Some(1), 1, 40));
    // Until its first token is there, the other one might be taken along.
    loop {
        if let Update::Event(visor::Event::Token { .. }) = decoding.wait().unwrap().unwrap() {
            break;
        }
    }
    let waiting = submit(2, request(&format!("{WAITS} the red ?"), Some(1), 2, 3));
    // The other's prefill lasts until the gate is opened, and this one ends before.
    finish(decoding).unwrap();
    open.send(()).unwrap();
    finish(waiting).unwrap();
}

#[test]
fn requests_join_and_leave_between_decode_steps() {
    let (runner, open) = faulty();
    let engine = engine(&runner);
    let submit = |request| engine.submit(Client(0), runner.prepare(request).unwrap()).unwrap();
    // A gate holds the first back until all are queued: they then decode together.
    let mut first = submit(request(&format!("{WAITS} the red ?"), Some(1), 1, 2));
    begun(&mut first);
    let rest: Vec<_> =
        (0..6).map(|i| submit(request(QUESTIONS[0], Some(1), i, 4 + i as usize))).collect();
    open.send(()).unwrap();
    finish(first).unwrap();
    rest.into_iter().for_each(|ticket| drop(finish(ticket).unwrap()));
    let steps = runner.model().steps.lock().unwrap().clone();
    assert!(steps.iter().any(|n| *n >= 4), "they shared no step: {steps:?}");
    assert!(steps.contains(&1), "nobody left early: {steps:?}");
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let (runner, open) = faulty();
    let one = NonZeroUsize::MIN;
    let two = NonZeroUsize::new(2).unwrap();
    let options = EngineOptions { queue: two, batch: one, ..EngineOptions::default() };
    let engine = Engine::start(runner.clone(), options).unwrap();
    let prepared =
        |word: &str| runner.prepare(request(&format!("{word} the red ?"), None, 1, 2)).unwrap();
    let mut busy = engine.submit(Client(0), prepared(WAITS)).unwrap();
    begun(&mut busy);
    let first = engine.submit(Client(1), prepared("shape")).unwrap();
    let second = engine.submit(Client(2), prepared("shape")).unwrap();
    let refused = engine.submit(Client(3), prepared("shape")).unwrap_err();
    let Refused::Full { waiting: 2, retry_after } = refused else { panic!("{refused}") };
    assert!((1..=60).contains(&retry_after.as_secs()));
    // Whoever leaves makes room.
    drop(first);
    let third = engine.submit(Client(3), prepared("shape")).unwrap();
    open.send(()).unwrap();
    for ticket in [busy, second, third] {
        finish(ticket).unwrap();
    }
    assert_eq!(engine.stats().refused, 1);
    engine.close();
    assert_eq!(engine.submit(Client(1), prepared("shape")).unwrap_err(), Refused::Closing);
}

#[test]
fn under_pressure_the_highest_rung_falls_and_recovers_by_itself() {
    let (runner, open) = faulty();
    let options = EngineOptions {
        queue: NonZeroUsize::new(8).unwrap(),
        batch: NonZeroUsize::MIN,
        pressure: Pressure::Degrade,
        ..EngineOptions::default()
    };
    let engine = Engine::start(runner.clone(), options).unwrap();
    let submit = |word: &str, budget: Option<&str>| {
        let budget = budget.map(|budget| budget.parse().unwrap());
        let request = Request { budget, ..request(&format!("{word} the red ?"), Some(1), 1, 2) };
        engine.submit(Client(0), runner.prepare(request).unwrap()).unwrap()
    };
    let mut busy = submit(WAITS, None);
    begun(&mut busy);
    // The last of them finds nobody behind it.
    let named = |i| (i == 1).then_some("sa3");
    let waiting: Vec<_> = (0..8).map(|i| submit("shape", named(i))).collect();
    open.send(()).unwrap();
    let answers = std::iter::once(busy).chain(waiting).map(|ticket| finish(ticket).unwrap().0);
    let chosen: Vec<(String, &str)> =
        answers.map(|a| (a.decided.name, a.decided.basis.word())).collect();
    let rungs: Vec<&str> = chosen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(rungs, ["sa3", "sa0", "sa3", "sa0", "sa1", "sa1", "sa2", "sa2", "sa3"]);
    assert_eq!(chosen[1].1, "lowered");
    assert_eq!(chosen[2].1, Basis::Requested.word(), "what was named is never lowered");
    assert_eq!((chosen[0].1, chosen[8].1), ("default", "default"));
    assert_eq!(engine.stats().lowered_by, 0);
}

#[test]
fn an_engine_that_is_closed_still_answers_what_is_queued() {
    let (runner, open) = faulty();
    let engine = engine(&runner);
    let submit = |word: &str| {
        let request = request(&format!("{word} the red ?"), Some(1), 1, 3);
        engine.submit(Client(0), runner.prepare(request).unwrap()).unwrap()
    };
    let mut busy = submit(WAITS);
    begun(&mut busy);
    let tickets = [busy, submit("shape"), submit("colour")];
    engine.close();
    open.send(()).unwrap();
    for ticket in tickets {
        finish(ticket).unwrap();
    }
    idle(&engine);
}
