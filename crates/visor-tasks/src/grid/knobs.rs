//! How large and how hard the scenes of a suite are, per split.

use crate::{Family, Level, Split};

/// The families whose pictures are squares of cells.
pub(crate) const ON_CELLS: [Family; 7] = [
    Family::Colour,
    Family::Shape,
    Family::Count,
    Family::Read,
    Family::Chain,
    Family::Group,
    Family::Twin,
];

/// A range of counts, both ends included.
pub(crate) type Span = (usize, usize);

/// The limits within which scenes vary. Within a split the same wording meets easy and hard scenes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Knobs {
    /// Cells a side.
    pub(crate) side: usize,
    /// Pixels a cell.
    pub(crate) patch: usize,
    /// Objects in scenes of the colour and shape families.
    pub(crate) objects: Span,
    /// Objects of other colours in scenes of the count family.
    pub(crate) distractors: Span,
    /// Answers of the count family.
    pub(crate) counts: Span,
    /// Digits of a number.
    pub(crate) digits: Span,
    /// Objects beside the number.
    pub(crate) clutter: Span,
    /// Arrows from the cell that a chain question names to the end.
    pub(crate) hops: Span,
    /// Chains in a scene.
    pub(crate) chains: Span,
    /// Objects of a chain scene that no chain ends at.
    pub(crate) decoys: Span,
    /// Answers of the group family.
    pub(crate) sizes: Span,
    /// Objects in scenes of the group family.
    pub(crate) crowd: Span,
    /// Objects in scenes of the twin family.
    pub(crate) pairing: Span,
}

impl Knobs {
    /// The knobs of the nano suite: 6 x 6 cells of 8 pixels.
    pub(crate) fn nano(split: Split) -> Self {
        let usual = Self {
            side: 6,
            patch: 8,
            objects: (4, 19),
            distractors: (2, 14),
            counts: (0, 5),
            digits: (2, 2),
            clutter: (2, 10),
            hops: (1, 4),
            chains: (3, 5),
            decoys: (0, 3),
            sizes: (1, 5),
            crowd: (11, 25),
            pairing: (3, 19),
        };
        match split {
            Split::Train | Split::Validation | Split::Test => usual,
            Split::Harder => Self {
                objects: (20, 27),
                distractors: (15, 24),
                clutter: (12, 20),
                hops: (5, 5),
                chains: (4, 5),
                sizes: (3, 6),
                crowd: (26, 29),
                pairing: (20, 26),
                ..usual
            },
        }
    }

    /// The knobs of the small suite: 16 x 16 or 24 x 24 cells of 16 pixels.
    pub(crate) fn small(split: Split, side: usize) -> Self {
        // Spans of marks are stated for 256 cells and grow with the area.
        let marks = |few: usize, many: usize| (few * side * side / 256, many * side * side / 256);
        let usual = Self {
            side,
            patch: 16,
            objects: marks(6, 96),
            distractors: marks(5, 90),
            counts: (0, 9),
            digits: (3, 4),
            clutter: marks(6, 60),
            hops: (1, 8),
            chains: marks(4, 14),
            decoys: marks(0, 12),
            sizes: (1, 9),
            crowd: marks(60, 150),
            pairing: (4, 25),
        };
        match split {
            Split::Train | Split::Validation | Split::Test => usual,
            Split::Harder => Self {
                objects: marks(110, 170),
                distractors: marks(100, 160),
                clutter: marks(80, 130),
                hops: (9, 12),
                chains: marks(8, 14),
                sizes: (5, 9),
                crowd: marks(160, 185),
                pairing: (26, 40),
                ..usual
            },
        }
    }

    /// The lower or the upper end of the ranges by which scenes of the refinement families are
    /// hard.
    pub(crate) fn at(self, level: Level) -> Self {
        let end: fn(Span) -> Span = match level {
            Level::Usual => return self,
            Level::Light => |(low, high)| (low, low + (high - low) / 4),
            Level::Heavy => |(low, high)| (high - (high - low) * 2 / 4, high),
        };
        let (hops, sizes, crowd) = (end(self.hops), end(self.sizes), end(self.crowd));
        Self { hops, sizes, crowd, pairing: end(self.pairing), ..self }
    }
}
