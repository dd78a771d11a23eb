//! A record for people and programs: Markdown, CSV, JSON.

use super::record::{RecordError, Row, SpeedRecord};
use crate::format::Format;
use thiserror::Error;

/// Why a record cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// As JSON.
    #[error(transparent)]
    Json(#[from] RecordError),
    /// As CSV.
    #[error("cannot write the table as CSV")]
    Csv(#[from] csv::Error),
}

/// The record in a format, with a line end.
///
/// # Errors
/// None in practice: all of a record can be written in all formats.
pub fn render(record: &SpeedRecord, format: Format) -> Result<String, RenderError> {
    match format {
        Format::Markdown => Ok(markdown(record)),
        Format::Json => Ok(record.to_json()?),
        Format::Csv => table(record),
    }
}

const HEAD: [&str; 16] = [
    "stage",
    "budget",
    "tiles",
    "batch",
    "threads",
    "device",
    "prompt",
    "GFLOP",
    "ms",
    "p95",
    "spread",
    "tok/s",
    "of the limit",
    "peak MB",
    "kept MB",
    "ms peer",
];

fn cells(record: &SpeedRecord, row: &Row) -> [String; 16] {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let limit = record.ceiling(row.threads).and_then(|ceiling| row.floor_ms(ceiling));
    let peer = row.peer_ms.as_ref().zip(row.ratio);
    [
        row.stage.to_string(),
        row.budget.clone().unwrap_or_else(|| "any".to_owned()),
        row.tiles.to_string(),
        row.batch.to_string(),
        row.threads.to_string(),
        row.place(),
        row.prompt_tokens.to_string(),
        or_dash(row.gflops.map(figure)),
        figure(row.ms.median),
        figure(row.ms.p95),
        format!("{:.0} %", 100.0 * row.ms.spread),
        or_dash(row.tokens_per_second().map(figure)),
        or_dash(limit.map(|limit| format!("{:.0} %", 100.0 * limit / row.ms.median))),
        or_dash(row.peak_rss_bytes.map(|bytes| (bytes >> 20).to_string())),
        or_dash(row.kept_bytes.map(|bytes| figure(bytes as f64 / 1e6))),
        or_dash(peer.map(|(peer, ratio)| format!("{} ({ratio:.2})", figure(peer.median)))),
    ]
}

/// Three digits that count.
fn figure(value: f64) -> String {
    let digits = 2 - value.abs().max(1e-9).log10().floor() as i32;
    format!("{value:.*}", usize::try_from(digits.clamp(0, 6)).unwrap_or(0))
}

fn markdown(record: &SpeedRecord) -> String {
    let model = &record.model;
    let weights = if model.sha256.is_some() { "its own weights" } else { "random weights" };
    let mut text = format!(
        "`{}`, {weights}, {:.1} M parameters, {}; {}, {} processors.\n",
        model.name,
        model.parameters as f64 / 1e6,
        model.dtype,
        record.environment.cpu,
        record.environment.cpus
    );
    if let Some(clock) = record.settings.get("clock") {
        text.push_str(&format!("* Clock: {clock}.\n"));
    }
    for ceiling in &record.ceilings {
        text.push_str(&format!(
            "* At best with {} threads: {} GFLOP/s in a matrix product, copies {} GB/s, reads {} \
             GB/s.\n",
            ceiling.threads,
            figure(ceiling.matmul_gflops),
            figure(ceiling.copy_gb_per_s),
            figure(ceiling.read_gb_per_s)
        ));
    }
    if let Some([before, after]) = record.load {
        text.push_str(&format!("* Load of the machine: {before:.1} before, {after:.1} after.\n"));
    }
    if let Some(peer) = &record.peer {
        text.push_str(&format!("* The peer, with its median and ours over it: {peer}.\n"));
    }
    text.push('\n');
    let rows: Vec<_> = record.rows.iter().map(|row| cells(record, row)).collect();
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| {
        let all = rows.iter().chain([&head]);
        all.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 16] = std::array::from_fn(width);
    let line = |row: &[String; 16]| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 | 1 | 5 => format!(" {cell:<width$} |"),
            _ => format!(" {cell:>width$} |"),
        });
        format!("|{}\n", cells.collect::<String>())
    };
    text.push_str(&line(&head));
    let rules = widths.iter().enumerate().map(|(column, width)| match column {
        0 | 1 | 5 => format!(" {} |", "-".repeat(*width)),
        _ => format!(" {}: |", "-".repeat(width - 1)),
    });
    text.push_str(&format!("|{}\n", rules.collect::<String>()));
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

fn table(record: &SpeedRecord) -> Result<String, RenderError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "stage",
        "budget",
        "tiles",
        "batch",
        "threads",
        "device",
        "visual_tokens",
        "prompt_tokens",
        "gflops",
        "bytes",
        "median_ms",
        "p95_ms",
        "min_ms",
        "spread",
        "peak_rss_bytes",
        "kept_bytes",
        "peer_median_ms",
        "ratio",
        "dtype",
    ])?;
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let whole = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    for row in &record.rows {
        writer.write_record([
            row.stage.to_string(),
            row.budget.clone().unwrap_or_default(),
            row.tiles.to_string(),
            row.batch.to_string(),
            row.threads.to_string(),
            row.device.clone(),
            row.visual_tokens.to_string(),
            row.prompt_tokens.to_string(),
            text(row.gflops),
            whole(row.bytes),
            row.ms.median.to_string(),
            row.ms.p95.to_string(),
            row.ms.min.to_string(),
            row.ms.spread.to_string(),
            whole(row.peak_rss_bytes),
            whole(row.kept_bytes),
            text(row.peer_ms.as_ref().map(|peer| peer.median)),
            text(row.ratio),
            row.dtype.clone(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, text) in
            [(0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
        {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn the_table_has_a_line_a_row_with_limit_and_ratio() {
        let text = render(&sample(), Format::Markdown).expect("written");
        let encode = text.lines().find(|line| line.starts_with("| encode")).expect("a row");
        // 50 ms of 105, and half of the peer's time.
        assert!(encode.contains("48 %") && encode.contains("210 (0.50)"), "{text}");
        let widths: Vec<usize> =
            text.lines().filter(|l| l.starts_with('|')).map(|l| l.chars().count()).collect();
        assert!(widths.len() == 4 && widths.iter().all(|width| *width == widths[0]), "{text}");
    }

    #[test]
    fn the_csv_has_a_line_a_row() {
        let text = render(&sample(), Format::Csv).expect("written");
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.lines().nth(2).expect("a row").starts_with("decode,dense,1,1,2,cpu,64,94,20,")
        );
    }
}
