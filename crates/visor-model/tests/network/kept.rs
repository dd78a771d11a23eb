//! Pictures that are kept: what is reused equals what would be computed, and is not computed.

use crate::answers::{SHAPE, request, requests, runner};
use crate::support::*;
use visor_core::BudgetRequest;
use visor_core::cost::Flops;
use visor_model::VisorModel;
use visor_model::counter::count;
use visor_runtime::{Outcome, Request, Runner};

fn ask(runner: &Runner<VisorModel>, request: Request) -> Outcome {
    runner.generate(runner.prepare(request).unwrap()).finish().unwrap()
}

/// All that is known of an answer but what it took. Probabilities are those numbers of the network
/// that the policy has seen.
fn told(outcome: &Outcome) -> impl PartialEq + std::fmt::Debug + use<> {
    let bits = outcome.decided.probabilities.iter().map(|(_, p)| p.to_bits());
    let scores = outcome.selection.iter().flat_map(|chosen| &chosen.scores).map(|s| s.to_bits());
    let bits: Vec<u32> = bits.chain(scores).collect();
    (outcome.token_ids.clone(), outcome.decided.level, bits, outcome.cost.cold)
}

#[test]
fn answers_about_kept_pictures_are_to_the_bit_those_without_a_cache() {
    let cold = runner(SCRATCH);
    let warm = runner(SCRATCH).with_picture_cache(1 << 24);
    for round in 0..2 {
        for request in requests() {
            let kept = ask(&warm, request.clone());
            assert_eq!(told(&kept), told(&ask(&cold, request)), "round {round}");
            assert!(round == 0 || kept.pictures.cached == kept.pictures.shown);
        }
    }
    assert!(warm.picture_cache().unwrap().hits > 0);
}

#[test]
fn a_second_question_executes_exactly_what_it_says_it_spent_and_no_encoder() {
    let runner = runner(SCRATCH).with_picture_cache(1 << 24);
    let ladder = ladder();
    ask(&runner, request("what colour ?", &[1], "sa0", 2));
    for level in ladder.rungs().iter().map(|rung| rung.name()).chain(["auto", "dense"]) {
        let prepared = runner.prepare(request("where is the circle ?", &[1], level, 4)).unwrap();
        let (answer, executed) = count(|| runner.generate(prepared).finish().unwrap());
        let encoder = runner.card().shape.vision(1);
        assert_eq!(answer.cost.spent + encoder, answer.cost.cold.end_to_end);
        let by_policy = answer.requested == Some(BudgetRequest::Auto);
        let head = if by_policy { SHAPE.decision() } else { Flops(0) };
        assert_flops(executed, answer.cost.spent + answer.cost.decode - head, level);
    }
}

#[test]
fn threads_that_share_a_cache_answer_as_they_would_alone() {
    let cold = runner(SCRATCH);
    // Room for two of the pictures: they push each other out all the time.
    let one = runner(SCRATCH).with_picture_cache(1 << 24);
    ask(&one, request("what colour ?", &[1], "sa0", 1));
    let warm = runner(SCRATCH).with_picture_cache(one.picture_cache().unwrap().bytes * 5 / 2);
    let expected: Vec<_> = requests().into_iter().map(|one| told(&ask(&cold, one))).collect();
    std::thread::scope(|scope| {
        for shift in 0..4 {
            let (warm, expected) = (&warm, &expected);
            scope.spawn(move || {
                let requests = requests();
                for index in 0..2 * requests.len() {
                    let index = (index + shift) % requests.len();
                    assert_eq!(told(&ask(warm, requests[index].clone())), expected[index]);
                }
            });
        }
    });
    let stats = warm.picture_cache().unwrap();
    assert!(stats.bytes <= stats.capacity && stats.evictions > 0, "{stats:?}");
}
