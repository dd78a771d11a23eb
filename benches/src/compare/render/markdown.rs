//! Markdown that reads well on a terminal as it is: columns are aligned.

use super::format;
use super::tables::{Table, tables};
use crate::compare::record::CompareRecord;
use std::collections::BTreeMap;

/// The record as Markdown: what was compared, then all tables, costs end to end first.
pub fn markdown(record: &CompareRecord) -> String {
    let mut text = format!("# {}\n\n", title(record));
    for (name, value) in facts(record) {
        text.push_str(&format!("* {name}: {value}\n"));
    }
    for table in tables(record) {
        text.push_str(&format!("\n## {}\n\n", table.title));
        if !table.note.is_empty() {
            text.push_str(&format!("{}\n\n", table.note));
        }
        text.push_str(&aligned(&table));
    }
    text
}

/// What was compared, in a line.
pub(crate) fn title(record: &CompareRecord) -> String {
    format!("Budgets of {} on {}, {}", record.model.name, record.suite.name, record.suite.split)
}

/// What a reader wants to know before the numbers.
pub(crate) fn facts(record: &CompareRecord) -> Vec<(String, String)> {
    let short = |sha256: &str| sha256.chars().take(12).collect::<String>();
    let named = |name: &str, sha256: &str| format!("{name} ({})", short(sha256));
    let environment = &record.environment;
    let (items, pictures) = (format::grouped(record.items), format::grouped(record.pictures));
    let mut facts = vec![
        ("model".to_owned(), named(&record.model.name, &record.model.sha256)),
        ("data".to_owned(), {
            let suite = named(&record.suite.name, &record.suite.sha256);
            format!("{suite}, {}: {items} questions about {pictures} pictures", record.suite.split)
        }),
        ("machine".to_owned(), {
            let (cpu, cpus) = (&environment.cpu, environment.cpus);
            format!("{cpu}, {cpus} logical processors, {}", environment.platform)
        }),
        ("program".to_owned(), {
            let optimised = if environment.optimised { "optimised" } else { "not optimised" };
            format!("visor {}, burn {}, {optimised}", environment.visor, environment.burn)
        }),
    ];
    if let Some(policy) = &record.policy {
        facts.insert(1, ("policy".to_owned(), named(&policy.name, &policy.sha256)));
    }
    facts.extend(settings(&record.settings));
    facts
}

/// Settings for people: without those that stand among the facts, and with a word where a list is
/// empty.
pub(crate) fn settings(all: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let is_fact = |name: &str| name.starts_with("model") || name.starts_with("policy");
    let shown = all.iter().filter(|(name, _)| !is_fact(name));
    let text = |value: &String| match value.is_empty() {
        true => format::NONE.to_owned(),
        false => value.replace(',', ", "),
    };
    shown.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// A table whose columns are aligned, without its title and note.
pub(crate) fn aligned(table: &Table) -> String {
    let escaped = |cells: &[String]| -> Vec<String> {
        cells.iter().map(|cell| cell.replace('|', "\\|")).collect()
    };
    let header = escaped(&table.header);
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| escaped(&row.cells)).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&header]).filter_map(|cells| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let mut line = String::from("|");
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            match column < table.words {
                true => line.push_str(&format!(" {cell:<width$} |")),
                false => line.push_str(&format!(" {cell:>width$} |")),
            }
        }
        line + "\n"
    };
    let rule = widths.iter().enumerate().map(|(column, width)| match column < table.words {
        true => format!("{}|", "-".repeat(width + 2)),
        false => format!("{}:|", "-".repeat(width + 1)),
    });
    let rule = format!("|{}\n", rule.collect::<String>());
    let rows: String = rows.iter().map(line).collect();
    line(&header) + &rule + &rows
}
