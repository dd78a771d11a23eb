//! Pictures of an analysis, as SVG.
//!
//! They are drawn as those of comparisons are: a scene of shapes at known places, then the backend.

mod attention;
mod choices;
mod dropping;
mod heat;
mod rungs;
mod similarity;

use super::record::AnalyzeRecord;
use crate::compare::plot::PlotError;
use crate::compare::plot::draw;
use crate::compare::plot::font::FAMILY;
use crate::compare::plot::scene::{Scene, Style, at};
use crate::compare::plot::theme::{Color, FAINT_INK, INK};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A picture of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Where the text looks, layer by layer (VISOR, Fig. 2).
    Attention,
    /// How alike the picture is between layers (Fig. 3).
    Similarity,
    /// What answers lose when layers do not see the picture (Fig. 4).
    Dropping,
    /// Accuracy by rung and family (Fig. 6).
    Rungs,
    /// What the policy picks by family (Fig. 7).
    Choices,
}

/// A word that is no figure.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "no figure is called `{got}`; there are {}",
    Figure::ALL.map(|figure| format!("`{figure}`")).join(", ")
)]
pub struct UnknownFigure {
    /// The word.
    pub got: String,
}

impl Figure {
    /// All of them, in the order of the paper.
    pub const ALL: [Self; 5] =
        [Self::Attention, Self::Similarity, Self::Dropping, Self::Rungs, Self::Choices];

    /// Its word in commands, and its file name without an ending.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Similarity => "similarity",
            Self::Dropping => "dropping",
            Self::Rungs => "rungs",
            Self::Choices => "choices",
        }
    }

    /// As SVG with its fonts; `None` where the record has nothing for it.
    ///
    /// # Errors
    /// None in practice: drawing into memory does not fail.
    pub fn svg(self, record: &AnalyzeRecord) -> Result<Option<String>, PlotError> {
        let scene = match self {
            Self::Attention => attention::scene(record),
            Self::Similarity => similarity::scene(record),
            Self::Dropping => dropping::scene(record),
            Self::Rungs => rungs::scene(record),
            Self::Choices => choices::scene(record),
        };
        scene?.map(|scene| Ok(lean(&draw::svg(&scene)?))).transpose()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stem())
    }
}

impl FromStr for Figure {
    type Err = UnknownFigure;

    fn from_str(word: &str) -> Result<Self, UnknownFigure> {
        let found = Self::ALL.into_iter().find(|figure| figure.stem() == word);
        found.ok_or_else(|| UnknownFigure { got: word.to_owned() })
    }
}

/// Colour of what cross-attention and the question's rows do, and of what self-attention and the
/// answer's rows do: pages in the dark know them.
const BLUE: Color = Color(0x00, 0x66, 0xB3);
const ORANGE: Color = Color(0xD0, 0x4A, 0x02);
const GREEN: Color = Color(0x0B, 0x7A, 0x4B);

/// The same SVG with its font and its opacity said once, and not at every text: there are hundreds.
fn lean(svg: &str) -> String {
    let family = format!(" font-family=\"{FAMILY}\"");
    let lean = svg.replace(&family, "").replace(" opacity=\"1\"", "");
    lean.replacen("<svg", &format!("<svg{family}"), 1)
}

/// Title, and under it what was asked.
fn heading(scene: &mut Scene, record: &AnalyzeRecord, title: &str, more: &str) {
    scene.text(at(24.0, 32.0), title, Style::new(18.0, INK).bold());
    let under =
        format!("{} on {}, {}{more}", record.model.name, record.suite.name, record.suite.split);
    scene.text(at(24.0, 54.0), under, Style::new(12.5, FAINT_INK));
}
