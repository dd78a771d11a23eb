//! Pictures and the report: that they are there, whole and by themselves.
//!
//! They are written to the folder of temporary files that cargo gives to tests, to be looked at.

use crate::synthetic::{record, synthetic};
use std::path::Path;
use visor_benches::compare::folder;
use visor_benches::compare::html::report;
use visor_benches::compare::plot::Figure;
use visor_benches::compare::record::CompareRecord;

fn written(name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("written");
}

fn sound() -> CompareRecord {
    record(&synthetic(400, 1))
}

#[test]
fn every_figure_is_drawn_as_svg_and_as_png_of_twice_its_size() {
    let record = sound();
    for figure in Figure::ALL {
        let svg = figure.svg(&record).expect("drawn").expect("a figure");
        let png = figure.png(&record).expect("drawn").expect("a figure");
        written(&format!("{}.svg", figure.stem()), svg.as_bytes());
        written(&format!("{}.png", figure.stem()), &png);
        let size = |name: &str| -> u32 {
            let (_, rest) = svg.split_once(&format!(" {name}=\"")).expect("a size");
            rest.split('"').next().and_then(|size| size.parse().ok()).expect("a number")
        };
        let picture = image::load_from_memory(&png).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (2 * size("width"), 2 * size("height")));
        assert!(svg.trim_end().ends_with("</svg>"));
    }
}

#[test]
fn the_same_record_gives_the_same_pictures() {
    let (one, other) = (sound(), sound());
    for figure in Figure::ALL {
        assert_eq!(figure.svg(&one).expect("drawn"), figure.svg(&other).expect("drawn"));
    }
}

#[test]
fn points_are_named_where_they_are_and_controls_are_not_drawn() {
    let record = sound();
    let svg = Figure::EndToEnd.svg(&record).expect("drawn").expect("a figure");
    for name in ["sa0", "auto@0.10", "dense", "pooled-9", "oracle", "sa3/pool2"] {
        assert!(svg.contains(&format!(">\n{name}\n<")), "{name}");
    }
    assert!(!svg.contains("blank@sa3"));
}

#[test]
fn a_record_without_times_policy_or_difficulty_has_the_other_figures() {
    let mut record = sound();
    for row in &mut record.rows {
        row.times_ms.clear();
        row.difficulty.clear();
    }
    record.routed = None;
    for (figure, is_there) in [
        (Figure::EndToEnd, true),
        (Figure::Families, true),
        (Figure::FirstToken, false),
        (Figure::Routing, false),
        (Figure::Difficulty, false),
    ] {
        assert_eq!(figure.svg(&record).expect("drawn").is_some(), is_there, "{figure:?}");
        assert_eq!(figure.png(&record).expect("drawn").is_some(), is_there, "{figure:?}");
    }
    assert!(report(&record).is_ok());
}

#[test]
fn a_record_of_one_rung_is_still_drawn() {
    let mut record = sound();
    record.rows.retain(|row| row.name == "sa3");
    record.comparisons.clear();
    record.routed = None;
    for figure in Figure::ALL {
        assert!(figure.svg(&record).is_ok() && figure.png(&record).is_ok(), "{figure:?}");
    }
}

#[test]
fn the_report_needs_no_network_and_runs_nothing() {
    let html = report(&sound()).expect("a report");
    written("report.html", html.as_bytes());
    for from_outside in ["<script", "src=", "@import", "<link", "<iframe"] {
        assert!(!html.contains(from_outside), "{from_outside}");
    }
    assert_eq!(html.matches("url(").count(), html.matches("url(data:font/ttf;").count());
    // The name of a vocabulary is no address that anything is fetched from.
    let without_names = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    assert!(!without_names.contains("http"));
    assert_eq!(html.matches("<svg").count(), Figure::ALL.len());
    assert!(html.contains("2 a multiply-add") && html.contains("What each row is"));
}

#[test]
fn what_a_row_is_called_cannot_break_the_report() {
    let mut record = sound();
    record.rows[0].name = "<script>alert(1)</script>".to_owned();
    record.model.name = "a & b <i>".to_owned();
    let html = report(&record).expect("a report");
    assert!(!html.contains("<script") && !html.contains("<i>"));
}

#[test]
fn a_folder_gets_the_record_its_pictures_and_the_report_and_loses_pictures_of_an_older_one() {
    let place = tempfile::TempDir::new().expect("a folder");
    let place = place.path().join("deep").join("out");
    let mut record = record(&synthetic(30, 1));
    let written = folder::write(&record, &place).expect("written");
    assert_eq!(written.len(), 2 + 2 * Figure::ALL.len());
    let json = std::fs::read_to_string(place.join(folder::RECORD)).expect("a record");
    assert!(CompareRecord::from_json(&json).expect("a record") == record);
    std::fs::write(place.join("observations.jsonl"), "kept").expect("written");
    record.rows.iter_mut().for_each(|row| row.times_ms.clear());
    let written = folder::write(&record, &place).expect("written");
    assert!(!place.join("accuracy-first-token.png").exists());
    let there = std::fs::read_dir(&place).expect("a folder").count();
    assert_eq!(there, written.len() + 1, "nothing half-written is left");
}
