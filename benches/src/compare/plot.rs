//! Pictures of a record, as SVG and PNG: the same layout in both.
//!
//! A figure is first a scene of shapes whose places are known, then drawn by the SVG and the bitmap
//! backend of plotters. Text is measured, and in bitmaps drawn, with the fonts in `benches/assets`.

pub(crate) mod axis;
pub(crate) mod bars;
mod difficulty;
pub(crate) mod draw;
mod families;
pub(crate) mod font;
mod labels;
mod legend;
mod routing;
mod scatter;
pub(crate) mod scene;
pub(crate) mod theme;

use super::observation::Scope;
use super::record::CompareRecord;
use scatter::Cost;
use scene::Scene;
use thiserror::Error;

/// A picture of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Accuracy against FLOPs before the first token.
    EndToEnd,
    /// Accuracy against FLOPs of the decoder's prefill.
    LmPrefill,
    /// Accuracy against the measured time to the first token.
    FirstToken,
    /// How often the policy takes each rung, by family.
    Routing,
    /// Accuracy by row and family.
    Families,
    /// Accuracy by how difficult a question is.
    Difficulty,
}

/// Why there is no picture.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The backend could not draw.
    #[error("cannot draw: {reason}")]
    Draw {
        /// What it says.
        reason: String,
    },
    /// An embedded font that is none.
    #[error("the font of plots is damaged")]
    Font,
    /// A picture that cannot be encoded.
    #[error("cannot encode the picture")]
    Encode(#[from] image::ImageError),
}

impl Figure {
    /// All of them, in the order in which a report shows them.
    pub const ALL: [Self; 6] = [
        Self::EndToEnd,
        Self::LmPrefill,
        Self::FirstToken,
        Self::Routing,
        Self::Families,
        Self::Difficulty,
    ];

    /// Its file name without an ending.
    pub fn stem(self) -> &'static str {
        match self {
            Self::EndToEnd => "accuracy-end-to-end",
            Self::LmPrefill => "accuracy-lm-prefill",
            Self::FirstToken => "accuracy-first-token",
            Self::Routing => "routing-by-family",
            Self::Families => "accuracy-by-family",
            Self::Difficulty => "accuracy-by-difficulty",
        }
    }

    /// As SVG with its fonts; `None` where the record has nothing for it.
    ///
    /// # Errors
    /// None in practice: drawing into memory does not fail.
    pub fn svg(self, record: &CompareRecord) -> Result<Option<String>, PlotError> {
        self.scene(record)?.map(|scene| draw::svg(&scene)).transpose()
    }

    /// As SVG for a page that has the fonts.
    pub(super) fn inline_svg(self, record: &CompareRecord) -> Result<Option<String>, PlotError> {
        self.scene(record)?.map(|scene| draw::inline_svg(&scene)).transpose()
    }

    /// As PNG with two pixels a unit of the SVG; `None` where the record has nothing for it.
    ///
    /// # Errors
    /// None in practice: drawing into memory does not fail.
    pub fn png(self, record: &CompareRecord) -> Result<Option<Vec<u8>>, PlotError> {
        self.scene(record)?.map(|scene| draw::png(&scene)).transpose()
    }

    fn scene(self, record: &CompareRecord) -> Result<Option<Scene>, PlotError> {
        match self {
            Self::EndToEnd => scatter::scene(record, Cost::Flops(Scope::EndToEnd)),
            Self::LmPrefill => scatter::scene(record, Cost::Flops(Scope::LmPrefill)),
            Self::FirstToken => scatter::scene(record, Cost::FirstToken),
            Self::Routing => routing::scene(record),
            Self::Families => families::scene(record),
            Self::Difficulty => difficulty::scene(record),
        }
    }
}
