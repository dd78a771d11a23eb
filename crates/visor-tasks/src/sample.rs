//! What a seed gives: a picture with its questions, its caption and its program-known labels.

use serde::{Deserialize, Serialize};

use crate::words::{COLOURS, DIGITS, LETTERS, NO_YES, NOUNS, SHAPES, SIZES};
use crate::{Family, Picture};

/// How many questions a picture carries, where its scene allows so many.
pub(crate) const QUESTIONS: usize = 4;

/// A question as a family states it: its evidence as a list of patches.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) family: Family,
    pub(crate) text: String,
    pub(crate) answer: String,
    pub(crate) evidence: Vec<usize>,
    pub(crate) hops: u8,
    pub(crate) glyph_height: u8,
}

impl Ask {
    /// A question that is answered at once, without reading glyphs.
    pub(crate) fn new(family: Family, text: String, answer: &str, evidence: Vec<usize>) -> Self {
        Self { family, text, answer: answer.into(), evidence, hops: 0, glyph_height: 0 }
    }

    /// The question about a picture of so many patches and marks.
    pub(crate) fn question(self, patches: usize, objects: usize) -> Question {
        let mut evidence = vec![false; patches];
        for at in self.evidence {
            evidence[at] = true;
        }
        let evidence_patches = evidence.iter().filter(|&&holds| holds).count() as u16;
        let difficulty = Difficulty {
            hops: self.hops,
            objects: objects as u16,
            evidence_patches,
            glyph_height: self.glyph_height,
        };
        Question { family: self.family, text: self.text, answer: self.answer, evidence, difficulty }
    }
}

/// One picture and everything that is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The picture.
    pub picture: Picture,
    /// Two to four questions; the first is of the family that was asked for.
    pub questions: Vec<Question>,
    /// A description of the whole picture in words of the vocabulary.
    pub caption: String,
    /// Labels of single patches, for training only.
    pub grounding: Vec<Grounding>,
}

/// One question about a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// Its family, which need not be the picture's.
    pub family: Family,
    /// Its words, separated by single spaces.
    pub text: String,
    /// The answer's words, separated by single spaces.
    pub answer: String,
    /// Per patch, row by row: whether it holds something that the answer depends on. Never empty.
    pub evidence: Vec<bool>,
    /// How hard the question is on this picture.
    pub difficulty: Difficulty,
}

/// What makes a question hard on its picture: plain counts, for evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difficulty {
    /// Dependent steps from the place that the question names to its answer.
    pub hops: u8,
    /// Marks in the picture: objects, arrows, digits, words, bars.
    pub objects: u16,
    /// Patches that hold evidence.
    pub evidence_patches: u16,
    /// Height in pixels of the glyphs that must be read; 0 where none must.
    pub glyph_height: u8,
}

/// One program-known label of one patch: dense grounding supervision, for training only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grounding {
    /// The patch, counted row by row.
    pub patch: u16,
    /// What the label names.
    pub slot: Slot,
    /// The class, an index into the slot's classes.
    pub class: u8,
    /// How many refinements of the visual stream must have run before the label is asked for.
    pub from_depth: u8,
}

/// What a label of a patch names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Slot {
    /// The colour of the patch's object.
    Colour,
    /// The shape of the patch's object.
    Shape,
    /// The digit whose middle the patch holds.
    Digit,
    /// The letter whose middle the patch holds, where it names the end of a wire.
    Letter,
    /// The word whose middle the patch holds.
    Word,
    /// On a word of running text: the word that follows it.
    NextWord,
    /// On a cell of a table or the top of a bar: the word of its row or series.
    RowWord,
    /// On a cell of a table or the top of a bar: the word of its column or label.
    ColumnWord,
    /// On the top of a bar: its value.
    Value,
    /// On a wire: the digit at its right end.
    WireEnd,
    /// On an arrow: the colour of the object at the end of its chain.
    ChainEnd,
    /// The size of the object's connected group of one colour.
    GroupSize,
    /// Whether another object has the same colour and shape.
    Twin,
    /// The colour of the object one cell to the left; class 0 is none.
    NeighbourLeft,
    /// The colour of the object one cell to the right; class 0 is none.
    NeighbourRight,
    /// The colour of the object one cell up; class 0 is none.
    NeighbourUp,
    /// The colour of the object one cell down; class 0 is none.
    NeighbourDown,
    /// The colour of the object in the cell mirrored left to right; class 0 is none.
    Mirror,
}

impl Slot {
    /// The words of the classes, in class order, for a slot that is named through the text head;
    /// `None` for a slot with a linear head of its own ([`Slot::classes`] classes).
    pub fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Colour | Self::ChainEnd => Some(&COLOURS),
            Self::Shape => Some(&SHAPES),
            Self::Digit | Self::Value | Self::WireEnd => Some(&DIGITS),
            Self::Letter => Some(&LETTERS),
            Self::Word | Self::NextWord | Self::RowWord | Self::ColumnWord => Some(&NOUNS),
            Self::GroupSize => Some(&SIZES),
            Self::Twin => Some(&NO_YES),
            Self::NeighbourLeft
            | Self::NeighbourRight
            | Self::NeighbourUp
            | Self::NeighbourDown
            | Self::Mirror => None,
        }
    }

    /// How many classes the slot has.
    pub fn classes(self) -> usize {
        self.words().map_or(COLOURS.len() + 1, <[_]>::len)
    }
}
