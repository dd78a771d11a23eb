//! The tables of a record as data: the terminal and the report print the same ones.

mod selection;

use super::format::{self, FlopUnit, NONE};
use crate::compare::observation::{Group, Kind, Scope, Stage};
use crate::compare::record::{CompareRecord, FamilyMean, Protocol, RowRecord};

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) title: String,
    /// What one has to know to read it.
    pub(crate) note: String,
    pub(crate) header: Vec<String>,
    /// Columns from the left that are words and not numbers.
    pub(crate) words: usize,
    pub(crate) rows: Vec<TableRow>,
}

/// A row of cells, as many as the header has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableRow {
    pub(crate) cells: Vec<String>,
    /// What kind of row of the record it shows, if it shows one.
    pub(crate) group: Option<Group>,
}

/// All tables that have something to say.
pub(crate) fn tables(record: &CompareRecord) -> Vec<Table> {
    let tables = [
        accuracy_and_cost(record),
        official(record),
        families(record),
        times(record),
        comparisons(record),
        routing(record),
        routing_by_family(record),
        difficulty(record),
        selection::worth(record),
        selection::numbers(record),
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// Rows by group, each in the order of the record.
fn ordered(record: &CompareRecord) -> Vec<&RowRecord> {
    let mut rows: Vec<&RowRecord> = record.main_rows().collect();
    rows.sort_by_key(|row| row.group);
    rows
}

fn row_of(row: &RowRecord, cells: Vec<String>) -> TableRow {
    TableRow { cells, group: Some(row.group) }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn or_none<T>(value: Option<T>, format: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), format)
}

fn family_mean(mean: Option<FamilyMean>) -> String {
    or_none(mean, |mean| format::estimate(&mean.accuracy))
}

/// What the benchmark's own evaluation reports.
fn official(record: &CompareRecord) -> Table {
    let title = "The benchmark's own figures".to_owned();
    let Some(benchmark) = &record.benchmark else {
        return Table { title, note: String::new(), header: vec![], words: 0, rows: vec![] };
    };
    let names = benchmark.rows.values().next().into_iter().flatten();
    let names = names.map(|figure| figure.name.clone());
    let header = [words(["budget", "kind"]), names.collect()].concat();
    let row = |row: &RowRecord| {
        let figures = benchmark.rows.get(&row.name)?.iter();
        let figures = figures.map(|figure| format!("{:.1}", figure.value));
        let mut cells = vec![row.name.clone(), row.group.word().to_owned()];
        cells.extend(figures);
        Some(row_of(row, cells))
    };
    let rows = ordered(record).into_iter().filter_map(row).collect();
    let note = format!("{}: {}. Source: {}.", benchmark.name, benchmark.metric, benchmark.source);
    Table { title, note, header, words: 2, rows }
}

fn accuracy_and_cost(record: &CompareRecord) -> Table {
    let unit = FlopUnit::of(record);
    let saving = if record.dense.is_some() { " (saving)" } else { "" };
    let mut header = words(["budget", "kind", "accuracy %"]);
    header.push(format!("vs {}, points", record.full));
    header.extend(words(["easy mean %", "hard mean %"]));
    for scope in Scope::ALL {
        header.push(format!("{}, {}{saving}", scope.title(), unit.name));
    }
    header.extend(words(["SA layers", "dominated by"]));
    let cost = |row: &RowRecord, scope| {
        let cost = unit.format(row.gflops.of(scope));
        match row.savings.and_then(|savings| savings.of(scope)) {
            Some(saving) => format!("{cost} ({})", format::times(saving)),
            None => cost,
        }
    };
    let row = |row: &RowRecord| {
        let mut cells = vec![
            row.name.clone(),
            row.group.word().to_owned(),
            or_none(row.accuracy.as_ref(), format::estimate),
            or_none(row.difference.as_ref(), format::difference),
            family_mean(row.easy),
            family_mean(row.hard),
        ];
        cells.extend(Scope::ALL.map(|scope| cost(row, scope)));
        cells.push(format!("{:.2}", row.self_attention_layers));
        cells.push(or_none(row.dominated_by.end_to_end.clone(), |name| name));
        row_of(row, cells)
    };
    let mut note = format!(
        "Mean over {} questions about {} pictures; intervals of 95 %; costs are mean {} a question.",
        format::grouped(record.items),
        format::grouped(record.pictures),
        unit.name
    );
    if let Some(dense) = &record.dense {
        note.push_str(&format!(" Savings: mean cost of `{dense}` over the mean cost of the row."));
    }
    Table {
        title: "Accuracy and cost".to_owned(),
        note,
        header,
        words: 2,
        rows: ordered(record).into_iter().map(row).collect(),
    }
}

fn families(record: &CompareRecord) -> Table {
    let mut header = words(["budget"]);
    let shown = |kind| record.families.iter().filter(move |family| family.kind == kind);
    for kind in [Kind::Easy, Kind::Hard, Kind::Other] {
        header.extend(shown(kind).map(|family| family.name.clone()));
        match kind {
            Kind::Easy | Kind::Hard if shown(kind).next().is_some() => {
                header.push(format!("{} mean", kind.word()));
            }
            Kind::Easy | Kind::Hard | Kind::Other => {}
        }
    }
    header.push("all families".to_owned());
    let row = |row: &RowRecord| {
        let mean = |mean: Option<FamilyMean>| or_none(mean, |m| format::percent(m.accuracy.mean));
        let mut cells = vec![row.name.clone()];
        for kind in [Kind::Easy, Kind::Hard, Kind::Other] {
            let of_family = |name| or_none(row.families.get(name), |e| format::percent(e.mean));
            cells.extend(shown(kind).map(|family| of_family(&family.name)));
            match kind {
                Kind::Easy if shown(kind).next().is_some() => cells.push(mean(row.easy)),
                Kind::Hard if shown(kind).next().is_some() => cells.push(mean(row.hard)),
                Kind::Easy | Kind::Hard | Kind::Other => {}
            }
        }
        cells.push(mean(row.all_families));
        row_of(row, cells)
    };
    let answered = |row: &&RowRecord| row.accuracy.is_some();
    let sizes: Vec<String> = [Kind::Easy, Kind::Hard, Kind::Other]
        .into_iter()
        .flat_map(shown)
        .map(|family| format!("{} {}", family.name, format::grouped(family.items)))
        .collect();
    Table {
        title: "Accuracy by family, %".to_owned(),
        note: format!("Means weigh families alike. Questions: {}.", sizes.join(", ")),
        header,
        words: 1,
        rows: ordered(record).into_iter().filter(answered).map(row).collect(),
    }
}

fn times(record: &CompareRecord) -> Table {
    let mut header = words(["budget"]);
    header.extend(Stage::ALL.map(|stage| match stage {
        Stage::FirstToken => "first token, ms".to_owned(),
        other => format!("{}, ms", other.word()),
    }));
    let reference = record.dense.as_deref().unwrap_or(&record.full);
    header.push(format!("{reference} over it"));
    header.extend(words(["peak MB", "n"]));
    let first = |row: &RowRecord| Some(row.times_ms.get(&Stage::FirstToken)?.median);
    let base = record.row(reference).and_then(first);
    let row = |row: &RowRecord| {
        let mut cells = vec![row.name.clone()];
        cells.extend(Stage::ALL.map(|stage| {
            or_none(row.times_ms.get(&stage), |times| {
                let (median, p95) =
                    (format::significant(times.median), format::significant(times.p95));
                format!("{median} ({p95})")
            })
        }));
        let ratio = base.zip(first(row)).map(|(base, own)| base / own);
        cells.push(or_none(ratio.filter(|ratio| ratio.is_finite()), format::times));
        cells.push(or_none(row.peak_rss_bytes, format::megabytes));
        cells.push(or_none(row.times_ms.get(&Stage::FirstToken), |times| times.n.to_string()));
        row_of(row, cells)
    };
    let measured = |row: &&RowRecord| !row.times_ms.is_empty() || row.peak_rss_bytes.is_some();
    let mut note = "Median (95th percentile).".to_owned();
    if let Some(protocol) = &record.protocol {
        let Protocol { warm_up, order } = protocol;
        note.push_str(&format!(" {warm_up} warm-up requests a row; {order}."));
    }
    Table {
        title: "Measured times and memory".to_owned(),
        note,
        header,
        words: 1,
        rows: ordered(record).into_iter().filter(measured).map(row).collect(),
    }
}

fn comparisons(record: &CompareRecord) -> Table {
    let rows = record.comparisons.iter().map(|found| TableRow {
        cells: vec![
            found.name.clone(),
            found.a.clone(),
            found.b.clone(),
            format::comparison(found),
            or_none(found.p, format::probability),
            found.n.to_string(),
            or_none(found.cost_ratio, |ratio| format!("{ratio:.3}")),
            if found.equal_cost { "yes" } else { "no" }.to_owned(),
        ],
        group: None,
    });
    let header =
        ["question", "a", "b", "a - b, points", "McNemar p", "n", "cost a / b", "equal cost"];
    Table {
        title: "Paired comparisons".to_owned(),
        note: format!(
            "On the same questions; costs are those of {}, equal within 1 %. No correction for the number of comparisons.",
            record.cost_scope.title()
        ),
        header: words(header),
        words: 3,
        rows: rows.collect(),
    }
}

fn routing(record: &CompareRecord) -> Table {
    let mut header = words(["budget"]);
    header.extend(record.ladder.iter().cloned());
    header.push("SA layers".to_owned());
    let row = |row: &RowRecord| {
        let shares = &row.routing.as_ref()?.all;
        let mut cells = vec![row.name.clone()];
        cells.extend(shares.iter().map(|share| format::percent(*share)));
        cells.push(format!("{:.2}", row.self_attention_layers));
        Some(row_of(row, cells))
    };
    Table {
        title: "How often each rung is taken, %".to_owned(),
        note: String::new(),
        header,
        words: 1,
        rows: ordered(record).into_iter().filter_map(row).collect(),
    }
}

fn routing_by_family(record: &CompareRecord) -> Table {
    let routed = record.routed.as_deref().and_then(|name| record.row(name));
    let shares = routed.and_then(|row| row.routing.as_ref());
    let mut header = words(["family", "kind"]);
    header.extend(record.ladder.iter().cloned());
    let rows = record.families.iter().filter_map(|family| {
        let mut cells = vec![family.name.clone(), family.kind.word().to_owned()];
        let shares = shares?.families.get(&family.name)?;
        cells.extend(shares.iter().map(|share| format::percent(*share)));
        Some(TableRow { cells, group: None })
    });
    let name = record.routed.as_deref().unwrap_or(NONE);
    Table {
        title: format!("What `{name}` chooses by family, %"),
        note: String::new(),
        header,
        words: 2,
        rows: rows.collect(),
    }
}

fn difficulty(record: &CompareRecord) -> Table {
    let shown = |row: &&&RowRecord| {
        let main = Some(row.name.as_str()) == record.routed.as_deref();
        row.group == Group::Rung || main || Some(row.name.as_str()) == record.dense.as_deref()
    };
    let rows = ordered(record);
    let shown: Vec<&RowRecord> = rows.iter().filter(shown).copied().collect();
    let mut header = words(["family", "scalar", "value", "n"]);
    header.extend(shown.iter().map(|row| row.name.clone()));
    let mut rows = Vec::new();
    // The cells are those of the first row that has any: all rows are asked the same questions.
    let axes = shown.iter().find(|row| !row.difficulty.is_empty()).map(|row| &row.difficulty);
    for (family, scalars) in axes.into_iter().flatten() {
        for (scalar, cells) in scalars {
            for cell in cells {
                let of_row = |row: &&RowRecord| {
                    let cells = row.difficulty.get(family)?.get(scalar)?;
                    let found = cells.iter().find(|other| other.value == cell.value)?;
                    Some(format::percent(found.accuracy.mean))
                };
                let n = cell.accuracy.n.to_string();
                let mut cells = vec![family.clone(), scalar.clone(), cell.value.to_string(), n];
                cells.extend(shown.iter().map(|row| or_none(of_row(row), |cell| cell)));
                rows.push(TableRow { cells, group: None });
            }
        }
    }
    Table {
        title: "Accuracy by difficulty, %".to_owned(),
        note: String::new(),
        header,
        words: 2,
        rows,
    }
}
