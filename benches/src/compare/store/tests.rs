//! Runs that are killed, changed and damaged.

use super::*;
use crate::compare::observation::tests::{item, row, suite};
use crate::compare::observation::{Group, Kind};
use tempfile::TempDir;

fn settings() -> Settings {
    [("model", "nano"), ("seed", "1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
}

fn open(folder: &TempDir) -> Result<Store, StoreError> {
    Store::open(folder.path(), &suite(), &settings())
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join(FILE)
}

/// Entries of a run of three items and two rows.
fn entries() -> Vec<Entry> {
    let items = (0..3).map(|i| item(i, "colour", Kind::Easy)).collect();
    let mut entries = vec![Entry::Items(items)];
    for (name, scores) in [("sa0", [1.0, 0.0, 0.25]), ("sa1", [1.0, 1.0, 1.0])] {
        let row = row(name, Group::Rung, 10, &scores);
        entries.push(Entry::Row(row.head));
        for first in [0, 2] {
            let answers = row.answers.iter().skip(first).take(2).copied().collect();
            entries.push(Entry::Answers(Part { row: name.to_owned(), first, answers }));
        }
    }
    let sample = TimingSample { item: 2, total: 1_000_000, ..TimingSample::default() };
    entries.push(Entry::Timing { row: "sa0".to_owned(), samples: vec![sample; 2] });
    entries.push(Entry::PeakMemory { row: "sa0".to_owned(), bytes: 4096 });
    entries
}

fn filled(folder: &TempDir) -> Store {
    let mut store = open(folder).expect("a new store");
    entries().into_iter().for_each(|entry| store.append(entry).expect("appended"));
    store
}

#[test]
fn what_was_appended_is_there_when_the_run_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let whole = filled(&folder).observations().expect("a run");
    let again = open(&folder).expect("resumed");
    assert_eq!(again.observations().expect("a run"), whole);
    assert_eq!((again.answered("sa0"), again.timed("sa0"), again.answered("sa9")), (3, 2, 0));
    assert!(again.has_items() && again.has_row("sa1") && !again.has_row("sa9"));
    assert!(again.has_peak_memory("sa0") && !again.has_peak_memory("sa1"));
}

#[test]
fn wherever_a_run_is_killed_it_goes_on_to_the_same_observations() {
    let folder = TempDir::new().expect("a folder");
    let whole = filled(&folder).observations().expect("a run");
    let bytes = fs::read(file(&folder)).expect("bytes");
    for end in 0..bytes.len() {
        fs::write(file(&folder), &bytes[..end]).expect("torn");
        let mut store = open(&folder).expect("resumed");
        for entry in entries() {
            let there = match &entry {
                Entry::Items(_) => store.has_items(),
                Entry::Row(head) => store.has_row(&head.name),
                Entry::Answers(part) => store.answered(&part.row) > part.first,
                Entry::Timing { row, .. } => store.timed(row) > 0,
                Entry::PeakMemory { row, .. } => store.has_peak_memory(row),
            };
            if !there {
                store.append(entry).expect("appended");
            }
        }
        assert_eq!(store.observations().expect("a run"), whole, "killed at {end}");
        drop(store);
        assert_eq!(fs::read(file(&folder)).expect("bytes"), bytes, "killed at {end}");
    }
}

#[test]
fn other_settings_are_named_and_nothing_is_overwritten() {
    let folder = TempDir::new().expect("a folder");
    drop(filled(&folder));
    let before = fs::read(file(&folder)).expect("bytes");
    let mut other = settings();
    other.insert("seed".to_owned(), "2".to_owned());
    other.insert("threads".to_owned(), "4".to_owned());
    let mut data = suite();
    data.sha256 = "ff".to_owned();
    let error = Store::open(folder.path(), &data, &other).expect_err("refused").to_string();
    for part in [
        "`seed` was `1` and is `2`",
        "`threads` was not set and is `4`",
        "`suite data` was `00` and is `ff`",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("model"), "{error}");
    assert_eq!(fs::read(file(&folder)).expect("bytes"), before);
}

#[test]
fn a_store_belongs_to_one_run_at_a_time() {
    let folder = TempDir::new().expect("a folder");
    let first = open(&folder).expect("a new store");
    assert!(matches!(open(&folder), Err(StoreError::InUse { .. })));
    drop(first);
    assert!(open(&folder).is_ok());
}

#[test]
fn a_damaged_line_is_named_and_the_file_left_alone() {
    let folder = TempDir::new().expect("a folder");
    drop(filled(&folder));
    let text = fs::read_to_string(file(&folder)).expect("text");
    let damaged = text.replacen("\"row\":{", "\"rwo\":{", 1);
    assert_ne!(damaged, text);
    fs::write(file(&folder), &damaged).expect("damaged");
    let error = open(&folder).expect_err("refused");
    assert!(matches!(error, StoreError::Line { line: 3, .. }), "{error}");
    assert_eq!(fs::read_to_string(file(&folder)).expect("text"), damaged);
}

#[test]
fn another_version_of_the_file_is_refused() {
    let folder = TempDir::new().expect("a folder");
    fs::write(file(&folder), "{\"schema_version\":9}\n").expect("written");
    assert!(matches!(open(&folder), Err(StoreError::Version { found: 9, .. })));
    fs::write(file(&folder), "not ours\n").expect("written");
    assert!(matches!(open(&folder), Err(StoreError::Line { line: 1, .. })));
}

#[test]
fn entries_that_do_not_follow_are_refused_before_they_are_written() {
    let folder = TempDir::new().expect("a folder");
    let mut store = filled(&folder);
    let before = fs::read(file(&folder)).expect("bytes");
    let part = |row: &str, first| Part { row: row.to_owned(), first, answers: row_answers() };
    let refused = [
        (Entry::Items(Vec::new()), "once"),
        (Entry::Row(row("sa0", Group::Rung, 1, &[]).head), "`sa0` is declared twice"),
        (Entry::Answers(part("sa9", 0)), "`sa9` is not declared"),
        (Entry::Answers(part("sa0", 3)), "goes on at item 3 of 3, not with items 3 to 3"),
        (Entry::PeakMemory { row: "sa9".to_owned(), bytes: 1 }, "`sa9` is not declared"),
    ];
    for (entry, says) in refused {
        let error = store.append(entry).expect_err("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(fs::read(file(&folder)).expect("bytes"), before);
}

fn row_answers() -> Vec<crate::compare::observation::Answer> {
    row("any", Group::Rung, 1, &[1.0]).answers
}

#[test]
fn a_run_that_is_not_done_is_no_run_yet() {
    let folder = TempDir::new().expect("a folder");
    let mut store = open(&folder).expect("a new store");
    assert!(matches!(store.observations(), Err(ObservationError::Nothing { what: "items" })));
    entries().into_iter().take(3).for_each(|entry| store.append(entry).expect("appended"));
    let error = store.observations().expect_err("not done");
    assert_eq!(error.to_string(), "row `sa0` has 2 of 3 answers");
}

#[test]
fn a_digest_tells_settings_apart_that_read_alike() {
    let digest_of =
        |name: &str, value: &str| digest(&suite(), &[(name.to_owned(), value.to_owned())].into());
    assert_eq!(digest_of("seed", "1").len(), 64);
    assert_ne!(digest_of("seed", "1"), digest_of("see", "d1"));
}
