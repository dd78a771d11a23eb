//! An independent check: reads a finished picture back into cells and answers its questions again.
//!
//! Nothing of the scene reaches the solver but the pixels, and its algorithms are not the generator's:
//! chains by relaxation, groups by flooding labels, twins by comparing all pairs.

use super::scene::{Cell, Direction, KIND_COUNT, Part};
use super::tiles::{JITTERS, Tiles};
use crate::words::{COLOURS, DIGITS, SHAPES};
use crate::{Family, Picture, Split, Suite, SuiteName};

/// Above the lightest ground with the strongest noise, below the darkest ink with the strongest.
const INKED: u8 = 90;

struct Solver {
    side: usize,
    cells: Vec<Cell>,
}

impl Solver {
    fn read(picture: &Picture, patch: usize) -> Self {
        let side = picture.size / patch;
        let looks: Vec<(Vec<u8>, [u8; 3])> = (0..side * side)
            .map(|at| look(picture, patch, at / side * patch, at % side * patch))
            .collect();
        let mut solver = Self { side, cells: vec![Cell::Empty; side * side] };
        let mut unread = Vec::new();
        for (at, (mask, ink)) in looks.iter().enumerate() {
            match whole_marks().find(|&mark| fits(patch, mark, mask, *ink)) {
                Some(mark) => solver.cells[at] = mark,
                None if mask.iter().any(|&pixel| pixel > 0) => unread.push(at),
                None => {}
            }
        }
        while let Some(&corner) = unread.first() {
            let block = [corner, corner + 1, corner + side, corner + side + 1];
            let digit = (0..10_u8).find(|&digit| {
                (0..JITTERS).any(|jitter| {
                    block.iter().zip(0..).all(|(&at, quarter)| {
                        let cell = Cell::Digit { digit, part: Part::Quarter(quarter) };
                        let tile = Tiles::of(patch).mask(cell, jitter);
                        tile.is_some_and(|(mask, _)| mask == looks[at].0)
                    })
                })
            });
            let digit = digit.expect("what is no whole mark is a large digit");
            for (&at, quarter) in block.iter().zip(0..) {
                solver.cells[at] = Cell::Digit { digit, part: Part::Quarter(quarter) };
            }
            unread.retain(|at| !block.contains(at));
        }
        solver
    }

    fn answer(&self, family: Family, text: &str) -> String {
        let words: Vec<&str> = text.split(' ').collect();
        let place = || {
            let number = |word: &str| word[1..].parse::<usize>().expect("a place is numbered");
            number(words[2]) * self.side + number(words[3])
        };
        let asked = || COLOURS.iter().position(|colour| words.contains(colour));
        match family {
            Family::Colour => COLOURS[self.cells[place()].colour().expect("an object")].into(),
            Family::Shape => {
                let found: Vec<usize> = self
                    .cells
                    .iter()
                    .filter(|c| c.colour() == asked())
                    .filter_map(|cell| cell.kind())
                    .collect();
                assert_eq!(found.len(), 1, "{text}");
                SHAPES[found[0] % SHAPES.len()].into()
            }
            Family::Count => {
                let count = self.cells.iter().filter(|cell| cell.colour() == asked()).count();
                count.to_string()
            }
            Family::Read => self.number(),
            Family::Chain => self.chain_end(words[1..3].join(" ").as_str()),
            Family::Group => self.group_size(place()).to_string(),
            Family::Twin => {
                let (kind, at) = (self.cells[place()], place());
                let twins = (0..self.cells.len()).any(|i| i != at && self.cells[i] == kind);
                if twins { "yes".into() } else { "no".into() }
            }
            other => unreachable!("{other} is not drawn on cells"),
        }
    }

    /// Digits from left to right, of which there is one row.
    fn number(&self) -> String {
        let mut digits: Vec<(usize, u8)> = Vec::new();
        for (at, cell) in self.cells.iter().enumerate() {
            if let Cell::Digit { digit, part: Part::Whole | Part::Quarter(0) } = cell {
                digits.push((at % self.side, *digit));
            }
        }
        digits.sort_unstable();
        let words: Vec<&str> = digits.iter().map(|&(_, digit)| DIGITS[digit as usize]).collect();
        words.join(" ")
    }

    /// Colours spread backwards over the arrows until nothing changes.
    fn chain_end(&self, place: &str) -> String {
        let (row, column) = place.split_once(' ').expect("row and column");
        let start = row[1..].parse::<usize>().expect("a row") * self.side
            + column[1..].parse::<usize>().expect("a column");
        let mut ends: Vec<Option<usize>> = self.cells.iter().map(|cell| cell.colour()).collect();
        for _ in 0..self.cells.len() {
            for at in 0..self.cells.len() {
                if let Cell::Arrow(direction) = self.cells[at] {
                    let next = match direction {
                        Direction::Right => at + 1,
                        Direction::Down => at + self.side,
                        Direction::Left => at - 1,
                        Direction::Up => at - self.side,
                    };
                    ends[at] = ends[next];
                }
            }
        }
        assert!(matches!(self.cells[start], Cell::Arrow(_)));
        COLOURS[ends[start].expect("every chain ends at an object")].into()
    }

    /// Labels flood from cell to cell, the smaller one wins; cells of one label are one group.
    fn group_size(&self, place: usize) -> usize {
        let mut labels: Vec<usize> = (0..self.cells.len()).collect();
        for _ in 0..self.cells.len() {
            for a in 0..self.cells.len() {
                for b in [a + 1, a + self.side] {
                    let touching = b < self.cells.len() && (b != a + 1 || b % self.side != 0);
                    if touching
                        && self.cells[a].colour().is_some()
                        && self.cells[a].colour() == self.cells[b].colour()
                    {
                        let label = labels[a].min(labels[b]);
                        (labels[a], labels[b]) = (label, label);
                    }
                }
            }
        }
        labels.iter().filter(|&&label| label == labels[place]).count()
    }
}

fn whole_marks() -> impl Iterator<Item = Cell> {
    let objects = (0..KIND_COUNT).map(Cell::object);
    let digits = (0..10).map(|digit| Cell::Digit { digit, part: Part::Whole });
    objects.chain(Direction::ALL.map(Cell::Arrow)).chain(digits)
}

/// The inked pixels of a patch, and their mean colour.
fn look(picture: &Picture, patch: usize, top: usize, left: usize) -> (Vec<u8>, [u8; 3]) {
    let (mut mask, mut sum, mut inked) = (Vec::new(), [0_usize; 3], 0);
    for (y, x) in (0..patch * patch).map(|i| (top + i / patch, left + i % patch)) {
        let pixel = &picture.rgb[(y * picture.size + x) * 3..][..3];
        let covered = pixel.iter().any(|&value| value > INKED);
        mask.push(if covered { 255 } else { 0 });
        if covered {
            inked += 1;
            (0..3).for_each(|channel| sum[channel] += usize::from(pixel[channel]));
        }
    }
    (mask, sum.map(|total| (total / inked.max(1)) as u8))
}

fn fits(patch: usize, mark: Cell, mask: &[u8], ink: [u8; 3]) -> bool {
    (0..JITTERS).any(|jitter| {
        Tiles::of(patch).mask(mark, jitter).is_some_and(|(own, own_ink)| {
            own == mask && own_ink.iter().zip(ink).all(|(a, b)| a.abs_diff(b) < 25)
        })
    })
}

fn check(suite: &Suite, splits: &[Split], seeds: u64) {
    let grid = suite.families().iter().filter(|family| super::ON_CELLS.contains(family));
    for &family in grid {
        for &split in splits {
            for seed in 0..seeds {
                let sample = suite.sample(split, family, seed);
                let solver = Solver::read(&sample.picture, suite.patch());
                for question in &sample.questions {
                    let answer = solver.answer(question.family, &question.text);
                    assert_eq!(question.answer, answer, "{split} {family} {seed} {question:?}");
                }
            }
        }
    }
}

#[test]
fn every_small_answer_on_cells_can_be_solved_again_from_the_pixels_alone() {
    check(&Suite::new(SuiteName::Small), &[Split::Train, Split::Harder], 8);
}

#[test]
fn every_nano_answer_can_be_solved_again_from_the_pixels_alone() {
    check(&Suite::new(SuiteName::Nano), &[Split::Train, Split::Test, Split::Harder], 150);
}
