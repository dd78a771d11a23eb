//! A policy decides where the user leaves the budget open.

use crate::scripted::*;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Mutex;
use visor_core::cost::SelectorShape;
use visor_core::cost::{Flops, PolicyShape};
use visor_core::{Basis, BudgetRequest, Ladder, Pair, Patches, RungId, Thrift};
use visor_runtime::{
    BudgetPolicy, ModelCard, PictureInput, PolicyChoice, PolicyError, Request, RoutingState,
    RoutingToken, RunError, Runner, SelectorCard,
};

/// Chooses a fixed rung and notes what it was shown.
struct Fixed {
    choice: usize,
    probabilities: Vec<f32>,
    token: RoutingToken,
    seen: &'static Mutex<Vec<(RoutingState, Vec<Flops>)>>,
}

const SHAPE: PolicyShape = PolicyShape { d_input: 16, d_hidden: 2, n_rungs: 3 };

impl BudgetPolicy for Fixed {
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
        costs: &[Flops],
        _thrift: Option<Thrift>,
    ) -> Result<PolicyChoice, PolicyError> {
        self.seen.lock().unwrap().push((state.clone(), costs.to_vec()));
        let rung = ladder.ids().nth(self.choice).unwrap();
        Ok(PolicyChoice { rung, probabilities: self.probabilities.clone() })
    }
}

type Seen = &'static Mutex<Vec<(RoutingState, Vec<Flops>)>>;

fn with_policy(choice: usize, probabilities: Vec<f32>) -> (Runner<Scripted>, Seen) {
    let seen: Seen = Box::leak(Box::default());
    let token = RoutingToken(vec![0.0; 8]);
    let policy = Fixed { choice, probabilities, token, seen };
    (runner(&["red"]).with_policy(Box::new(policy)), seen)
}

fn request(budget: Option<BudgetRequest>, ceiling: Option<Flops>) -> Request {
    let pictures = vec![PictureInput::Decoded(picture())];
    Request { pictures, budget, ceiling, ..Request::new("what colour ?") }
}

fn rung(index: usize) -> RungId {
    ladder().ids().nth(index).unwrap()
}

#[test]
fn the_policy_is_shown_the_routing_state_and_the_costs_and_its_choice_runs() {
    for budget in [None, Some(BudgetRequest::Auto)] {
        let (runner, seen) = with_policy(1, vec![0.2, 0.9, 0.95]);
        let prepared = runner.prepare(request(budget, None)).unwrap();
        assert_eq!(prepared.decided(), None);
        let costs = prepared.costs().clone();
        let outcome = runner.generate(prepared).finish().unwrap();
        let decided = outcome.decided;
        assert_eq!((decided.name.as_str(), decided.basis), ("sa1", Basis::Predicted));
        let names: Vec<_> = decided.probabilities.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["sa0", "sa1", "sa2"]);
        assert_eq!(decided.probabilities[1].1, 0.9);
        let expected = costs.rungs.iter().map(|rung| rung.scopes.end_to_end).collect();
        let state = RoutingState { token: Some(vec![1.0]), visual_mean: None };
        assert_eq!(*seen.lock().unwrap(), [(state, expected)]);
        assert_eq!(log(&runner)[1..3], ["routed 8 tokens, 1 pictures, room 27", "rest 1"]);
    }
}

#[test]
fn a_policy_costs_what_its_formula_says_and_only_where_it_is_asked() {
    let (runner, _) = with_policy(1, vec![0.0; 3]);
    let auto = runner.prepare(request(Some(BudgetRequest::Auto), None)).unwrap();
    let fixed = runner.prepare(request(Some("sa1".parse().unwrap()), None)).unwrap();
    let cost = |prepared: &visor_runtime::Prepared| prepared.costs().rung(rung(1)).scopes;
    assert!(cost(&auto).end_to_end > cost(&fixed).end_to_end + SHAPE.decision());
    assert_eq!(cost(&auto).lm_prefill, cost(&fixed).lm_prefill);
    assert_eq!(auto.costs().dense, fixed.costs().dense);
    runner.generate(fixed).finish().unwrap();
    assert!(log(&runner)[1].starts_with("budgeted"), "{:?}", log(&runner));
}

#[test]
fn a_ceiling_caps_the_choice_and_the_outcome_says_so() {
    let (runner, _) = with_policy(2, vec![0.1, 0.2, 0.3]);
    let costs = runner.prepare(request(None, None)).unwrap().costs().clone();
    let ceiling = Some(costs.rung(rung(1)).scopes.end_to_end);
    let outcome = ask(&runner, request(Some(BudgetRequest::Auto), ceiling)).unwrap();
    assert_eq!(outcome.decided.name, "sa1");
    assert_eq!(outcome.decided.basis, Basis::Capped { predicted: rung(2) });
    assert_eq!(outcome.decided.probabilities.len(), 3);
    let error = runner.prepare(request(None, Some(Flops(1)))).unwrap_err();
    assert!(matches!(error, RunError::Budget(_)), "{error}");
}

#[test]
fn a_policy_for_another_ladder_is_an_error() {
    let (runner, _) = with_policy(0, vec![0.5; 2]);
    let error = ask(&runner, request(None, None)).unwrap_err();
    assert!(error.to_string().contains("expects 2 rungs, the model gives 3"), "{error}");
}

#[test]
fn whoever_leaves_it_to_a_policy_needs_one() {
    let error = ask(&runner(&["red"]), request(Some(BudgetRequest::Auto), None)).unwrap_err();
    assert!(error.to_string().contains("`sa0`, `sa1`, `sa2`, `dense`"), "{error}");
    let (with, _) = with_policy(0, vec![0.5; 3]);
    let prepared = with.prepare(request(None, None)).unwrap();
    let without = runner(&["red"]);
    let error = without.generate(prepared).finish().unwrap_err();
    assert!(matches!(error, RunError::Budget(visor_core::BudgetError::NoPolicy { .. })));
}

#[test]
fn the_budget_is_decided_once() {
    let (runner, seen) = with_policy(0, vec![0.5; 3]);
    let decisions = Rc::new(RefCell::new(0));
    for event in events(&runner, request(None, None)) {
        if matches!(event, visor_runtime::Event::Decided(_)) {
            *decisions.borrow_mut() += 1;
        }
    }
    assert_eq!((*decisions.borrow(), seen.lock().unwrap().len()), (1, 1));
}

/// A model whose middle rung can also be had with `patches` of the four.
fn paired(patches: usize) -> ModelCard {
    let shape = SelectorShape { d_model: 8, d_select: 4, n_pools: 1, d_hidden: 2 };
    let pair = Pair { rung: "sa1".to_owned(), patches: NonZeroUsize::new(patches).unwrap() };
    let ladder = Some(ladder().with_pairs(&[pair]).unwrap());
    ModelCard {
        ladder,
        selector: Some(SelectorCard { shape, range: (1, 2), n_reference: 4 }),
        ..card()
    }
}

#[test]
fn a_pair_has_its_patches_chosen_once_it_is_decided_by_name_or_by_a_policy() {
    for budget in [Some("sa1-k3".parse().unwrap()), None] {
        let runner = match budget {
            None => {
                let seen: Seen = Box::leak(Box::default());
                let (choice, probabilities) = (1, vec![0.5; 4]);
                let token = RoutingToken(vec![0.0; 8]);
                let policy = Fixed { choice, probabilities, token, seen };
                runner_with(paired(3), &[id("red")]).with_policy(Box::new(policy))
            }
            Some(_) => runner_with(paired(3), &[id("red")]),
        };
        let outcome = ask(&runner, request(budget, None)).unwrap();
        assert_eq!(outcome.decided.name, "sa1-k3");
        assert_eq!(outcome.patches, Patches::Count(NonZeroUsize::new(3).unwrap()));
        let log = log(&runner);
        let selected = log.iter().position(|line| line == "select 3").unwrap();
        assert_eq!(log[selected + 1], "rest 1", "{log:?}");
    }
}

#[test]
fn a_picture_with_no_more_patches_than_a_pair_reads_is_read_whole_at_the_cost_of_its_rung() {
    let runner = runner_with(paired(4), &[id("red")]);
    let prepared = runner.prepare(request(Some("sa1-k4".parse().unwrap()), None)).unwrap();
    let [pair, plain] = [1, 2].map(|place| &prepared.costs().rungs[place]);
    assert_eq!((pair.name.as_str(), plain.name.as_str()), ("sa1-k4", "sa1"));
    assert_eq!((pair.scopes, pair.kv_bytes), (plain.scopes, plain.kv_bytes));
    runner.generate(prepared).finish().unwrap();
    assert!(!log(&runner).iter().any(|line| line.starts_with("select")), "{:?}", log(&runner));
}

#[test]
fn patches_are_not_asked_for_twice() {
    let runner = runner_with(paired(3), &[id("red")]);
    let asked = |budget: &str| {
        let request = request(Some(budget.parse().unwrap()), None);
        runner.prepare(Request { patches: Patches::Auto, ..request })
    };
    let error = asked("sa1-k3").unwrap_err().to_string();
    assert!(error.contains("`sa1-k3` says itself") && error.contains("--patches auto"), "{error}");
    assert!(asked("sa1").is_ok());
}
