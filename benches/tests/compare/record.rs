//! What a record says of observations whose strengths are known.

use crate::synthetic::{context, record, synthetic};
use visor_benches::compare::observation::{Group, Kind, Scope, Stage};
use visor_benches::compare::record::{CompareRecord, RecordError};
use visor_benches::compare::statistics::mcnemar;

#[test]
fn the_same_observations_give_the_same_bytes_and_read_back_as_they_were_written() {
    let json = record(&synthetic(40, 1)).to_json().expect("json");
    assert!(record(&synthetic(40, 1)).to_json().expect("json") == json);
    let back = CompareRecord::from_json(&json).expect("a record");
    assert!(back == record(&synthetic(40, 1)));
    assert!(back.to_json().expect("json") == json);
    assert!(record(&synthetic(40, 2)).to_json().expect("json") != json);
}

#[test]
fn records_of_another_version_and_other_files_are_refused() {
    let json = record(&synthetic(10, 1)).to_json().expect("json");
    let other = json.replacen("\"schema_version\": 1", "\"schema_version\": 7", 1);
    let error = CompareRecord::from_json(&other).expect_err("refused");
    assert!(matches!(error, RecordError::Version { found: 7 }), "{error}");
    assert!(matches!(CompareRecord::from_json("{}"), Err(RecordError::Json(_))));
    let unknown = json.replacen("\"items\":", "\"itmes\":", 1);
    assert!(matches!(CompareRecord::from_json(&unknown), Err(RecordError::Json(_))));
}

#[test]
fn means_costs_and_savings_are_those_of_the_observations() {
    let synthetic = synthetic(60, 3);
    let record = record(&synthetic);
    let (run, dense) = (&synthetic.run, synthetic.run.row("dense").expect("dense"));
    for row in run.rows() {
        let found = record.row(&row.head.name).expect("a row");
        let n = row.answers.len() as f64;
        let mean = row.answers.iter().filter_map(|a| a.score).map(f64::from).sum::<f64>() / n;
        assert!((found.accuracy.expect("scored").mean - mean).abs() < 1e-6);
        for scope in Scope::ALL {
            let sum = |row: &visor_benches::compare::observation::Row| -> f64 {
                row.answers.iter().map(|answer| answer.flops.of(scope) as f64).sum()
            };
            let giga = sum(row) / n / 1e9;
            assert!((found.gflops.of(scope) / giga - 1.0).abs() < 1e-5);
            let saving = found.savings.and_then(|savings| savings.of(scope)).expect("a saving");
            assert!((saving / (sum(dense) / sum(row)) - 1.0).abs() < 1e-5);
        }
        let first = found.times_ms.get(&Stage::FirstToken).expect("timed");
        assert_eq!(first.n, 30);
        assert!(first.median <= first.p95 && first.mad > 0.0);
    }
    assert_eq!((record.full.as_str(), record.dense.as_deref()), ("sa3", Some("dense")));
    assert_eq!(record.ladder, ["sa0", "sa1", "sa2", "sa3"]);
    assert_eq!((record.items, record.pictures), (420, 420));
}

#[test]
fn easy_and_hard_means_weigh_families_alike() {
    let record = record(&synthetic(50, 5));
    for row in &record.rows {
        for (kind, found) in [(Kind::Easy, row.easy), (Kind::Hard, row.hard)] {
            let of_kind = record.families.iter().filter(|family| family.kind == kind);
            let means: Vec<f64> = of_kind.map(|family| row.families[&family.name].mean).collect();
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            assert!((found.expect("families").accuracy.mean - mean).abs() < 1e-5);
        }
    }
    let kinds: Vec<Kind> = record.families.iter().map(|family| family.kind).collect();
    assert!(kinds.is_sorted());
}

#[test]
fn the_policy_is_compared_with_everything_at_its_cost() {
    let record = record(&synthetic(300, 7));
    let found = |a: &str, b: &str| {
        let comparison = record.comparisons.iter().find(|found| found.a == a && found.b == b);
        comparison.unwrap_or_else(|| panic!("no comparison of {a} and {b}"))
    };
    let auto = "auto@0.10";
    for reference in ["best-mixture", "family-lookup", "family-lookup-in-sample"] {
        assert!(found(auto, reference).equal_cost, "{reference}");
    }
    // The made-up policy sees how difficult a question is, mixtures and chance do not.
    for reference in ["best-fixed", "best-mixture", "random-routing"] {
        assert!(found(auto, reference).low > 0.0, "{reference}");
    }
    assert!(found(auto, "oracle").high < 0.0);
    assert!(found(auto, "blank@sa3").low > 0.5);
    assert!(found("mixture@dense", "dense").n == record.items);
    assert!(found("auto@0.30", "best-mixture of auto@0.30").equal_cost);
    let shares = &record.row("oracle").and_then(|row| row.routing.clone()).expect("routes").all;
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    assert!(shares[0] > 0.5);
}

#[test]
fn a_paired_p_is_that_of_the_questions_on_which_two_rows_differ() {
    let synthetic = synthetic(80, 11);
    let record = record(&synthetic);
    let scores = |name: &str| -> Vec<f32> {
        let row = synthetic.run.row(name).expect("a row");
        row.answers.iter().filter_map(|answer| answer.score).collect()
    };
    let (a, b) = (scores("sa1"), scores("sa3"));
    let wins = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a > b).count() as u64;
    let difference = record.row("sa1").and_then(|row| row.difference).expect("paired");
    let p = mcnemar(wins(&a, &b), wins(&b, &a));
    assert!((difference.p.expect("right or wrong") / p - 1.0).abs() < 1e-5);
    assert_eq!(record.row("sa3").and_then(|row| row.difference), None);
}

#[test]
fn only_what_can_be_run_dominates_and_is_dominated() {
    let record = record(&synthetic(120, 13));
    for row in &record.rows {
        let by = row.dominated_by.end_to_end.as_deref();
        match (row.group, by.and_then(|name| record.row(name))) {
            (Group::Control | Group::Reference, by) => assert!(by.is_none(), "{}", row.name),
            (_, Some(by)) => {
                assert!(matches!(by.group, Group::Rung | Group::Auto | Group::Baseline));
                assert!(by.gflops.end_to_end <= row.gflops.end_to_end);
                let accuracy = |row: &visor_benches::compare::record::RowRecord| {
                    row.accuracy.map_or(0.0, |accuracy| accuracy.mean)
                };
                assert!(accuracy(by) >= accuracy(row));
            }
            (_, None) => {}
        }
    }
    assert!(record.row("dense").expect("dense").dominated_by.end_to_end.is_some());
}

#[test]
fn difficulty_is_told_by_family_and_value() {
    let record = record(&synthetic(200, 17));
    let sa0 = record.row("sa0").expect("a rung");
    let hops = &sa0.difficulty["chain"]["hops"];
    assert_eq!(hops.iter().map(|cell| cell.value).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
    assert!(hops[0].accuracy.mean > hops[3].accuracy.mean + 0.1);
    assert_eq!(hops.iter().map(|cell| cell.accuracy.n).sum::<usize>(), 200);
}

#[test]
fn a_context_that_names_what_is_not_there_is_refused() {
    let synthetic = synthetic(10, 1);
    let refused = |change: &dyn Fn(&mut visor_benches::compare::record::Context)| {
        let mut context = context(&synthetic);
        change(&mut context);
        CompareRecord::new(&synthetic.run, context).expect_err("refused").to_string()
    };
    let error = refused(&|context| context.full = Some("sa9".to_owned()));
    assert!(
        error.starts_with("there is no row `sa9` to be the full budget; there are sa0,"),
        "{error}"
    );
    let error = refused(&|context| context.routed = Some("sa1".to_owned()));
    assert_eq!(error, "row `sa1` should route and is a rung");
}

#[test]
fn a_row_of_which_only_the_cost_is_known_is_told_without_accuracy() {
    let mut synthetic = synthetic(10, 1);
    let (suite, items) = (synthetic.run.suite().clone(), synthetic.run.items().to_vec());
    let mut rows = synthetic.run.rows().to_vec();
    for row in rows.iter_mut().filter(|row| row.head.name == "dense") {
        row.answers.iter_mut().for_each(|answer| answer.score = None);
        row.timing.clear();
    }
    synthetic.run =
        visor_benches::compare::observation::Observations::new(suite, items, rows).expect("sound");
    let record = record(&synthetic);
    let dense = record.row("dense").expect("dense");
    assert_eq!((dense.accuracy, dense.difference), (None, None));
    assert!(dense.times_ms.is_empty() && dense.families.is_empty());
    let sa0 = record.row("sa0").and_then(|row| row.savings).and_then(|savings| savings.end_to_end);
    assert!(sa0.expect("a saving") > 2.0);
    assert!(record.comparisons.iter().all(|found| found.b != "dense"));
}
