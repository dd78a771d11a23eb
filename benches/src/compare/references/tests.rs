//! References on cases that are small enough to be solved by hand or by trying everything.

use super::*;
use crate::compare::observation::tests::{item, row, suite};
use crate::compare::observation::{Group, Item, Kind};
use proptest::prelude::*;

/// Four questions, three rungs of 10, 20 and 30 FLOPs, and a row that routes.
fn run() -> Observations {
    let items = vec![
        item(0, "colour", Kind::Easy),
        item(1, "colour", Kind::Easy),
        item(2, "chain", Kind::Hard),
        item(3, "chain", Kind::Hard),
    ];
    let mut auto = row("auto", Group::Auto, 20, &[1.0, 1.0, 1.0, 0.0]);
    for (answer, rung) in auto.answers.iter_mut().zip([0, 0, 2, 1]) {
        answer.rung = Some(rung);
    }
    let rows = vec![
        row("sa0", Group::Rung, 10, &[1.0, 1.0, 0.0, 0.0]),
        row("sa1", Group::Rung, 20, &[1.0, 0.0, 1.0, 0.0]),
        row("sa2", Group::Rung, 30, &[1.0, 1.0, 1.0, 0.0]),
        auto,
    ];
    Observations::new(suite(), items, rows).expect("sound")
}

fn choices() -> Choices {
    Choices::new(&run()).expect("a ladder")
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn score(expected: &Expected) -> f64 {
    mean(&expected.scores.iter().copied().collect::<Option<Vec<_>>>().expect("all ran"))
}

/// In the decoder's prefill.
fn cost(expected: &Expected) -> f64 {
    mean(&expected.flops[1])
}

#[test]
fn the_oracle_takes_the_cheapest_right_rung_and_the_cheapest_where_none_is() {
    let choices = choices();
    let found = choices.expect(&choices.oracle());
    assert_eq!(found.scores, [Some(1.0), Some(1.0), Some(1.0), Some(0.0)]);
    assert_eq!(found.flops[1], [10.0, 10.0, 20.0, 10.0]);
    assert_eq!(found.layers, [1.0, 1.0, 2.0, 1.0]);
    assert_eq!(found.flops[0], [110.0, 110.0, 120.0, 110.0]);
}

#[test]
fn of_soft_scores_the_oracle_takes_the_cheapest_that_is_nearly_the_best() {
    let rows =
        vec![row("sa0", Group::Rung, 10, &[0.5, 0.795]), row("sa1", Group::Rung, 20, &[0.8, 0.8])];
    let items = vec![item(0, "read", Kind::Hard), item(1, "read", Kind::Hard)];
    let run = Observations::new(suite(), items, rows).expect("sound");
    let choices = Choices::new(&run).expect("a ladder");
    assert_eq!(choices.expect(&choices.oracle()).flops[1], [20.0, 10.0]);
}

#[test]
fn the_best_fixed_rung_is_the_best_that_costs_no_more() {
    let choices = choices();
    assert_eq!(choices.best_fixed(Scope::LmPrefill, 30.0), Some(2));
    assert_eq!(choices.best_fixed(Scope::LmPrefill, 29.0), Some(0), "sa1 is as good and dearer");
    assert_eq!(choices.best_fixed(Scope::LmPrefill, 9.0), None);
    assert_eq!(score(&choices.expect(&choices.fixed(2))), 0.75);
}

#[test]
fn the_best_mixture_has_the_cost_asked_for_and_lies_on_the_line_between_two_rungs() {
    let choices = choices();
    let found = choices.expect(&choices.best_mixture(Scope::LmPrefill, 20.0));
    assert_eq!((cost(&found), score(&found)), (20.0, 0.625));
    assert_eq!(found.chances[0], [0.5, 0.0, 0.5]);
    assert_eq!(choices.mixture_frontier(Scope::LmPrefill), [(10.0, 0.5), (30.0, 0.75)]);
}

#[test]
fn chance_with_the_same_histogram_has_the_expected_score_and_cost() {
    let (run, choices) = (run(), choices());
    let auto = run.row("auto").expect("a row");
    let found = choices.expect(&choices.random(auto).expect("routed"));
    assert_eq!(found.scores, [Some(1.0), Some(0.75), Some(0.5), Some(0.0)]);
    assert_eq!(found.flops[1], [17.5; 4]);
    assert_eq!(choices.mean_cost(auto, Scope::EndToEnd), 120.0);
}

#[test]
fn chance_within_families_keeps_what_the_router_knows_of_the_family() {
    let (run, choices) = (run(), choices());
    let auto = run.row("auto").expect("a row");
    let found = choices.expect(&choices.random_within_families(auto).expect("routed"));
    assert_eq!(found.scores, [Some(1.0), Some(1.0), Some(1.0), Some(0.0)]);
    assert_eq!(found.flops[1], [10.0, 10.0, 25.0, 25.0]);
}

#[test]
fn a_row_that_does_not_route_has_no_histogram() {
    let (run, choices) = (run(), choices());
    let error = choices.random(run.row("sa0").expect("a row")).expect_err("refused");
    assert_eq!(error.to_string(), "row `sa0` does not route: it names no rung for item 0");
}

#[test]
fn a_look_up_by_family_spends_where_it_gains() {
    let choices = choices();
    let scores = choices.family_scores();
    let found = choices.look_up(&scores, Scope::LmPrefill, 15.0).expect("fits");
    let found = choices.expect(&found);
    assert_eq!(found.chances, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]);
    assert_eq!((cost(&found), score(&found)), (15.0, 0.75));
}

#[test]
fn a_look_up_fitted_on_other_items_can_be_wrong_but_costs_the_same() {
    let choices = choices();
    let other = FamilyScores::new([
        ("chain", [0.5, 0.5, 0.6].as_slice()),
        ("colour", [0.1, 0.9, 0.9].as_slice()),
    ]);
    let routing = choices.look_up(&other.expect("sound"), Scope::LmPrefill, 15.0).expect("fits");
    let found = choices.expect(&routing);
    assert_eq!((cost(&found), score(&found)), (15.0, 0.25));
}

#[test]
fn fitting_data_of_another_ladder_or_without_a_family_is_refused() {
    let choices = choices();
    let look_up = |items: &[(&str, &[f64])]| {
        let scores = FamilyScores::new(items.iter().copied())?;
        choices.look_up(&scores, Scope::LmPrefill, 15.0)
    };
    let error = look_up(&[("colour", &[0.1, 0.2, 0.3])]).expect_err("refused");
    assert_eq!(error, ReferenceError::UnknownFamily { family: "chain".to_owned() });
    let error = look_up(&[("colour", &[0.1]), ("chain", &[0.1])]).expect_err("refused");
    assert_eq!(error, ReferenceError::OtherLadder { found: 1, expected: 3 });
    assert_eq!(look_up(&[]), Err(ReferenceError::NoItems));
}

#[test]
fn items_that_some_rung_did_not_answer_have_no_expected_score_and_count_in_no_mean() {
    let whole = run();
    let mut rows = whole.rows().to_vec();
    rows[1].answers[1].score = None;
    let run = Observations::new(suite(), whole.items().to_vec(), rows).expect("sound");
    let choices = Choices::new(&run).expect("a ladder");
    let found = choices.expect(&choices.fixed(0));
    assert_eq!(found.scores, [Some(1.0), None, Some(0.0), Some(0.0)]);
    assert_eq!(choices.best_fixed(Scope::LmPrefill, 29.0), Some(1));
}

/// A run of random answers: families, and the scores of three rungs.
fn random_runs() -> impl Strategy<Value = Observations> {
    let answer = (0_usize..3, prop::array::uniform3(0_u8..=1));
    prop::collection::vec(answer, 1..9).prop_map(|answers| {
        let names = ["chain", "colour", "read"];
        let items: Vec<Item> = answers
            .iter()
            .enumerate()
            .map(|(index, (family, _))| item(index, names[*family], Kind::Other))
            .collect();
        let rows = (0..3).map(|rung| {
            let scores: Vec<f32> =
                answers.iter().map(|(_, right)| f32::from(right[rung])).collect();
            row(&format!("sa{rung}"), Group::Rung, 10 * (rung as u64 + 1), &scores)
        });
        Observations::new(suite(), items, rows.collect()).expect("sound")
    })
}

proptest! {
    #[test]
    fn no_table_of_one_rung_a_family_beats_the_fitted_look_up(
        run in random_runs(), budget in 10.0_f64..31.0
    ) {
        let choices = Choices::new(&run).expect("a ladder");
        let routing = choices.look_up(&choices.family_scores(), Scope::LmPrefill, budget);
        let best = choices.expect(&routing.expect("fits"));
        prop_assert!(cost(&best) <= budget + 1e-9);
        for code in 0..27 {
            let table = [code % 3, code / 3 % 3, code / 9];
            let routing = choices.one_each(|item| table[choices.families[item]]);
            let found = choices.expect(&routing);
            prop_assert!(cost(&found) > budget || score(&found) <= score(&best) + 1e-9);
        }
    }

    #[test]
    fn nothing_is_better_than_the_oracle_and_nothing_as_good_is_cheaper(run in random_runs()) {
        let choices = Choices::new(&run).expect("a ladder");
        let oracle = choices.expect(&choices.oracle());
        let n = choices.families.len() as u32;
        for code in 0..3_usize.pow(n.min(6)) {
            let rung = |item: usize| code / 3_usize.pow(item.min(5) as u32) % 3;
            let found = choices.expect(&choices.one_each(rung));
            prop_assert!(score(&found) <= score(&oracle) + 1e-12);
            let as_good = score(&found) >= score(&oracle) - 1e-12;
            prop_assert!(!as_good || cost(&found) >= cost(&oracle) - 1e-9);
        }
    }
}
