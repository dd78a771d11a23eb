//! A batch of requests equals its requests alone: whole answers of a runner.

use crate::support::*;
use std::num::NonZeroUsize;
use visor_core::cost::{Flops, PolicyShape};
use visor_core::{BudgetError, BudgetRequest, Ladder, PositionScheme, Thrift};
use visor_model::counter::count;
use visor_model::init::Noise;
use visor_model::{Head, Network, VisorModel, weights};
use visor_processor::{
    Filter, ImageProcessor, Normalization, Picture, PromptTemplate, Tokenizer, word_level,
};
use visor_runtime::{
    Backbone, BudgetPolicy, Cancel, FinishReason, GenerationSettings, Outcome, PictureInput,
    PolicyChoice, PolicyError, Prepared, Request, RoutingState, RoutingToken, RunError, Runner,
    Sampling, StopString, Temperature, Wording,
};

const SPECIAL: [&str; 5] = ["<unk>", "<pad>", "<image>", "<a>", "<eos>"];
const WORDS: [&str; 18] = [
    "red", "green", "blue", "what", "colour", "is", "the", "left", "right", "of", "circle",
    "square", "one", "two", "three", "where", "?", "in",
];
pub(crate) const SHAPE: PolicyShape = PolicyShape { d_input: 64, d_hidden: 8, n_rungs: 4 };

/// Chooses by what the routing token has seen, and may call something off when it is asked.
struct ByState {
    token: RoutingToken,
    calls_off: Option<Cancel>,
}

impl BudgetPolicy for ByState {
    fn routing_token(&self) -> Option<&RoutingToken> {
        Some(&self.token)
    }

    fn shape(&self) -> Option<PolicyShape> {
        Some(SHAPE)
    }

    fn choose(
        &self,
        state: &RoutingState,
        ladder: &Ladder,
        _costs: &[Flops],
        _thrift: Option<Thrift>,
    ) -> Result<PolicyChoice, PolicyError> {
        if let Some(cancel) = &self.calls_off {
            cancel.cancel();
        }
        let token = state.token.as_ref().unwrap();
        let picture = state.visual_mean.as_deref().unwrap_or(&[]);
        let positive = token.iter().chain(picture).filter(|value| **value > 0.0).count();
        let rung = ladder.ids().nth(positive % ladder.rungs().len()).unwrap();
        let probabilities = token[..ladder.rungs().len()].to_vec();
        Ok(PolicyChoice { rung, probabilities })
    }
}

fn policy(calls_off: Option<Cancel>) -> Box<ByState> {
    Box::new(ByState { token: RoutingToken(value(3, "routing", &[32])), calls_off })
}

fn with_model(model: VisorModel) -> Runner<VisorModel> {
    let tokenizer = Tokenizer::from_bytes(&word_level(&WORDS, &SPECIAL).unwrap()).unwrap();
    let normalization = Normalization::default();
    let processor = ImageProcessor::Whole { size: SIDE, filter: Filter::Bicubic, normalization };
    let template = PromptTemplate::parse("{image}{question}<a>").unwrap();
    Runner::new(model, tokenizer, processor, template)
}

pub(crate) fn runner(positions: PositionScheme) -> Runner<VisorModel> {
    runner_of(model(positions, 7))
}

/// A model with a policy.
pub(crate) fn runner_of(model: VisorModel) -> Runner<VisorModel> {
    with_model(model).with_policy(policy(None))
}

fn shown(seed: u64) -> PictureInput {
    let mut noise = Noise::new(seed, "picture");
    let rgb = (0..SIDE * SIDE * 3).map(|_| noise.below(256) as u8).collect();
    PictureInput::Decoded(Picture::from_rgb(SIDE, SIDE, rgb).unwrap())
}

pub(crate) fn request(question: &str, pictures: &[u64], budget: &str, tokens: usize) -> Request {
    let settings =
        GenerationSettings { max_new_tokens: NonZeroUsize::new(tokens), ..Default::default() };
    Request {
        pictures: pictures.iter().map(|&seed| shown(seed)).collect(),
        budget: Some(budget.parse().unwrap()),
        settings,
        ..Request::new(question)
    }
}

/// Requests that differ in everything.
pub(crate) fn requests() -> Vec<Request> {
    let drawn = |seed| Sampling::Random {
        temperature: Temperature::new(1.5).unwrap(),
        top_p: None,
        top_k: None,
        seed,
    };
    let with = |change: &dyn Fn(&mut GenerationSettings), mut request: Request| {
        change(&mut request.settings);
        request
    };
    let rendered = |prompt: &str, request: Request| Request {
        wording: Wording::Rendered(prompt.to_owned()),
        ..request
    };
    let stop = StopString::new("e").unwrap();
    vec![
        request("what colour ?", &[1], "sa0", 5),
        request("what colour is the circle ?", &[1], "sa1", 3),
        request("where is the square ?", &[2], "sa2", 6),
        request("left", &[3], "sa3", 4),
        request("what colour ?", &[1], "auto", 4),
        request("where is the circle ?", &[2], "auto", 5),
        request("is the circle left of the square ?", &[4], "auto", 2),
        request("what colour is the square ?", &[1], "dense", 5),
        request("one two three", &[], "sa2", 4),
        request("one two", &[], "auto", 3),
        request("where ?", &[], "dense", 4),
        request("what is right of the circle ?", &[1, 5], "sa3", 6),
        rendered("what <image> is <image> the <a>", request("", &[6, 2], "sa1", 4)),
        rendered("the <image> circle ? <a>", request("", &[2], "auto", 4)),
        // The same picture twice in one prompt.
        request("what ?", &[7, 7], "sa2", 3),
        with(&|s| s.sampling = drawn(1), request("what colour ?", &[1], "sa1", 8)),
        with(&|s| s.sampling = drawn(2), request("what colour ?", &[1], "sa1", 8)),
        with(&|s| s.stop = vec![stop.clone()], request("where ?", &[3], "sa3", 8)),
        request("red", &[1], "sa0", 1),
    ]
}

fn prepared(runner: &Runner<VisorModel>, requests: Vec<Request>) -> Vec<Prepared> {
    requests.into_iter().map(|request| runner.prepare(request).unwrap()).collect()
}

#[track_caller]
fn assert_same(together: &Outcome, alone: &Outcome) {
    assert_eq!(together.text, alone.text);
    assert_eq!(together.token_ids, alone.token_ids);
    assert_eq!(together.finish_reason, alone.finish_reason);
    assert_eq!(together.requested, alone.requested);
    assert_eq!(together.prompt_tokens, alone.prompt_tokens);
    assert_eq!(together.visual_tokens, alone.visual_tokens);
    let (a, b) = (&together.decided, &alone.decided);
    assert_eq!((a.level, &a.name, a.basis), (b.level, &b.name, b.basis));
    let probabilities = |decided: &visor_runtime::Decided| -> Vec<f32> {
        decided.probabilities.iter().map(|(_, probability)| *probability).collect()
    };
    assert_close(&probabilities(a), &probabilities(b), 1e-5);
    let (a, b) = (together.cost, alone.cost);
    assert_eq!((a.cold, a.dense, a.decode, a.kv_bytes), (b.cold, b.dense, b.decode, b.kv_bytes));
    assert!(a.spent <= b.spent);
}

#[test]
fn answers_of_a_mixed_batch_are_those_of_its_requests_alone() {
    for positions in [PositionScheme::STOCK, SCRATCH] {
        let runner = runner(positions);
        let batch = prepared(&runner, requests());
        let alone: Vec<Outcome> = batch
            .iter()
            .map(|prepared| runner.generate(prepared.clone()).finish().unwrap())
            .collect();
        let together = runner.answer_batch(batch);
        assert_eq!(together.len(), alone.len());
        for (together, alone) in together.into_iter().zip(&alone) {
            assert_same(&together.unwrap(), alone);
        }
        // The batch was as mixed as it is meant to be.
        let reasons = |reason| alone.iter().filter(|o| o.finish_reason == reason).count();
        assert!(reasons(FinishReason::Length) > 0 && reasons(FinishReason::Stop) > 0);
        let by_policy = alone.iter().filter(|o| o.requested == Some(BudgetRequest::Auto));
        let chosen: std::collections::BTreeSet<_> = by_policy.map(|o| &o.decided.name).collect();
        assert!(chosen.len() > 1, "{chosen:?}");
    }
}

#[test]
fn a_batch_executes_exactly_the_sum_of_what_its_answers_say_they_spent() {
    let runner = runner(SCRATCH);
    let batch = prepared(&runner, requests());
    let (answers, executed) = count(|| runner.answer_batch(batch));
    let mut formula = Flops(0);
    for answer in answers {
        let answer = answer.unwrap();
        formula += answer.cost.spent + answer.cost.decode;
        // The head of this policy is no matrix product.
        let by_policy = answer.requested == Some(BudgetRequest::Auto);
        formula = formula - if by_policy { SHAPE.decision() } else { Flops(0) };
    }
    assert_flops(executed, formula, "a batch of answers");
}

#[test]
fn a_picture_that_several_requests_show_is_encoded_once() {
    let runner = runner(SCRATCH);
    let question = runner.prepare(request("what colour ?", &[1], "sa0", 3)).unwrap();
    let ladder = ladder();
    let levels = ladder.rungs().iter().map(|rung| rung.name()).chain(["auto", "dense"]);
    let batch: Vec<Prepared> = levels
        .map(|level| runner.with_budget(&question, level.parse().unwrap()).unwrap())
        .collect();
    let alone: Vec<Outcome> =
        batch.iter().map(|one| runner.generate(one.clone()).finish().unwrap()).collect();
    let together = runner.answer_batch(batch);
    let picture = runner.card().shape.vision(1);
    for (index, (together, alone)) in together.into_iter().zip(&alone).enumerate() {
        let together = together.unwrap();
        assert_same(&together, alone);
        let spared = if index == 0 { Flops(0) } else { picture };
        assert_eq!(together.cost.spent + spared, alone.cost.spent);
    }
}

/// A runner whose model does not know what to make of the word `in`.
fn runner_with_a_damaged_word() -> Runner<VisorModel> {
    let id = (SPECIAL.len() + WORDS.iter().position(|word| *word == "in").unwrap()) * 32;
    let network = Network::new(&config(), Some(&extension()), Head::Own, &cpu());
    let network = weights::fill(network, &cpu(), &mut |name, shape| {
        let mut values = value(7, name, shape);
        if name.ends_with("embed_tokens.weight") {
            values[id..id + 32].fill(f32::NAN);
        }
        Ok(values)
    });
    let card = model(SCRATCH, 7).card().clone();
    with_model(VisorModel::new(network.unwrap(), &config(), card, &cpu())).with_policy(policy(None))
}

#[test]
fn one_failing_request_does_not_harm_the_others() {
    let runner = runner_with_a_damaged_word();
    let mut batch = prepared(&runner, requests());
    let alone: Vec<Outcome> =
        batch.iter().map(|one| runner.generate(one.clone()).finish().unwrap()).collect();
    let called_off = request("what colour is the circle ?", &[1], "sa2", 5);
    let called_off = runner.prepare(called_off).unwrap();
    called_off.cancel().cancel();
    let damaged = runner.prepare(request("in the circle", &[1], "sa3", 5)).unwrap();
    batch.insert(3, called_off);
    batch.insert(7, damaged);
    let mut answers = runner.answer_batch(batch);
    let (damaged, called_off) = (answers.remove(7), answers.remove(3));
    assert!(matches!(called_off, Err(RunError::Cancelled(_))), "{called_off:?}");
    assert!(matches!(damaged, Err(RunError::NonFinite { step: 1 })), "{damaged:?}");
    for (together, alone) in answers.into_iter().zip(&alone) {
        assert_same(&together.unwrap(), alone);
    }
}

#[test]
fn a_request_that_is_called_off_on_the_way_leaves_the_batch() {
    let cancel = Cancel::new();
    let runner = with_model(model(SCRATCH, 7)).with_policy(policy(Some(cancel.clone())));
    let called_off = Request { cancel, ..request("what colour ?", &[1], "sa3", 5) };
    let others = [request("where ?", &[2], "auto", 4), request("left", &[], "sa1", 4)];
    let [other, another] = others.map(|request| runner.prepare(request).unwrap());
    let batch = vec![other.clone(), runner.prepare(called_off).unwrap(), another.clone()];
    let mut answers = runner.answer_batch(batch);
    assert!(matches!(answers.remove(1), Err(RunError::Cancelled(_))));
    for (together, alone) in answers.into_iter().zip([other, another]) {
        assert_same(&together.unwrap(), &runner.generate(alone).finish().unwrap());
    }
}

#[test]
fn a_request_that_waits_for_a_policy_which_is_not_there_fails_alone() {
    let (with, without) = (runner(SCRATCH), with_model(model(SCRATCH, 7)));
    let waits = with.prepare(request("what colour ?", &[1], "auto", 4)).unwrap();
    let named = without.prepare(request("what colour ?", &[1], "sa2", 4)).unwrap();
    let [waits, named_answer] = &without.answer_batch(vec![waits, named.clone()])[..] else {
        panic!("two requests have two results")
    };
    assert!(matches!(waits, Err(RunError::Budget(BudgetError::NoPolicy { .. }))), "{waits:?}");
    let alone = without.generate(named).finish().unwrap();
    assert_same(named_answer.as_ref().unwrap(), &alone);
    assert!(without.answer_batch(Vec::new()).is_empty());
}
