//! The names of the suite: which suite, which split, which family, and what a family asks of a model.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TaskError;

/// A closed list of names with one lower-case word each, and parsing back from that word.
macro_rules! named {
    ($what:literal, $type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in a fixed order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The lower-case word that names this value.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $type {
            type Err = TaskError;

            fn from_str(name: &str) -> Result<Self, TaskError> {
                Self::ALL.iter().copied().find(|value| value.word() == name).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|value| value.word()).collect();
                    TaskError::UnknownName { what: $what, name: name.into(), known: known.join(", ") }
                })
            }
        }
    };
}

/// Which of the two suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SuiteName {
    /// 48 x 48 pixels, 36 patches: trains on a CPU.
    Nano,
    /// 256 or 384 pixels a side, 256 or 576 patches.
    Small,
}

named!("suite", SuiteName { Nano => "nano", Small => "small" });

/// Which part of the pictures. No scene is in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// To report, of the same difficulty as `Train`.
    Test,
    /// To report, harder than anything in `Train`.
    Harder,
}

named!("split", Split {
    Train => "train",
    Validation => "validation",
    Test => "test",
    Harder => "harder",
});

/// How hard a scene is, and looks, within what its split allows. The wording never tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The whole range, as in training.
    Usual,
    /// Its lower end: short chains, sparse crowds, small groups.
    Light,
    /// Its upper end.
    Heavy,
}

named!("level", Level { Usual => "usual", Light => "light", Heavy => "heavy" });

impl Split {
    /// Whether a scene with this fingerprint may be shown in this split.
    ///
    /// Every possible scene belongs to exactly one split, by its own content: equal scenes can then
    /// never be met in two splits, whatever the seeds.
    pub(crate) fn owns(self, fingerprint: u64) -> bool {
        match fingerprint & 15 {
            0..=9 => self == Self::Train,
            10 | 11 => self == Self::Validation,
            12 | 13 => self == Self::Test,
            _ => self == Self::Harder,
        }
    }
}

/// What a family needs of a model: the ground on which its accuracy may rise with budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// One cross-attention look at the unrefined patches is enough.
    OneLook,
    /// The answer lies in relations between patches, which must first exchange information.
    Refinement,
    /// One look is enough, but only at full resolution: lost when patches are pooled or dropped.
    Resolution,
}

/// A kind of question. A family's first question gives the picture its scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// The colour of the object in a cell.
    Colour,
    /// The shape of the only object of a colour.
    Shape,
    /// How many objects have a colour.
    Count,
    /// The digits of a number.
    Read,
    /// The colour of the object at the end of a chain of arrows.
    Chain,
    /// The size of a connected group of one colour.
    Group,
    /// Whether an object has a twin of its colour and shape.
    Twin,
    /// Whether there is an object of a colour and shape.
    Exist,
    /// The colour or shape of the only object of two other attributes.
    Attribute,
    /// How two objects lie to each other, or which is larger.
    Relation,
    /// A tiny digit in a frame of a colour, among clutter.
    Needle,
    /// The word or number that follows a word in running text.
    Text,
    /// A cell of a table by its headers, or the largest of a row or column.
    Table,
    /// A bar of a chart by its label and legend, or the tallest of a series.
    Chart,
    /// Where one of several crossing wires ends.
    Trace,
}

named!("family", Family {
    Colour => "colour",
    Shape => "shape",
    Count => "count",
    Read => "read",
    Chain => "chain",
    Group => "group",
    Twin => "twin",
    Exist => "exist",
    Attribute => "attribute",
    Relation => "relation",
    Needle => "needle",
    Text => "text",
    Table => "table",
    Chart => "chart",
    Trace => "trace",
});

impl Family {
    /// What the family needs of a model.
    pub fn kind(self) -> Kind {
        match self {
            Self::Colour
            | Self::Shape
            | Self::Count
            | Self::Read
            | Self::Exist
            | Self::Attribute
            | Self::Relation => Kind::OneLook,
            Self::Needle => Kind::Resolution,
            Self::Chain
            | Self::Group
            | Self::Twin
            | Self::Text
            | Self::Table
            | Self::Chart
            | Self::Trace => Kind::Refinement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself_and_others_are_refused() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse::<Family>().as_ref(), Ok(family));
        }
        for split in Split::ALL {
            assert_eq!(split.to_string().parse::<Split>().as_ref(), Ok(split));
        }
        let error = "tiny".parse::<SuiteName>().expect_err("no such suite");
        assert_eq!(error.to_string(), "unknown suite `tiny`; known: nano, small");
    }

    #[test]
    fn every_fingerprint_belongs_to_exactly_one_split() {
        for fingerprint in 0..64 {
            let owners = Split::ALL.iter().filter(|split| split.owns(fingerprint)).count();
            assert_eq!(owners, 1);
        }
    }
}
