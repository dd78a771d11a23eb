//! Vocabulary and arithmetic of budgeted vision-language models.
//!
//! A decoder has a [`Layout`]: which layers carry cross-attention and which may run self-attention
//! over the picture. A [`Ladder`] lists the [`Rung`]s, the sets of self-attention layers, that one
//! checkpoint was trained for. A rung and a layout give a [`Schedule`], one [`LayerMode`] a layer.
//! What each of them costs is counted in [`cost`], before any tensor exists.
//!
//! There are no tensors, files or clocks in this crate. The method is described in the papers
//! VISOR (arXiv 2603.23495) and QGSA (ALVR at ACL 2026).

pub mod budget;
pub mod cost;
mod ladder;
mod layout;
mod padding;
mod patches;
mod positions;
mod schedule;

pub use budget::{Basis, BudgetError, BudgetRequest, Decision, Thrift};
pub use ladder::{Ladder, LadderError, Pair, Rung, RungId};
pub use layout::{LayerIdx, Layout, LayoutError};
pub use padding::Padding;
pub use patches::{Patches, PatchesError};
pub use positions::{ImageMask, PositionScheme, Rotary};
pub use schedule::{LayerMode, Schedule};
