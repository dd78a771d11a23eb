//! The report: one HTML file with all pictures and tables, which opens without network and runs
//! nothing.

mod methods;

use super::plot::{Figure, PlotError, font, theme};
use super::record::{CompareRecord, RowRecord};
use super::render::format::{self, FlopUnit};
use super::render::tables::{Table, TableRow, tables};
use super::render::{facts, title};

static STYLE: &str = include_str!("html/report.css");

/// The report of a record.
///
/// # Errors
/// Those of the pictures: none in practice.
pub fn report(record: &CompareRecord) -> Result<String, PlotError> {
    let title = escaped(&title(record));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{}{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        font::faces(),
        dark_pictures()
    );
    html.push_str(&format!(
        "<p class=\"faint\">Every budget, baseline and control answered the same {} questions; all \
         differences are paired.</p>\n",
        format::grouped(record.items)
    ));
    html.push_str(&cards(record));
    html.push_str("<dl>\n");
    for (name, value) in facts(record) {
        html.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escaped(&name), escaped(&value)));
    }
    html.push_str("</dl>\n<h2>Pictures</h2>\n");
    for figure in Figure::ALL {
        if let Some(svg) = figure.inline_svg(record)? {
            let name = figure.stem().replace('-', " ");
            let svg = svg.trim().replacen(
                "<svg ",
                &format!("<svg role=\"img\" aria-label=\"{name}\" "),
                1,
            );
            html.push_str(&format!("<figure>\n{svg}\n</figure>\n"));
        }
    }
    for table in tables(record) {
        html.push_str(&format!("<h2>{}</h2>\n", escaped(&table.title).replace('`', "")));
        if !table.note.is_empty() {
            html.push_str(&format!("<p class=\"faint\">{}</p>\n", coded(&table.note)));
        }
        html.push_str(&of_table(&table, &[]));
    }
    html.push_str(&methods::section(record));
    html.push_str("</body>\n</html>\n");
    Ok(html)
}

/// The first numbers that anybody asks for.
fn cards(record: &CompareRecord) -> String {
    let unit = FlopUnit::of(record);
    let main = record.routed.as_deref().unwrap_or(&record.full);
    let Some(row) = record.row(main) else { return String::new() };
    let mut cards = Vec::new();
    if let Some(accuracy) = &row.accuracy {
        let more =
            format!("[{}, {}]", format::percent(accuracy.low), format::percent(accuracy.high));
        cards.push((
            format!("{main}: accuracy"),
            format!("{} %", format::percent(accuracy.mean)),
            more,
        ));
    }
    if let Some(found) = &row.difference {
        let more =
            format!("points, [{}, {}]", format::signed(found.low), format::signed(found.high));
        cards.push((format!("against {}", record.full), format::signed(found.difference), more));
    }
    let cost = format!("{} {}", unit.format(row.gflops.end_to_end), unit.name);
    cards.push(("end to end, a question".to_owned(), cost, saving(record, row)));
    let regret = record.comparisons.iter().find(|found| found.a == main && found.b == "oracle");
    if let Some(found) = regret {
        let more =
            format!("points, [{}, {}]", format::signed(found.low), format::signed(found.high));
        cards.push(("against the oracle".to_owned(), format::signed(found.difference), more));
    }
    let card = |(name, value, more): (String, String, String)| {
        format!(
            "<div class=\"card\"><div class=\"name\">{}</div><div class=\"value\">{}</div>\
             <div class=\"more\">{}</div></div>\n",
            escaped(&name),
            escaped(&value),
            escaped(&more)
        )
    };
    format!("<div class=\"cards\">\n{}</div>\n", cards.into_iter().map(card).collect::<String>())
}

fn saving(record: &CompareRecord, row: &RowRecord) -> String {
    let saving = row.savings.and_then(|savings| savings.end_to_end);
    match (saving, &record.dense) {
        (Some(saving), Some(dense)) => format!("{} less than {dense}", format::times(saving)),
        _ => String::new(),
    }
}

/// A table; columns of `free` text may break their lines.
fn of_table(table: &Table, free: &[usize]) -> String {
    let class = |column: usize| if column < table.words { "word" } else { "" };
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for (column, cell) in table.header.iter().enumerate() {
        html.push_str(&format!("<th class=\"{}\">{}</th>", class(column), escaped(cell)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let mut last = table.rows.first().and_then(|row| row.group);
    for TableRow { cells, group } in &table.rows {
        let apart = if *group != last { " class=\"apart\"" } else { "" };
        last = *group;
        html.push_str(&format!("<tr{apart}>"));
        let group = group.map_or("", |group| group.word());
        for (column, cell) in cells.iter().enumerate() {
            let free = if free.contains(&column) { " free" } else { "" };
            let class = format!("{} {group}{free}", class(column));
            html.push_str(&format!("<td class=\"{}\">{}</td>", class.trim(), escaped(cell)));
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody>\n</table></div>\n"
}

/// Rules that give pictures their colours on a dark page.
fn dark_pictures() -> String {
    let rules = theme::DARK.iter().map(|(light, dark)| {
        let (light, dark) = (light.hex(), dark.hex());
        format!(
            "  svg [fill=\"{light}\"] {{ fill: {dark}; }}\n  \
             svg [stroke=\"{light}\"] {{ stroke: {dark}; }}\n"
        )
    });
    format!("@media (prefers-color-scheme: dark) {{\n{}}}\n", rules.collect::<String>())
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text that is no markup but for what stands between backticks.
fn coded(text: &str) -> String {
    let parts = escaped(text);
    let coded = parts.split('`').enumerate().map(|(number, part)| match number % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    });
    coded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_name_is_text_and_never_markup() {
        assert_eq!(escaped("<b>\"a\" & 'b'</b>"), "&lt;b&gt;&quot;a&quot; &amp; 'b'&lt;/b&gt;");
        assert_eq!(coded("cost of `a<b`."), "cost of <code>a&lt;b</code>.");
    }
}
