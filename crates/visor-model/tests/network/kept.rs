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
    let ladder = ladder();
    for level in ladder.rungs().iter().map(|rung| rung.name()).chain(["auto", "dense"]) {
        let runner = self::runner(SCRATCH).with_picture_cache(1 << 24);
        ask(&runner, request("what colour ?", &[1], "sa0", 2));
        let prepared = runner.prepare(request("where is the circle ?", &[1], level, 4)).unwrap();
        let (answer, executed) = count(|| runner.generate(prepared).finish().unwrap());
        let encoder = runner.card().shape.vision(1);
        let keys = keys(&runner, &answer);
        assert_eq!(answer.cost.spent + encoder + keys, answer.cost.cold.end_to_end, "{level}");
        let by_policy = answer.requested == Some(BudgetRequest::Auto);
        let head = if by_policy { SHAPE.decision() } else { Flops(0) };
        assert_flops(executed, answer.cost.spent + answer.cost.decode - head, level);
    }
}

/// FLOPs of the keys and values of the layers that read the picture before anything refines it.
fn keys(runner: &Runner<VisorModel>, answer: &Outcome) -> Flops {
    let shape = runner.card().shape.decoder;
    let refined = answer.decided.self_attention_layers.first().copied().unwrap_or(usize::MAX);
    let ladder = ladder();
    let cross = ladder.layout().cross().iter().filter(|layer| layer.0 < refined).count();
    let cross = if answer.decided.name == "dense" { 0 } else { cross };
    let width = shape.cross.map_or(0, |cross| cross.n_kv_heads * shape.head_dim);
    visor_core::cost::matmul(answer.visual_tokens, shape.d_model, width) * (2 * cross)
}

#[test]
fn keys_and_values_of_a_picture_are_made_by_the_first_question_at_any_rung_and_for_all_others() {
    let cold = runner(SCRATCH);
    let ladder = ladder();
    let rungs: Vec<&str> = ladder.rungs().iter().map(|rung| rung.name()).collect();
    for first in &rungs {
        let warm = runner(SCRATCH).with_picture_cache(1 << 24);
        ask(&warm, request("what colour ?", &[1], first, 2));
        for second in &rungs {
            let same = request("where is the circle ?", &[1], second, 4);
            let (kept, fresh) = (ask(&warm, same.clone()), ask(&cold, same));
            assert_eq!(told(&kept), told(&fresh), "{first}, then {second}");
            assert!(kept.cost.spent < kept.cost.cold.end_to_end);
        }
        let stats = warm.picture_cache().unwrap();
        assert!(stats.entries == 1 && stats.bytes <= stats.capacity, "{stats:?}");
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
