//! Two records of the same thing, and what makes a regression.

use crate::synthetic::{record, synthetic};
use visor_benches::compare::gate::{Judgement, Thresholds, gate};
use visor_benches::compare::observation::Stage;
use visor_benches::compare::record::{CompareRecord, RowRecord};

fn sound() -> CompareRecord {
    record(&synthetic(40, 1))
}

fn row<'a>(record: &'a mut CompareRecord, name: &str) -> &'a mut RowRecord {
    record.rows.iter_mut().find(|row| row.name == name).expect("a row")
}

#[test]
fn a_record_is_no_regression_of_itself() {
    let verdict = gate(&sound(), &sound(), Thresholds::default()).expect("the same thing");
    assert!(!verdict.regressed());
    assert!(verdict.changes.is_empty() && verdict.gone.is_empty() && verdict.added.is_empty());
    assert!(verdict.compared > 200);
    assert!(verdict.markdown().ends_with("0 rows are gone: no regression.\n"));
}

#[test]
fn a_loss_past_the_threshold_is_a_regression_and_one_within_is_only_told() {
    for (loss, regressed) in [(0.009, false), (0.011, true), (-0.05, false)] {
        let mut new = sound();
        row(&mut new, "sa2").accuracy.as_mut().expect("scored").mean -= loss;
        let verdict = gate(&sound(), &new, Thresholds::default()).expect("the same thing");
        assert_eq!((verdict.regressed(), verdict.changes.len()), (regressed, 1), "{loss}");
        assert_eq!(verdict.markdown().contains("WORSE"), regressed);
        assert!(verdict.markdown().contains("sa2"));
    }
}

#[test]
fn a_machine_that_is_slower_throughout_is_no_regression() {
    let slowed = |which: fn(&str) -> bool| {
        let mut new = sound();
        for row in new.rows.iter_mut().filter(|row| which(&row.name)) {
            row.times_ms.values_mut().for_each(|times| times.median *= 1.5);
        }
        new.environment.cpu = "Imaginary 3000".to_owned();
        gate(&sound(), &new, Thresholds::default()).expect("the same thing")
    };
    let verdict = slowed(|_| true);
    assert!(!verdict.regressed());
    assert_eq!(verdict.times_relative_to.as_deref(), Some("dense"));
    assert!(verdict.markdown().contains("the processor was `Imaginary 9000`"));
    let verdict = slowed(|name| name == "sa0");
    let worse: Vec<_> = verdict.worse().map(|c| (c.row.as_str(), c.cell.as_str())).collect();
    assert_eq!(worse, [("sa0", "first_token"), ("sa0", "total")]);
}

#[test]
fn dearer_rows_and_rows_that_are_gone_are_regressions_and_new_ones_are_not() {
    let mut new = sound();
    row(&mut new, "auto@0.10").gflops.end_to_end *= 1.02;
    let verdict = gate(&sound(), &new, Thresholds::default()).expect("the same thing");
    assert_eq!(verdict.worse().count(), 1);
    let mut fewer = sound();
    fewer.rows.retain(|row| row.name != "pooled-9");
    let verdict = gate(&sound(), &fewer, Thresholds::default()).expect("the same thing");
    assert!(verdict.regressed() && verdict.gone == ["pooled-9"]);
    let verdict = gate(&fewer, &sound(), Thresholds::default()).expect("the same thing");
    assert!(!verdict.regressed() && verdict.added == ["pooled-9"]);
}

#[test]
fn controls_are_told_and_not_judged() {
    let mut new = sound();
    row(&mut new, "blank@sa3").accuracy.as_mut().expect("scored").mean -= 0.1;
    let verdict = gate(&sound(), &new, Thresholds::default()).expect("the same thing");
    assert!(!verdict.regressed());
    assert_eq!(verdict.changes[0].judgement, Judgement::Told);
}

#[test]
fn records_of_different_things_are_refused_with_what_differs() {
    let refused = |change: fn(&mut CompareRecord)| {
        let mut new = sound();
        change(&mut new);
        gate(&sound(), &new, Thresholds::default()).expect_err("refused").to_string()
    };
    let error = refused(|new| new.model.name = "small".to_owned());
    assert!(error.contains("the model was `nano` and is `small`"), "{error}");
    let error = refused(|new| new.suite.sha256 = "ff".to_owned());
    assert!(error.contains("the data was"), "{error}");
    assert!(!error.contains("the model"), "{error}");
    let error = refused(|new| new.policy = None);
    assert!(error.contains("the policy's digest was") && error.contains("is `none`"), "{error}");
    let error = refused(|new| drop(new.ladder.pop()));
    assert!(error.contains("the ladder was `sa0, sa1, sa2, sa3`"), "{error}");
}

#[test]
fn records_without_times_are_compared_in_the_rest() {
    let mut new = sound();
    new.rows.iter_mut().for_each(|row| row.times_ms.clear());
    let verdict = gate(&sound(), &new, Thresholds::default()).expect("the same thing");
    assert_eq!(verdict.times_relative_to, None);
    assert!(!verdict.regressed());
    assert!(sound().rows.iter().any(|row| row.times_ms.contains_key(&Stage::Total)));
}
