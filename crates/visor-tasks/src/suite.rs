//! A suite: the one place that turns a name, a split, a family and a seed into a sample.

use crate::grid::{self, Knobs, ON_CELLS};
use crate::page::{self, Frame, ON_PAGES};
use crate::rng::{Rng, mix};
use crate::words::{
    COLOURS, COLUMNS, DIGITS, GRID_WORDS, LETTERS, NO_YES, NOUNS, PAGE_WORDS, ROWS, SHAPES,
};
use crate::{Family, Level, Sample, Slot, Split, SuiteName, TaskError};

/// The families of the small suite: those on cells, then those on pages.
const ALL_FAMILIES: [Family; ON_CELLS.len() + ON_PAGES.len()] = {
    let mut all = [Family::Colour; ON_CELLS.len() + ON_PAGES.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] =
            if index < ON_CELLS.len() { ON_CELLS[index] } else { ON_PAGES[index - ON_CELLS.len()] };
        index += 1;
    }
    all
};

/// The labels of cells, then those that only pages have.
const SLOTS: [Slot; 18] = [
    Slot::Colour,
    Slot::Shape,
    Slot::Digit,
    Slot::ChainEnd,
    Slot::GroupSize,
    Slot::Twin,
    Slot::NeighbourLeft,
    Slot::NeighbourRight,
    Slot::NeighbourUp,
    Slot::NeighbourDown,
    Slot::Mirror,
    Slot::Letter,
    Slot::Word,
    Slot::NextWord,
    Slot::RowWord,
    Slot::ColumnWord,
    Slot::Value,
    Slot::WireEnd,
];
const CELL_SLOTS: usize = 11;

/// A generated suite at one canvas size. Cheap to make and to copy; holds no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    name: SuiteName,
    canvas: usize,
}

impl Suite {
    /// The suite of this name at its usual canvas: the first of its [`Suite::canvases`].
    pub fn new(name: SuiteName) -> Self {
        Self { name, canvas: Self::canvases(name)[0] }
    }

    /// The suite of this name at another of its canvases.
    ///
    /// # Errors
    /// [`TaskError::UnknownCanvas`] for a size that the suite is not drawn at.
    pub fn with_canvas(name: SuiteName, canvas: usize) -> Result<Self, TaskError> {
        let canvases = Self::canvases(name);
        if canvases.contains(&canvas) {
            return Ok(Self { name, canvas });
        }
        let known: Vec<String> = canvases.iter().map(usize::to_string).collect();
        Err(TaskError::UnknownCanvas { suite: name.to_string(), canvas, known: known.join(", ") })
    }

    /// The canvas sizes of a suite, in pixels a side.
    pub fn canvases(name: SuiteName) -> &'static [usize] {
        match name {
            SuiteName::Nano => &[48],
            SuiteName::Small => &[256, 384],
        }
    }

    /// Which suite this is.
    pub fn name(&self) -> SuiteName {
        self.name
    }

    /// The version of the pictures and questions. It changes whenever any seed gives another sample.
    pub fn version(&self) -> u32 {
        1
    }

    /// Pixels a side of every picture.
    pub fn canvas(&self) -> usize {
        self.canvas
    }

    /// Pixels a side of a patch.
    pub fn patch(&self) -> usize {
        match self.name {
            SuiteName::Nano => 8,
            SuiteName::Small => 16,
        }
    }

    /// Patches a side.
    pub fn grid(&self) -> usize {
        self.canvas / self.patch()
    }

    /// The families, in a fixed order.
    pub fn families(&self) -> &'static [Family] {
        match self.name {
            SuiteName::Nano => &ON_CELLS,
            SuiteName::Small => &ALL_FAMILIES,
        }
    }

    /// Reads the name of a family that this suite has.
    ///
    /// # Errors
    /// [`TaskError::UnknownName`] for any other name.
    pub fn family(&self, name: &str) -> Result<Family, TaskError> {
        let families = self.families();
        families.iter().copied().find(|family| family.word() == name).ok_or_else(|| {
            let known: Vec<_> = families.iter().map(|family| family.word()).collect();
            TaskError::UnknownName { what: "family", name: name.into(), known: known.join(", ") }
        })
    }

    /// Every word of every question, answer, caption and label, in a fixed order, without special
    /// tokens.
    pub fn vocabulary(&self) -> Vec<&'static str> {
        let grid = self.grid();
        let mut words = [&COLOURS[..], &SHAPES, &DIGITS, &NO_YES, &GRID_WORDS].concat();
        words.extend(&ROWS[..grid]);
        words.extend(&COLUMNS[..grid]);
        if self.name == SuiteName::Small {
            words.extend(NOUNS.iter().chain(&LETTERS).chain(&PAGE_WORDS));
        }
        words
    }

    /// The kinds of label that samples of this suite carry, in a fixed order.
    pub fn slots(&self) -> &'static [Slot] {
        match self.name {
            SuiteName::Nano => &SLOTS[..CELL_SLOTS],
            SuiteName::Small => &SLOTS,
        }
    }

    /// The most words that a question has.
    pub fn max_question_words(&self) -> usize {
        match self.name {
            SuiteName::Nano => 5,
            SuiteName::Small => 7,
        }
    }

    /// The most words that an answer has.
    pub fn max_answer_words(&self) -> usize {
        match self.name {
            SuiteName::Nano => 2,
            SuiteName::Small => 4,
        }
    }

    /// The sample of a split, a family and a seed: always the same one.
    ///
    /// # Panics
    /// On a family that this suite does not have; [`Suite::family`] reads the names of those it has.
    pub fn sample(&self, split: Split, family: Family, seed: u64) -> Sample {
        self.sample_at(split, family, Level::Usual, seed)
    }

    /// The sample of a split, a family, a level of difficulty and a seed: always the same one.
    /// Families without levels of their own give the usual one.
    ///
    /// # Panics
    /// On a family that this suite does not have.
    pub fn sample_at(&self, split: Split, family: Family, level: Level, seed: u64) -> Sample {
        assert!(self.families().contains(&family), "the suite {} has no {family}", self.name);
        let names = [self.name.word(), split.word(), family.word()];
        let mut base = mix(u64::from(self.version()), self.canvas as u64);
        for byte in names.iter().flat_map(|name| name.bytes().chain([0])) {
            base = mix(base, u64::from(byte));
        }
        // The usual level came first and has no word in it.
        for byte in level.word().bytes().filter(|_| level != Level::Usual) {
            base = mix(base, u64::from(byte));
        }
        base = mix(base, seed);
        // A scene of another split is passed over; each attempt fits with a chance of at least 1/8.
        let mut attempt = 0;
        loop {
            if let Some(sample) = self.attempt(split, family, level, Rng::new(mix(base, attempt))) {
                return sample;
            }
            attempt += 1;
        }
    }

    fn attempt(&self, split: Split, family: Family, level: Level, rng: Rng) -> Option<Sample> {
        let owns = |fingerprint| split.owns(fingerprint);
        if ON_PAGES.contains(&family) {
            let harder = split == Split::Harder;
            let frame = Frame { size: self.canvas, patch: self.patch(), harder };
            return page::sample(family, &frame, rng, owns);
        }
        let knobs = match self.name {
            SuiteName::Nano => Knobs::nano(split),
            SuiteName::Small => Knobs::small(split, self.grid()),
        };
        grid::sample(family, &knobs.at(level), rng, owns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canvas_that_a_suite_is_not_drawn_at_is_refused_with_the_sizes_it_has() {
        assert_eq!(Suite::with_canvas(SuiteName::Small, 384).map(|suite| suite.grid()), Ok(24));
        let error = Suite::with_canvas(SuiteName::Small, 300).expect_err("no such canvas");
        assert!(error.to_string().ends_with("its sizes are 256, 384"), "{error}");
    }
}
