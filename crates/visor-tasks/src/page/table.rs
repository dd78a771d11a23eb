//! Tables: a cell by the words of its row and column, or where a row or column has its largest.

use super::canvas::{ADVANCE, Area, Page};
use super::{Drawn, Frame, TRIALS};
use crate::rng::Rng;
use crate::sample::Ask;
use crate::words::{DIGITS, NOUNS};
use crate::{Family, Slot};

/// Nouns below this name rows, those from it on columns.
const ROW_NOUNS: usize = 16;
/// Characters of the longest name of a row, and of a column.
const ROW_NAME: usize = 5;
const COLUMN_NAME: usize = 3;

/// A table: values of two digits by row and column.
struct Table {
    rows: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<usize>,
}

/// The three things that are asked of a table.
#[derive(Clone, Copy)]
enum Query {
    Cell,
    Row,
    Column,
}

/// A table of a uniform shape around an answer that is drawn first.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let largest = if frame.size > 256 { 9 } else { 7 };
    let mut extent = || {
        if frame.harder { rng.between(largest - 1, largest) } else { rng.between(2, largest - 2) }
    };
    let (height, width) = (extent(), extent());
    let mut table = Table {
        rows: names(rng, 0, height),
        columns: names(rng, ROW_NOUNS, width),
        values: (0..height * width).map(|_| rng.between(10, 99)).collect(),
    };
    let first = match rng.below(4) {
        0 => Query::Row,
        1 => Query::Column,
        _ => Query::Cell,
    };
    // A uniform cell answers the first question; where it must be the largest, it becomes so.
    let target = rng.below(table.values.len());
    table.favour(rng, first, target);
    let mut page = frame.page();
    let areas = lay(rng, &mut page, &table);
    let mut asks: Vec<Ask> = table.ask(&page, &areas, first, target).into_iter().collect();
    for _ in 0..TRIALS {
        let query = rng.pick(&[Query::Cell, Query::Row, Query::Column]).unwrap_or(Query::Cell);
        let at = rng.below(table.values.len());
        let ask = table.ask(&page, &areas, query, at);
        super::keep(&mut asks, ask);
    }
    let caption: Vec<&str> = ["table"]
        .into_iter()
        .chain(table.rows.iter().chain(&table.columns).map(|&noun| NOUNS[noun]))
        .collect();
    Drawn { page, asks, caption: caption.join(" "), things: table.values.len() }
}

fn names(rng: &mut Rng, from: usize, count: usize) -> Vec<usize> {
    let mut names: Vec<usize> = (from..from + ROW_NOUNS).collect();
    rng.shuffle(&mut names);
    names.truncate(count);
    names
}

impl Table {
    /// The cells among which a query about cell `at` compares.
    fn rivals(&self, query: Query, at: usize) -> Vec<usize> {
        let width = self.columns.len();
        match query {
            Query::Cell => vec![at],
            Query::Row => (at / width * width..(at / width + 1) * width).collect(),
            Query::Column => (at % width..self.values.len()).step_by(width).collect(),
        }
    }

    /// Whether cell `at` is larger than all its rivals.
    fn wins(&self, query: Query, at: usize) -> bool {
        let beaten = |&rival: &usize| rival == at || self.values[rival] < self.values[at];
        self.rivals(query, at).iter().all(beaten)
    }

    /// Draws the rivals of `target` again until one stands out, and puts that value at `target`.
    fn favour(&mut self, rng: &mut Rng, query: Query, target: usize) {
        let rivals = self.rivals(query, target);
        while !self.wins(query, target) {
            if let Some(&winner) = rivals.iter().find(|&&rival| self.wins(query, rival)) {
                self.values.swap(winner, target);
            } else {
                rivals.iter().for_each(|&rival| self.values[rival] = rng.between(10, 99));
            }
        }
    }

    /// The question of a kind that cell `at` answers, if it does.
    fn ask(&self, page: &Page, areas: &Areas, query: Query, at: usize) -> Option<Ask> {
        if !self.wins(query, at) {
            return None;
        }
        let (row, column) = (at / self.columns.len(), at % self.columns.len());
        let (row_noun, column_noun) = (NOUNS[self.rows[row]], NOUNS[self.columns[column]]);
        let number = self.values[at];
        let (text, answer) = match query {
            Query::Cell => (
                format!("value at {row_noun} {column_noun} ?"),
                format!("{} {}", DIGITS[number / 10], DIGITS[number % 10]),
            ),
            Query::Row => (format!("largest in {row_noun} ?"), column_noun.to_owned()),
            Query::Column => (format!("largest in {column_noun} ?"), row_noun.to_owned()),
        };
        let cells = self.rivals(query, at).into_iter().map(|rival| areas.cells[rival]);
        let names = [areas.rows[row], areas.columns[column]];
        let seen = cells.chain(names).flat_map(|area| page.touched(area)).collect();
        let mut ask = Ask::new(Family::Table, text, &answer, seen);
        ask.hops = if matches!(query, Query::Cell) { 1 } else { 2 };
        ask.glyph_height = names[0].height as u8;
        Some(ask)
    }
}

/// Where the names and the cells of a table stand.
struct Areas {
    rows: Vec<Area>,
    columns: Vec<Area>,
    cells: Vec<Area>,
}

/// Writes the table at a uniform scale and place that it fits at, with rules or without.
fn lay(rng: &mut Rng, page: &mut Page, table: &Table) -> Areas {
    let (height, width) = (table.rows.len(), table.columns.len());
    let gap = rng.between(1, 2);
    let needed = |scale: usize| {
        let across = (ROW_NAME + gap + width * (COLUMN_NAME + gap)) * ADVANCE * scale;
        let down = (height + 1) * (7 + 4 * gap) * scale;
        (across, down)
    };
    let fits = |scale: usize| needed(scale).0.max(needed(scale).1) + 4 <= page.size;
    let scales: Vec<usize> = (1..=3).filter(|&scale| fits(scale)).collect();
    let scale = rng.pick(&scales).unwrap_or(1);
    let (across, down) = needed(scale);
    let left = rng.between(2, (page.size - 2).saturating_sub(across).max(2));
    let top = rng.between(2, (page.size - 2).saturating_sub(down).max(2));
    let (pitch, line) = ((COLUMN_NAME + gap) * ADVANCE * scale, (7 + 4 * gap) * scale);
    let x = |column: usize| left + (ROW_NAME + gap) * ADVANCE * scale + column * pitch;
    let y = |row: usize| top + (row + 1) * line;
    let ink = [rng.between(170, 235) as u8; 3];
    if rng.coin() {
        for row in 0..height {
            let area = Area { x: left, y: y(row) - 3 * scale, width: across - 2, height: 1 };
            page.fill(area, [90; 3]);
        }
        let bar = Area { x: x(0) - 4 * scale, y: top, width: 1, height: down - 2 };
        page.fill(bar, [90; 3]);
    }
    let columns = (0..width)
        .map(|column| page.write(NOUNS[table.columns[column]], x(column), top, scale, ink))
        .collect();
    let rows = (0..height)
        .map(|row| page.write(NOUNS[table.rows[row]], left, y(row), scale, ink))
        .collect();
    let mut cells = Vec::new();
    for (at, value) in table.values.iter().enumerate() {
        let (row, column) = (at / width, at % width);
        let area = page.write(&value.to_string(), x(column), y(row), scale, ink);
        let middle = page.patch_at(area.x + area.width / 2, area.y + area.height / 2);
        page.label(middle, Slot::RowWord, table.rows[row], 1);
        page.label(middle, Slot::ColumnWord, table.columns[column], 1);
        cells.push(area);
    }
    Areas { rows, columns, cells }
}
