//! Tables for people: columns aligned, the first to the left, numbers to the right.

/// Rows of cells; the first row is the header.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line.push_str(&format!("{cell:<width$}")),
                _ => line.push_str(&format!("  {cell:>width$}")),
            }
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A list of layers, `none` where it is empty.
pub(crate) fn layers(layers: &[usize]) -> String {
    match layers {
        [] => "none".to_owned(),
        some => some.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = aligned(&[row(["rung", "layers", "cost"]), row(["sa10", "2,3", "9"])]);
        assert_eq!(text, "rung  layers  cost\nsa10     2,3     9");
        assert_eq!(aligned(&[]), "");
    }

    #[test]
    fn no_layers_are_said_to_be_none() {
        assert_eq!(layers(&[]), "none");
        assert_eq!(layers(&[2, 13]), "2,13");
    }
}
