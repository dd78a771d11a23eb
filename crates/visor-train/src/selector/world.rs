//! What a selector is trained and tested in.

use crate::error::TrainError;
use crate::vocabulary::Vocabulary;
use visor_core::{Ladder, LayerMode, RungId};
use visor_model::VisorModel;
use visor_runtime::Backbone;
use visor_tasks::{Mixture, Suite};

/// A backbone with the generated world that it knows.
#[derive(Clone, Debug)]
pub struct World<'a> {
    /// The backbone, which stays as it is.
    pub model: &'a VisorModel,
    /// What it was told of patches, in words.
    pub backbone: String,
    /// The world.
    pub suite: Suite,
    /// Its words.
    pub vocabulary: Vocabulary,
    /// The families that are trained on.
    pub mixture: Mixture,
}

impl World<'_> {
    /// The backbone's ladder.
    pub(super) fn ladder(&self) -> Result<&Ladder, TrainError> {
        self.model.card().ladder.as_ref().ok_or(TrainError::NoLadder)
    }

    /// The rungs of the ladder without the pairs that a policy added: what is read is said beside.
    pub(super) fn rungs(&self) -> Result<Vec<RungId>, TrainError> {
        let ladder = self.ladder()?;
        let plain = |&id: &RungId| ladder.rung(id).patches().is_none();
        Ok(ladder.ids().filter(plain).collect())
    }

    /// Visual tokens of a picture.
    pub(super) fn n_visual(&self) -> usize {
        let tokens = self.model.card().tile_tokens;
        tokens.rows * tokens.cols
    }

    /// The layer in front of which patches are chosen: the first that reads.
    pub(super) fn reading(&self) -> Result<usize, TrainError> {
        let ladder = self.ladder()?;
        let schedule = ladder.schedule(ladder.cheapest());
        let reads = |mode: &LayerMode| *mode == LayerMode::CrossAttention;
        schedule.modes().iter().position(reads).ok_or(TrainError::NoReader)
    }
}
