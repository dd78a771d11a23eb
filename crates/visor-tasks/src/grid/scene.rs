//! A scene: a square of cells that hold objects, arrows and digits, and what can be said about it.

use crate::rng::Digest;
use crate::words::{self, COLOURS, COLUMNS, DIGITS, ROWS};

/// How many colours objects have.
pub(crate) const COLOUR_COUNT: usize = COLOURS.len();
/// How many shapes objects have.
pub(crate) const SHAPE_COUNT: usize = words::SHAPES.len();
/// How many kinds of object there are.
pub(crate) const KIND_COUNT: usize = COLOUR_COUNT * SHAPE_COUNT;

/// Where an arrow points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Right,
    Down,
    Left,
    Up,
}

impl Direction {
    pub(crate) const ALL: [Self; 4] = [Self::Right, Self::Down, Self::Left, Self::Up];
}

/// How much of a digit a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of a small digit.
    Whole,
    /// A quarter of a large one: upper left, upper right, lower left, lower right.
    Quarter(u8),
}

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Empty,
    Object { colour: u8, shape: u8 },
    Arrow(Direction),
    Digit { digit: u8, part: Part },
}

impl Cell {
    /// An object of a kind below [`KIND_COUNT`].
    pub(crate) fn object(kind: usize) -> Self {
        Self::Object { colour: (kind / SHAPE_COUNT) as u8, shape: (kind % SHAPE_COUNT) as u8 }
    }

    /// The object's kind.
    pub(crate) fn kind(self) -> Option<usize> {
        match self {
            Self::Object { colour, shape } => {
                Some(usize::from(colour) * SHAPE_COUNT + usize::from(shape))
            }
            Self::Empty | Self::Arrow(_) | Self::Digit { .. } => None,
        }
    }

    /// The object's colour.
    pub(crate) fn colour(self) -> Option<usize> {
        self.kind().map(|kind| kind / SHAPE_COUNT)
    }

    /// A byte that differs for all cells that differ.
    fn code(self) -> u8 {
        match self {
            Self::Empty => 0,
            Self::Object { colour, shape } => 1 + colour * SHAPE_COUNT as u8 + shape,
            Self::Arrow(direction) => 64 + direction as u8,
            Self::Digit { digit, part: Part::Whole } => 80 + digit,
            Self::Digit { digit, part: Part::Quarter(quarter) } => 100 + digit * 4 + quarter,
        }
    }
}

/// A square of cells, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) side: usize,
    pub(crate) cells: Vec<Cell>,
}

impl Scene {
    pub(crate) fn empty(side: usize) -> Self {
        Self { side, cells: vec![Cell::Empty; side * side] }
    }

    /// The cell next to `at` in a direction, `None` at the border.
    pub(crate) fn step(&self, at: usize, direction: Direction) -> Option<usize> {
        let (row, column) = (at / self.side, at % self.side);
        match direction {
            Direction::Right => (column + 1 < self.side).then_some(at + 1),
            Direction::Down => (row + 1 < self.side).then_some(at + self.side),
            Direction::Left => (column > 0).then(|| at - 1),
            Direction::Up => (row > 0).then(|| at - self.side),
        }
    }

    /// The cells that touch `at` by a side.
    pub(crate) fn neighbours(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        Direction::ALL.into_iter().filter_map(move |direction| self.step(at, direction))
    }

    /// All cells without a mark.
    pub(crate) fn free(&self) -> Vec<usize> {
        self.positions(|cell| cell == Cell::Empty)
    }

    /// All cells that fulfil a condition.
    pub(crate) fn positions(&self, holds: impl Fn(Cell) -> bool) -> Vec<usize> {
        (0..self.cells.len()).filter(|&at| holds(self.cells[at])).collect()
    }

    /// How many cells fulfil a condition.
    pub(crate) fn how_many(&self, holds: impl Fn(Cell) -> bool) -> usize {
        self.cells.iter().filter(|&&cell| holds(cell)).count()
    }

    /// From an arrow, the cells of its chain: the arrow itself first, the end last.
    pub(crate) fn chain(&self, start: usize) -> Vec<usize> {
        let mut path = vec![start];
        let mut at = start;
        while let Cell::Arrow(direction) = self.cells[at] {
            match self.step(at, direction) {
                Some(next) if !path.contains(&next) => at = next,
                _ => break,
            }
            path.push(at);
        }
        path
    }

    /// The connected cells of one colour around the object at `start`, `start` first.
    pub(crate) fn blob(&self, start: usize) -> Vec<usize> {
        let colour = self.cells[start].colour();
        let mut blob = vec![start];
        let mut next = 0;
        while colour.is_some() && next < blob.len() {
            for at in self.neighbours(blob[next]) {
                if self.cells[at].colour() == colour && !blob.contains(&at) {
                    blob.push(at);
                }
            }
            next += 1;
        }
        blob
    }

    /// Per cell the size of its blob; 0 for cells without an object.
    pub(crate) fn blob_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.cells.len()];
        for at in 0..self.cells.len() {
            if sizes[at] == 0 && self.cells[at].colour().is_some() {
                let blob = self.blob(at);
                for &member in &blob {
                    sizes[member] = blob.len();
                }
            }
        }
        sizes
    }

    /// How many objects there are of each kind.
    pub(crate) fn kinds(&self) -> [usize; KIND_COUNT] {
        let mut counts = [0; KIND_COUNT];
        for kind in self.cells.iter().filter_map(|cell| cell.kind()) {
            counts[kind] += 1;
        }
        counts
    }

    /// How many objects there are of each colour.
    pub(crate) fn colours(&self) -> [usize; COLOUR_COUNT] {
        let mut counts = [0; COLOUR_COUNT];
        for colour in self.cells.iter().filter_map(|cell| cell.colour()) {
            counts[colour] += 1;
        }
        counts
    }

    /// The words that name a cell: its row and its column.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{} {}", ROWS[at / self.side], COLUMNS[at % self.side])
    }

    /// A number that equal scenes share and others hardly ever do.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut digest = Digest::new();
        for cell in &self.cells {
            digest.bytes(&[cell.code()]);
        }
        digest.value()
    }

    /// The whole picture in a few words: its number, whether it has arrows, its objects by colour.
    pub(crate) fn caption(&self) -> String {
        let mut caption: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if let Cell::Digit { digit, part: Part::Whole | Part::Quarter(0) } = cell {
                if caption.is_empty() {
                    caption.push("number");
                }
                caption.push(DIGITS[usize::from(*digit)]);
            }
        }
        if self.cells.iter().any(|cell| matches!(cell, Cell::Arrow(_))) {
            caption.push("arrows");
        }
        for (colour, &count) in self.colours().iter().enumerate().filter(|(_, count)| **count > 0) {
            caption.push(words::quantity(count));
            caption.push(COLOURS[colour]);
        }
        caption.join(" ")
    }
}
