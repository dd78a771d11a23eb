//! What observations may be, and that they are read back as they were written.

use super::*;
use proptest::prelude::*;

/// An item of a family.
pub(crate) fn item(index: usize, family: &str, kind: Kind) -> Item {
    let (id, picture) = (format!("{family}-{index}"), index as u64);
    Item { id, family: family.to_owned(), kind, picture, difficulty: BTreeMap::new() }
}

/// A row without times whose items cost the same.
pub(crate) fn row(name: &str, group: Group, flops: u64, scores: &[f32]) -> Row {
    let answer = |score: &f32| Answer {
        score: Some(*score),
        rung: (group == Group::Auto).then_some(0),
        flops: Flops {
            end_to_end: flops + 100,
            lm_prefill: flops,
            vision_side: flops / 2,
            decode_step: 7,
        },
        self_attention_layers: (flops / 10) as u16,
    };
    Row {
        head: RowHead {
            name: name.to_owned(),
            group,
            about: String::new(),
            network: None,
            visual_tokens: None,
        },
        answers: scores.iter().map(answer).collect(),
        timing: Vec::new(),
        peak_rss_bytes: None,
    }
}

/// A suite of no meaning.
pub(crate) fn suite() -> Suite {
    Suite { name: "toy v1".to_owned(), split: "test".to_owned(), sha256: "00".to_owned() }
}

fn sound() -> (Vec<Item>, Vec<Row>) {
    let items = vec![item(0, "colour", Kind::Easy), item(1, "chain", Kind::Hard)];
    let rows = vec![
        row("sa0", Group::Rung, 10, &[1.0, 0.0]),
        row("sa1", Group::Rung, 20, &[1.0, 1.0]),
        row("auto", Group::Auto, 15, &[1.0, 0.5]),
    ];
    (items, rows)
}

fn refused(change: impl FnOnce(&mut Vec<Item>, &mut Vec<Row>)) -> ObservationError {
    let (mut items, mut rows) = sound();
    change(&mut items, &mut rows);
    Observations::new(suite(), items, rows).expect_err("refused")
}

#[test]
fn a_sound_run_is_taken_and_its_ladder_is_in_order() {
    let (items, rows) = sound();
    let run = Observations::new(suite(), items, rows).expect("sound");
    let ladder: Vec<_> = run.ladder().iter().map(|row| row.head.name.as_str()).collect();
    assert_eq!(ladder, ["sa0", "sa1"]);
    let families: Vec<_> = run.families().into_iter().collect();
    assert_eq!(families, [("chain", Kind::Hard), ("colour", Kind::Easy)]);
    assert!(run.row("auto").is_some() && run.row("sa9").is_none());
}

#[test]
fn rows_and_items_that_contradict_each_other_are_refused() {
    let error = refused(|items, _| items.clear());
    assert_eq!(error.to_string(), "no items were observed");
    let error = refused(|items, _| items[1].id.clone_from(&"colour-0".to_owned()));
    assert_eq!(error.to_string(), "two items are called `colour-0`");
    let error = refused(|_, rows| rows[1].head.name.clone_from(&"sa0".to_owned()));
    assert_eq!(error.to_string(), "two rows are called `sa0`");
    let error = refused(|items, _| items[1].family.clone_from(&"colour".to_owned()));
    assert_eq!(error.to_string(), "family `colour` is easy in one item and hard in another");
    let error = refused(|_, rows| rows[2].answers.truncate(1));
    assert_eq!(error.to_string(), "row `auto` has 1 of 2 answers");
    let error = refused(|_, rows| rows[0].answers[0].score = Some(1.5));
    assert!(error.to_string().starts_with("row `sa0` scores 1.5"), "{error}");
    let error = refused(|_, rows| rows[0].answers[0].score = Some(f32::NAN));
    assert!(matches!(error, ObservationError::Score { .. }));
    let error = refused(|_, rows| rows[2].answers[0].rung = Some(2));
    assert!(error.to_string().ends_with("the ladder has 2 rungs"), "{error}");
    let error = refused(|_, rows| rows[2].answers[1].rung = None);
    assert!(matches!(error, ObservationError::NoChoice { .. }));
    let error =
        refused(|_, rows| rows[2].timing.push(TimingSample { item: 2, ..Default::default() }));
    assert!(matches!(error, ObservationError::TimedItem { item: 2, items: 2, .. }));
}

#[test]
fn equal_values_are_stored_once_and_right_or_wrong_is_a_digit() {
    let answers = row("sa0", Group::Rung, 10, &[1.0, 0.0, 1.0]).answers;
    let part = Part { row: "sa0".to_owned(), first: 5, answers };
    let json = serde_json::to_string(&part).expect("json");
    assert_eq!(
        json,
        r#"{"row":"sa0","first":5,"scores":"101","rungs":null,"end_to_end":110,"lm_prefill":10,"vision_side":5,"decode_step":7,"layers":1}"#
    );
    assert_eq!(part.items(), 5..8);
}

#[test]
fn a_part_whose_columns_differ_in_length_is_refused() {
    let json = r#"{"row":"a","first":0,"scores":"10","rungs":null,"end_to_end":[1,2,3],"lm_prefill":1,"vision_side":1,"decode_step":1,"layers":1}"#;
    let error = serde_json::from_str::<Part>(json).expect_err("refused");
    assert!(error.to_string().contains("different lengths"), "{error}");
    let error =
        serde_json::from_str::<Part>(&json.replace("\"10\"", "\"12\"")).expect_err("refused");
    assert!(error.to_string().contains("digit"), "{error}");
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let score =
        prop_oneof![Just(None), Just(Some(0.0)), Just(Some(1.0)), (0.0_f32..=1.0).prop_map(Some)];
    let answer = (score, prop::option::of(0_u16..4), 0_u64..3, 0_u64..=u64::MAX, 0_u16..3)
        .prop_map(|(score, rung, small, large, self_attention_layers)| Answer {
            score,
            rung,
            flops: Flops {
                end_to_end: large,
                lm_prefill: small,
                vision_side: 1,
                decode_step: small,
            },
            self_attention_layers,
        });
    prop::collection::vec(answer, 1..20)
}

proptest! {
    #[test]
    fn every_part_reads_back_as_it_was_written(answers in answers(), first in 0_usize..9999) {
        let part = Part { row: "r".to_owned(), first, answers };
        let json = serde_json::to_string(&part).expect("json");
        prop_assert_eq!(serde_json::from_str::<Part>(&json).expect("read back"), part);
    }
}
