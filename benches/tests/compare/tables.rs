//! Goldens of what people and programs read.

use crate::synthetic::{record, synthetic};
use visor_benches::compare::render::render;
use visor_benches::format::Format;

#[test]
fn the_terminal_shows_end_to_end_costs_first() {
    let text = render(&record(&synthetic(40, 1)), Format::Markdown).expect("markdown");
    insta::assert_snapshot!("markdown", text);
    let end_to_end = text.find("end to end, MFLOPs").expect("a column");
    assert!(end_to_end < text.find("LM prefill, MFLOPs").expect("a column"));
}

#[test]
fn csv_has_a_line_a_row_and_as_many_cells_everywhere() {
    let record = record(&synthetic(40, 1));
    let text = render(&record, Format::Csv).expect("csv");
    insta::assert_snapshot!("csv", text);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let lines: Vec<csv::StringRecord> =
        reader.records().map(|line| line.expect("a line")).collect();
    assert_eq!(lines.len(), record.rows.len());
    for (line, row) in lines.iter().zip(&record.rows) {
        assert_eq!(&line[0], row.name);
        let accuracy: f64 = line[5].parse().expect("a number");
        assert_eq!(Some(accuracy), row.accuracy.map(|accuracy| accuracy.mean));
    }
}

#[test]
fn every_line_of_a_table_has_as_many_cells_and_is_as_wide() {
    let text = render(&record(&synthetic(40, 1)), Format::Markdown).expect("markdown");
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let lines: Vec<&str> = table.trim_end().lines().collect();
        assert!(lines.len() > 2);
        let width = |line: &str| line.chars().count();
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(lines.iter().all(|line| width(line) == width(lines[0])), "{table}");
        assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{table}");
    }
}

#[test]
fn json_is_the_record() {
    let record = record(&synthetic(20, 1));
    assert_eq!(render(&record, Format::Json).expect("json"), record.to_json().expect("json"));
}
