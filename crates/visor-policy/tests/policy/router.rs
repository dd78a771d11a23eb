//! Decisions of a bound router, and models that a policy is not for.

use crate::support::*;
use std::num::NonZeroUsize;
use visor_core::cost::Flops;
use visor_core::{Pair, Thrift};
use visor_policy::{
    Objective, Policy, PolicyFileError, PolicyManifest, PolicyProvenance, Router, RouterNetwork,
    RouterShape,
};
use visor_runtime::{BudgetPolicy, PolicyChoice, PolicyError, RoutingState};

const COSTS: [Flops; 4] = [Flops(10), Flops(20), Flops(30), Flops(50)];

fn state(token: f32) -> RoutingState {
    let token = (0..D_MODEL).map(|i| token + i as f32).collect();
    RoutingState { token: Some(token), visual_mean: Some(vec![0.5; D_MODEL]) }
}

fn bound(objective: Objective, seed: u64) -> Router {
    Router::bind(policy(objective, seed), &card(), &digests()).unwrap()
}

fn choose(router: &dyn BudgetPolicy, weight: f32) -> PolicyChoice {
    let ladder = card().ladder.unwrap();
    router.choose(&state(1.0), &ladder, &COSTS, Thrift::new(weight)).unwrap()
}

/// A router that would spend all it can get.
fn spender() -> Router {
    (0..99)
        .map(|seed| bound(Objective::Utility, seed))
        .find(|router| choose(router, 0.0).rung.index() == 3)
        .unwrap()
}

#[test]
fn a_router_brings_its_token_and_its_sizes() {
    let (router, policy) = (bound(Objective::Utility, 1), policy(Objective::Utility, 1));
    assert_eq!(router.routing_token(), Some(&policy.network().token()));
    assert_eq!(router.shape(), Some(policy.manifest().shape().cost()));
    assert_eq!(router.manifest(), policy.manifest());
}

#[test]
fn thrift_decides_between_rungs_and_the_policys_own_is_used_where_none_is_asked_for() {
    let router = spender();
    assert_eq!(choose(&router, 0.0).rung.index(), 3);
    assert_eq!(choose(&router, 10.0).rung.index(), 0);
    assert_eq!(choose(&router, 0.0).probabilities, choose(&router, 10.0).probabilities);
    let ladder = card().ladder.unwrap();
    let own = router.choose(&state(1.0), &ladder, &COSTS, None).unwrap();
    assert_eq!(own, choose(&router, router.manifest().default_thrift.unwrap().weight()));
}

#[test]
fn a_router_for_the_cheapest_right_rung_knows_no_thrift() {
    let router = bound(Objective::CheapestRight, 1);
    let ladder = card().ladder.unwrap();
    let choice = router.choose(&state(1.0), &ladder, &COSTS, None).unwrap();
    assert!((choice.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    let error = router.choose(&state(1.0), &ladder, &COSTS, Thrift::new(0.1)).unwrap_err();
    assert!(matches!(error, PolicyError::NoThrift { .. }), "{error}");
}

#[test]
fn a_router_decides_by_the_sample_that_it_is_shown() {
    let router = bound(Objective::Utility, 1);
    let ladder = card().ladder.unwrap();
    let choose = |token| router.choose(&state(token), &ladder, &COSTS, None).unwrap();
    assert_eq!(choose(1.0), choose(1.0));
    assert_ne!(choose(1.0), choose(-9.0));
}

#[test]
fn states_that_are_not_the_models_are_errors_and_not_guesses() {
    let router = bound(Objective::Utility, 1);
    let ask = |state: &RoutingState, costs: &[Flops]| {
        router.choose(state, &card().ladder.unwrap(), costs, None).unwrap_err().to_string()
    };
    let whole = state(1.0);
    let without = RoutingState { token: None, ..whole.clone() };
    assert!(ask(&without, &COSTS).contains("expects 12 values of the routing token"));
    let wide = RoutingState { visual_mean: Some(vec![0.0; 13]), ..whole.clone() };
    assert!(ask(&wide, &COSTS).contains("the model gives 13"));
    assert!(ask(&whole, &COSTS[..3]).contains("costs of rungs"));
    let infinite = RoutingState { token: Some(vec![f32::INFINITY; D_MODEL]), ..whole };
    assert!(ask(&infinite, &COSTS).contains("not numbers"));
    let other = ladder(&[&[], &[3]]);
    let error = router.choose(&state(1.0), &other, &COSTS, None).unwrap_err();
    assert!(error.to_string().contains("expects 4 rungs, the model gives 2"), "{error}");
}

#[test]
fn a_policy_for_another_model_is_refused_with_all_that_differs() {
    let refused = |card: &visor_runtime::ModelCard| {
        let error = Router::bind(policy(Objective::Utility, 1), card, &digests()).unwrap_err();
        assert!(error.to_string().contains("use a policy that was trained for this"), "{error}");
        error.to_string()
    };
    let mut other = card();
    other.shape.decoder.d_model = 16;
    let error = refused(&other);
    assert!(error.contains("a routing token of 12 values, the model's have 16"), "{error}");

    let mut other = card();
    other.ladder = Some(ladder(&[&[], &[2], &[3, 5], &[2, 3, 5]]));
    let error = refused(&other);
    assert!(error.contains("chooses among `sa0` [], `sa1` [3], `sa2` [3, 5]"), "{error}");
    assert!(error.contains("the model has `sa0` [], `sa1` [2], `sa2` [3, 5]"), "{error}");
    other.shape.decoder.d_model = 16;
    let error = refused(&other);
    assert!(error.contains("visual tokens of 12") && error.contains("chooses among"), "{error}");

    let mut stock = card();
    stock.ladder = None;
    let error = Router::bind(policy(Objective::Utility, 1), &stock, &digests()).unwrap_err();
    assert!(matches!(error, PolicyFileError::NoLadder { .. }), "{error}");
}

#[test]
fn a_policy_for_other_weights_or_another_selector_is_refused() {
    let refused = |change: fn(&mut visor_policy::PolicyManifest)| {
        let mut manifest = manifest(Objective::Utility);
        change(&mut manifest);
        let network = RouterNetwork::from_seed(manifest.shape(), 1, &cpu());
        // What is known before the weights are read fits.
        manifest.expect_fit(&card(), None).unwrap();
        let policy = Policy::new(manifest, network).unwrap();
        Router::bind(policy, &card(), &digests()).unwrap_err().to_string()
    };
    let error = refused(|manifest| manifest.backbone_digest = other_sum());
    let (policy, model) = (other_sum().to_string(), digests().backbone.to_string());
    assert!(error.contains(&policy) && error.contains(&model), "{error}");
    let error = refused(|manifest| manifest.selector_digest = Some(other_sum()));
    assert!(error.contains("patch selector") && error.contains("the model has none"), "{error}");
}

#[test]
fn a_policy_of_pairs_fits_the_model_whose_rungs_they_are_of() {
    let pair = |rung: &str| Pair { rung: rung.to_owned(), patches: NonZeroUsize::new(4).unwrap() };
    let paired = |pairs: &[Pair]| {
        let ladder = card().ladder.unwrap().with_pairs(pairs).unwrap();
        let shape =
            RouterShape { n_rungs: ladder.rungs().len(), ..manifest(Objective::Utility).shape() };
        let digest = manifest(Objective::Utility).backbone_digest;
        let objective = Objective::Utility;
        let mut manifest =
            PolicyManifest::new(digest, objective, shape, &ladder, PolicyProvenance::default());
        manifest.selector_digest = Some(other_sum());
        manifest
    };
    let pairs = [pair("sa0"), pair("sa2")];
    let manifest = paired(&pairs);
    assert_eq!(manifest.pairs(), pairs);
    manifest.expect_fit(&card(), None).unwrap();
    // As the model says whose ladder has them already.
    let mut card = card();
    card.ladder = card.ladder.map(|ladder| ladder.with_pairs(&pairs).unwrap());
    manifest.expect_fit(&card, None).unwrap();
    card.ladder = Some(ladder(&[&[], &[2], &[3, 5], &[2, 3, 5]]));
    let error = manifest.expect_fit(&card, None).unwrap_err().to_string();
    assert!(error.contains("`sa0-k4` [] with 4 patches, `sa0` []"), "{error}");
}
