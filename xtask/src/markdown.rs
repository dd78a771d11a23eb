//! As much of Markdown as the checks and the generator read: tables, code spans, links, blocks.

use anyhow::{Context, Result, bail, ensure};

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// The rows below the table header that consists of these cells.
pub(crate) fn table(text: &str, header: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut lines = text.lines();
    lines
        .find(|line| cells(line).is_some_and(|cells| cells == header))
        .with_context(|| format!("no table with the columns {}", header.join(", ")))?;
    let rows: Vec<Vec<String>> = lines.skip(1).map_while(cells).collect();
    for row in &rows {
        ensure!(row.len() == header.len(), "a row of {} cells: {}", row.len(), row.join(" | "));
    }
    Ok(rows)
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// What stands between backticks, outside of fenced blocks.
pub(crate) fn code_spans(text: &str) -> Vec<String> {
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The targets of inline links and pictures, outside of fenced blocks.
pub(crate) fn links(text: &str) -> Vec<String> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Whether a document has generated blocks.
pub(crate) fn has_blocks(text: &str) -> bool {
    text.lines().any(|line| line.starts_with(BEGIN))
}

/// The document with every generated block filled with what `content` gives for its name.
pub(crate) fn fill_blocks(text: &str, content: &dyn Fn(&str) -> Result<String>) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some(begin) = line.strip_prefix(BEGIN) else { continue };
        let name = begin.strip_suffix(" -->").context("a generated block without a name")?;
        match lines.find(|line| *line == END || line.starts_with(BEGIN)) {
            Some(END) => {}
            _ => bail!("the generated block `{name}` has no `{END}`"),
        }
        let content = content(name).with_context(|| format!("generated block `{name}`"))?;
        filled.push_str(&format!("\n{}\n\n{END}\n", content.trim()));
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A title

| crate | needs |
|---|---|
| `a` | `b`, `c` |
| `b` | - |

See [the map](docs/map.md) and `src/lib.rs`.

```
`not a span` [no link](nowhere)
```
";

    #[test]
    fn a_table_is_found_by_its_header_and_ends_with_its_rows() {
        let rows = table(TEXT, &["crate", "needs"]).expect("a table");
        assert_eq!(rows, [["`a`", "`b`, `c`"], ["`b`", "-"]]);
        assert!(table(TEXT, &["crate"]).is_err());
    }

    #[test]
    fn a_row_with_a_cell_too_many_is_an_error() {
        let text = "| a | b |\n|---|---|\n| 1 | 2 | 3 |\n";
        assert!(table(text, &["a", "b"]).is_err());
    }

    #[test]
    fn fenced_blocks_hold_neither_code_spans_nor_links() {
        assert_eq!(code_spans(TEXT), ["a", "b", "c", "b", "src/lib.rs"]);
        assert_eq!(links(TEXT), ["docs/map.md"]);
    }

    #[test]
    fn only_generated_blocks_are_replaced() {
        let text = "before\n<!-- generated: x -->\nold\n<!-- end -->\nafter\n";
        let filled = fill_blocks(text, &|name| Ok(format!("new {name}\n"))).expect("filled");
        assert_eq!(filled, "before\n<!-- generated: x -->\n\nnew x\n\n<!-- end -->\nafter\n");
        let again = fill_blocks(&filled, &|name| Ok(format!("new {name}\n"))).expect("filled");
        assert_eq!(again, filled);
    }

    #[test]
    fn a_block_that_does_not_end_is_an_error() {
        let open = "<!-- generated: x -->\nold\n";
        let nested = "<!-- generated: x -->\n<!-- generated: y -->\n<!-- end -->\n";
        for text in [open, nested] {
            let error = fill_blocks(text, &|_| Ok(String::new())).expect_err("no end");
            assert!(error.to_string().contains("`x`"), "{error}");
        }
    }
}
