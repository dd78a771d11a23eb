//! Tables are read a row at a time, whatever they are packed with, and what is wrong with one is
//! said with its file, row and column.

use super::written::{Form, Kind, png, write};
use super::*;
use crate::data::{ItemFile, ItemPicture};
use crate::error::TrainError;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

const COLUMNS: [(&str, Kind); 7] = [
    ("image", Kind::Picture),
    ("question", Kind::Text),
    ("choices", Kind::Texts),
    ("right", Kind::Small),
    ("hard", Kind::Truth),
    ("bbox", Kind::Reals),
    ("types", Kind::Struct("structural")),
];
const NAMES: [&str; 7] =
    ["image", "question", "choices", "right", "hard", "bbox", "types.structural"];

fn row(image: &str) -> Value {
    json!({"image": image, "question": format!("What is {image}?"), "choices": ["x", image],
           "right": 1, "hard": false, "bbox": [0.5, 1, 2, 3],
           "types": {"structural": "query"}})
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn find(folder: &TempDir) -> Result<Option<Shards>, TrainError> {
    Shards::find(folder.path(), &["", "data", "default"], "test")
}

fn found(folder: &TempDir) -> Shards {
    find(folder).expect("whole").expect("some")
}

/// What is wrong with a folder's tables, read or found.
fn refused(folder: &TempDir, columns: &[&str]) -> String {
    let read = |shards: Shards| {
        shards.read(columns, |row| {
            for column in columns {
                row.picture(column).map(|_| ()).map_err(|because| row.error(because))?;
            }
            Ok(())
        })
    };
    find(folder).map(|shards| shards.expect("some")).and_then(read).expect_err("bad").to_string()
}

#[test]
fn rows_are_read_with_values_of_every_kind_whatever_they_are_packed_with() {
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ] {
        let folder = folder();
        let rows: Vec<Value> = ["a", "b", "c", "d", "e"].into_iter().map(row).collect();
        let path = folder.path().join("test-00000-of-00001.parquet");
        write(&path, &COLUMNS, &rows, Form { codec, ..Form::default() });
        let mut seen = Vec::new();
        let read = found(&folder).read(&NAMES, |row| {
            assert_eq!(row.texts("choices").expect("texts")[0], "x");
            assert_eq!(row.count("right"), Ok(1));
            assert_eq!(row.words("right"), Ok("1".to_owned()));
            assert_eq!(row.truth("hard"), Ok(false));
            assert_eq!(row.reals("bbox"), Ok(vec![0.5, 1.0, 2.0, 3.0]));
            assert_eq!(row.text("types.structural"), Ok("query".to_owned()));
            let name = row.texts("choices").expect("texts")[1].clone();
            assert_eq!(row.picture("image").expect("a picture").bytes(), png(&name));
            seen.push((row.ordinal(), row.text("question").expect("text")));
            Ok(())
        });
        read.expect("whole");
        assert_eq!(seen.len(), 5, "{codec}");
        assert_eq!((seen[4].0, seen[4].1.as_str()), (5, "What is e?"));
    }
}

#[test]
fn a_picture_is_read_again_by_its_address_in_any_order() {
    for page in [1, 2, 1024] {
        let folder = folder();
        let rows: Vec<Value> = ["a", "b", "c", "d", "e", "f", "g"].into_iter().map(row).collect();
        let path = folder.path().join("data/test-00000-of-00001-abc123.parquet");
        write(&path, &COLUMNS, &rows, Form { group: 4, page, ..Form::default() });
        let mut cells = Vec::new();
        let read = found(&folder).read(&["image"], |row| {
            cells.push(row.picture("image").expect("a picture").cell);
            Ok(())
        });
        read.expect("whole");
        assert_eq!(cells[5].to_string(), format!("`{}`, row 6", path.display()));
        for index in [6, 0, 3, 5, 1, 4, 2] {
            let name = ["a", "b", "c", "d", "e", "f", "g"][index];
            assert_eq!(cells[index].bytes(), Ok(png(name)), "row {index}, {page} a page");
        }
    }
}

#[test]
fn a_picture_in_a_table_that_has_changed_is_an_error() {
    let folder = folder();
    let path = folder.path().join("test.parquet");
    write(&path, &COLUMNS, &[row("a"), row("b")], Form::default());
    let mut known = None;
    let read = found(&folder).read(&["image"], |row| {
        known = Some(ItemFile::embedded(&row.picture("image").expect("a picture")));
        Ok(())
    });
    read.expect("whole");
    let picture = ItemPicture::File(known.expect("a row").expect("a picture"));
    assert_eq!((picture.size(), picture.pixels().expect("there").rgb()[0]), ((2, 2), b'b'));
    write(&path, &COLUMNS, &[row("a"), row("c")], Form::default());
    let error = picture.pixels().expect_err("another").to_string();
    assert!(error.contains("test.parquet cannot be used: it has changed"), "{error}");
    write(&path, &COLUMNS, &[row("a")], Form::default());
    let error = picture.pixels().expect_err("gone").to_string();
    assert!(error.contains("row 2") && error.contains("ends before"), "{error}");
}

#[test]
fn what_is_wrong_with_a_value_is_said_with_row_and_column() {
    let folder = folder();
    let path = folder.path().join("test.parquet");
    let rows = [row("a"), row("b"), json!({"choices": ["x", null], "right": -1})];
    write(&path, &COLUMNS, &rows, Form::default());
    let read = found(&folder).read(&NAMES, |row| {
        if row.ordinal() < 3 {
            let error = row.words("choices").expect_err("a list");
            assert_eq!(error, "column `choices` is a list of 2: expected text or a number");
            let error = row.count("question").expect_err("a text");
            assert!(error.starts_with("column `question` is \"What is"), "{error}");
            return Ok(());
        }
        for error in [
            row.text("question").expect_err("null"),
            row.text("types.structural").expect_err("null"),
            row.picture("image").map(|_| String::new()).expect_err("null"),
            row.truth("hard").map(|_| String::new()).expect_err("null"),
        ] {
            assert!(error.contains("is null: expected"), "{error}");
        }
        assert_eq!(row.is_null("image"), Ok(true));
        assert_eq!(row.reals("bbox"), Ok(Vec::new()), "a list that is null is empty");
        let error = row.texts("choices").expect_err("a null in it");
        assert!(error.contains("is null: expected text as value 2 of the list"), "{error}");
        let error = row.count("right").expect_err("negative");
        assert!(error.contains("column `right` is -1: expected a whole number from 0"), "{error}");
        assert_eq!(row.text("other").expect_err("not read"), "column `other` was not read");
        Err(row.error("bad".to_owned()))
    });
    let error = read.expect_err("the third").to_string();
    assert!(error.contains("test.parquet, row `3`: bad"), "{error}");
}

#[test]
fn missing_columns_list_those_that_are_there() {
    let folder = folder();
    write(&folder.path().join("test.parquet"), &COLUMNS, &[row("a")], Form::default());
    let error = refused(&folder, &["image", "answer"]);
    assert!(error.contains("test.parquet") && error.contains("no column `answer`"), "{error}");
    assert!(error.contains("`image`, `question`, `choices`") && error.contains("`types`"));
    let error = refused(&folder, &["types"]);
    assert!(error.contains("`types` is a struct of `structural`"), "{error}");
    assert!(found(&folder).has("choices") && !found(&folder).has("query"));
}

#[test]
fn shards_are_found_in_order_in_every_layout_of_the_hub() {
    for names in [
        ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"],
        ["data/test-00000-of-00002-00ff.parquet", "data/test-00001-of-00002-aaaa.parquet"],
        ["default/test/0000.parquet", "default/test/0001.parquet"],
    ] {
        let folder = folder();
        for (name, image) in names.into_iter().zip(["a", "b"]).rev() {
            write(&folder.path().join(name), &COLUMNS, &[row(image)], Form::default());
        }
        // Of other splits, whatever they begin with.
        write(&folder.path().join("data/testdev-00000-of-00001.parquet"), &COLUMNS, &[], FORM);
        write(&folder.path().join("train-00000-of-00001.parquet"), &COLUMNS, &[], FORM);
        let mut seen = Vec::new();
        let read = found(&folder).read(&["question"], |row| {
            seen.push((row.ordinal(), row.text("question").expect("text")));
            Ok(())
        });
        read.expect("whole");
        assert_eq!(seen, [(1, "What is a?".to_owned()), (2, "What is b?".to_owned())]);
    }
    assert!(find(&folder()).expect("no tables").is_none());
}

const FORM: Form = Form { codec: Compression::SNAPPY, group: 2, page: 1024 };

#[test]
fn a_split_with_a_shard_missing_twice_or_unlike_is_refused() {
    for names in [
        &["test-00000-of-00002.parquet"][..],
        &["test-00001-of-00002.parquet"],
        &["test-00000-of-00001-aa.parquet", "test-00000-of-00001-bb.parquet"],
        &["test.parquet", "test-00000-of-00001.parquet"],
        &["test-first.parquet"],
        &["test/0001.parquet"],
    ] {
        let folder = folder();
        for name in names {
            write(&folder.path().join(name), &COLUMNS, &[row("a")], FORM);
        }
        let error = find(&folder).expect_err("not whole").to_string();
        let last = names[names.len() - 1].trim_end_matches(".parquet");
        let last = last.rsplit('/').next().expect("a name");
        assert!(error.contains("every shard") && error.contains(last), "{names:?}: {error}");
    }
    let folder = folder();
    write(&folder.path().join("test-00000-of-00002.parquet"), &COLUMNS, &[row("a")], FORM);
    let other = [("image", Kind::Picture), ("right", Kind::Text)];
    write(&folder.path().join("test-00001-of-00002.parquet"), &other, &[], FORM);
    let error = find(&folder).expect_err("unlike").to_string();
    assert!(error.contains("00001-of-00002") && error.contains("`question`, `right`"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_wherever_it_was_cut() {
    let folder = folder();
    let path = folder.path().join("test.parquet");
    write(&path, &COLUMNS, &[row("a"), row("b"), row("c")], FORM);
    let whole = fs::read(&path).expect("written");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("cut");
        let error = refused(&folder, &["image"]);
        assert!(error.contains("test.parquet") && error.contains("whole parquet file"), "{error}");
    }
    let mut wrong = whole.clone();
    wrong[whole.len() - 1] = b'2';
    fs::write(&path, &wrong).expect("written");
    assert!(refused(&folder, &["image"]).contains("whole parquet file"));
    // Pages that hold something else.
    let mut blank = whole.clone();
    blank[4..footer(&whole)].fill(0xff);
    fs::write(&path, &blank).expect("written");
    assert!(refused(&folder, &["image"]).contains("test.parquet cannot be used"));
}

/// Where the footer begins, which says where the columns lie.
fn footer(file: &[u8]) -> usize {
    let (rest, end) = file.split_at(file.len() - 8);
    rest.len() - u32::from_le_bytes(end[..4].try_into().expect("four bytes")) as usize
}

#[test]
fn columns_that_lie_behind_the_end_of_the_file_are_an_error() {
    let folder = folder();
    let path = folder.path().join("test.parquet");
    let mut long = row("a");
    long["question"] = json!("?".repeat(20_000));
    write(&path, &COLUMNS, &[long], Form { codec: Compression::UNCOMPRESSED, ..FORM });
    let whole = fs::read(&path).expect("written");
    fs::write(&path, [&whole[..4], &whole[footer(&whole)..]].concat()).expect("written");
    let error = refused(&folder, &["image"]);
    assert!(error.contains("row group 1 does not fit in its"), "{error}");
}

#[test]
fn what_the_library_asserts_is_an_error_too() {
    let asserted = guarded(|| -> Result<(), ParquetError> { panic!("levels differ") });
    assert_eq!(asserted, Err("it is damaged".to_owned()));
    assert!(open(&folder().path().join("test.parquet")).is_err(), "there is none");
}
