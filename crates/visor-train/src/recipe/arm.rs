//! The networks that are trained on equal data: the universal one, and what it is held against.

use serde::{Deserialize, Serialize};

/// Which network is trained. All but the first are controls of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Arm {
    /// The universal network: every budget in one set of weights.
    Universal,
    /// The same from answers alone: no label of any patch, no place that shares its vector with a
    /// word. What the claims of question-guided selection are made on.
    SelfSupervised,
    /// The same without dense grounding supervision in the last 30 % of the steps.
    LateAnswersOnly,
    /// The self-attention layers' update of the picture is thrown away.
    DiscardRefinement,
    /// Cross-attention alone, with as many extra cross-attention layers as cost what the
    /// self-attention layers of the largest budget cost.
    CrossOnly,
    /// The stock LLaVA-style network: every layer attends to picture and text.
    Dense,
    /// Dense as stock models are: causal among patches too, positions in one dimension. It is
    /// exported as a stock checkpoint, to be converted.
    Stock,
    /// Dense, with visual tokens averaged over nested squares, every size in every step (M3).
    Pooled,
    /// Dense, on pictures of two thirds of the side: 16 patches where there were 36.
    Downsampled16,
    /// Dense, on pictures of half the side: 9 patches where there were 36.
    Downsampled9,
    /// Dense, on pictures of a third of the side, to the nearest whole patch: 25 patches where there
    /// were 256.
    DownsampledNinth,
    /// Universal, at every budget also with half and a quarter of the visual tokens, averaged
    /// (VISOR-TR).
    Reduced,
    /// One budget alone: no self-attention layer.
    Independent0,
    /// One budget alone: one self-attention layer.
    Independent1,
    /// One budget alone: two self-attention layers.
    Independent2,
    /// One budget alone: three self-attention layers.
    Independent3,
    /// Universal without the null pair: text must read the picture.
    NoNullPair,
    /// Universal without the conditional position of what cross-attention reads.
    NoConditionalPosition,
    /// Universal with cross-attention of half as many key and value heads as queries have.
    GroupedCross,
    /// Universal on nested subsets of the self-attention layers alone, each the former and the next
    /// layer, where the universal network is trained on all of them.
    NestedSubsets,
}

impl Arm {
    /// All of them, the one that is meant first.
    pub const ALL: [Self; 20] = [
        Self::Universal,
        Self::SelfSupervised,
        Self::LateAnswersOnly,
        Self::DiscardRefinement,
        Self::CrossOnly,
        Self::Dense,
        Self::Stock,
        Self::Pooled,
        Self::Downsampled16,
        Self::Downsampled9,
        Self::DownsampledNinth,
        Self::Reduced,
        Self::Independent0,
        Self::Independent1,
        Self::Independent2,
        Self::Independent3,
        Self::NoNullPair,
        Self::NoConditionalPosition,
        Self::GroupedCross,
        Self::NestedSubsets,
    ];

    /// Whether every layer attends to picture and text.
    pub fn is_dense(self) -> bool {
        match self {
            Self::Dense
            | Self::Stock
            | Self::Pooled
            | Self::Downsampled16
            | Self::Downsampled9
            | Self::DownsampledNinth => true,
            Self::Universal
            | Self::SelfSupervised
            | Self::LateAnswersOnly
            | Self::DiscardRefinement
            | Self::CrossOnly
            | Self::Reduced
            | Self::Independent0
            | Self::Independent1
            | Self::Independent2
            | Self::Independent3
            | Self::NoNullPair
            | Self::NoConditionalPosition
            | Self::GroupedCross
            | Self::NestedSubsets => false,
        }
    }

    /// The self-attention layers of the one budget that is trained, where it is one alone: those
    /// that validation chose for the universal network of the same recipe.
    pub(crate) fn alone(self) -> Option<&'static [usize]> {
        match self {
            Self::Independent0 => Some(&[]),
            Self::Independent1 => Some(&[2]),
            Self::Independent2 => Some(&[2, 3]),
            Self::Independent3 => Some(&[2, 3, 5]),
            _ => None,
        }
    }

    /// The word used in commands, files and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Universal => "universal",
            Self::SelfSupervised => "self-supervised",
            Self::LateAnswersOnly => "late-answers-only",
            Self::DiscardRefinement => "discard-refinement",
            Self::CrossOnly => "cross-only",
            Self::Dense => "dense",
            Self::Stock => "stock",
            Self::Pooled => "pooled",
            Self::Downsampled16 => "downsampled-16",
            Self::Downsampled9 => "downsampled-9",
            Self::DownsampledNinth => "downsampled-ninth",
            Self::Reduced => "reduced",
            Self::Independent0 => "independent-0",
            Self::Independent1 => "independent-1",
            Self::Independent2 => "independent-2",
            Self::Independent3 => "independent-3",
            Self::NoNullPair => "no-null-pair",
            Self::NoConditionalPosition => "no-conditional-position",
            Self::GroupedCross => "grouped-cross",
            Self::NestedSubsets => "nested-subsets",
        }
    }
}
