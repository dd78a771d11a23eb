//! A whole model as the runner drives it: a network, its configuration, and the way of a batch.

mod begin;
mod blueprint;
mod choose;
mod encode;
mod generation;
mod kept;
mod observed;
mod pass;
mod prompt;
mod seams;
mod stages;
mod states;

pub use blueprint::{Blueprint, parameters};
pub use observed::{Dropped, LayerView, Observed, Watch, Way, Witness};
pub use prompt::token_map;
pub use seams::Activation;
pub use states::{AtDecision, Decoding, EncodedPictures};

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::network::{Head, Network};
use crate::precision;
use crate::rotary::RotaryConfig;
use burn::tensor::Device;
use visor_checkpoint::{Checkpoint, Verified};
use visor_core::{ImageMask, Padding, Pair};
use visor_runtime::device::HostValues;
use visor_runtime::{Dtype, ModelCard};

/// A model of any family, ready to run.
#[derive(Debug)]
pub struct VisorModel {
    network: Network,
    card: ModelCard,
    rotary: RotaryConfig,
    image_mask: ImageMask,
    device: Device,
    /// Patches that run through the encoder at once, where that is not the device's.
    encoder_batch: Option<usize>,
}

/// What became of a checkpoint's files when a model was loaded from them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadReport {
    /// What became of the tensors.
    pub weights: visor_checkpoint::LoadReport,
    /// How the files were checked, and what they are.
    pub verified: Verified,
}

impl VisorModel {
    /// Loads a model: reads the small files, verifies the weights, fills the network with them,
    /// accounts for every tensor and folds the gates of cross-attention.
    ///
    /// # Errors
    /// A configuration that cannot be built, files that are damaged or contradict each other, or
    /// tensors that are missing, superfluous or of another shape.
    pub fn load(
        checkpoint: &Checkpoint,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        Self::load_as(checkpoint, Dtype::F32, device)
    }

    /// The same with the matrices of its large products in a number format, which must be one that
    /// the device has ([`visor_runtime::device::check_dtype`]).
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`ModelError::Packing`].
    pub fn load_as(
        checkpoint: &Checkpoint,
        dtype: Dtype,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        let (model, report) = Self::read(checkpoint, Some(dtype), device)?;
        Ok((Self { network: model.network.fold_gates(), ..model }, report))
    }

    /// The same with every weight a parameter, and the gates of cross-attention as they stand in the
    /// files, for training on.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_unfolded(
        checkpoint: &Checkpoint,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        Self::read(checkpoint, None, device)
    }

    /// Reads weights to be run in a number format, or to be trained.
    fn read(
        checkpoint: &Checkpoint,
        run_in: Option<Dtype>,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        let Blueprint { config, extension, mut card, .. } = Blueprint::read(checkpoint)?;
        let (verified, mut weights) = checkpoint.verified_weights()?;
        let keys = config.family.key_map();
        for (pattern, because) in config.family.ignored() {
            weights.ignore(pattern, because);
        }
        let head = match weights.contains(&keys.in_files("head.weight", &weights)) {
            true => Head::Own,
            false => blueprint::head(&config),
        };
        let network = Network::new(&config, extension.as_ref(), head, device);
        let network = match run_in {
            Some(dtype) => precision::load(network, &mut weights, &keys, dtype, device)?,
            None => crate::weights::load(network, &mut weights, &keys, device)?,
        };
        let report = LoadReport { weights: weights.finish()?, verified };
        card.dtype = run_in.unwrap_or_default();
        card.parameters = report.weights.parameters;
        card.sha256 = Some(verified.digests.backbone.to_string());
        card.selector_sha256 = verified.digests.selector.map(|digest| digest.to_string());
        Ok((Self::new(network, &config, card, device), report))
    }

    /// A model of a filled network, whose card says how it is to be run. Its rows are filled up
    /// where kernels are compiled for their number: not on the processor, and not in training.
    pub fn new(network: Network, config: &ModelConfig, card: ModelCard, device: &Device) -> Self {
        let padding = match device.is_autodiff() || HostValues::are_on(device) {
            true => Padding::None,
            false => Padding::Steps,
        };
        let card = ModelCard { padding, ..card };
        Self {
            network,
            rotary: config.text.rotary(card.positions.rotary),
            image_mask: card.positions.image_mask,
            card,
            device: device.clone(),
            encoder_batch: None,
        }
    }

    /// The same to be run alone, neither trained nor saved: what reads the same rows is one product,
    /// where every launch of a kernel costs. That is where rows are filled up.
    #[must_use]
    pub fn for_running(self) -> Self {
        match self.card.padding {
            Padding::None => self,
            Padding::Steps => Self { network: self.network.joined(), ..self },
        }
    }

    /// The same with rows and keys filled up, whatever it runs on: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_padding(mut self, padding: Padding) -> Self {
        self.card.padding = padding;
        self
    }

    /// The same under the name that reports shall use.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.card.name = name.into();
        self
    }

    /// The same with `pairs` of a rung and a number of patches beside its rungs, in place of any
    /// that it had.
    ///
    /// # Errors
    /// [`ModelError::NoSelector`] if nothing chooses patches, [`ModelError::Pairs`] if the ladder
    /// cannot have them. No pairs can always be had.
    pub fn with_pairs(mut self, pairs: &[Pair]) -> Result<Self, ModelError> {
        if pairs.is_empty() && self.card.ladder.is_none() {
            return Ok(self);
        }
        let ladder = self.card.ladder.as_ref().ok_or(ModelError::NoSelector)?;
        if !pairs.is_empty() && self.card.selector.is_none() {
            return Err(ModelError::NoSelector);
        }
        self.card.ladder = Some(ladder.with_pairs(pairs)?);
        Ok(self)
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How the angles of its attention follow from positions.
    pub fn rotary(&self) -> RotaryConfig {
        self.rotary
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }
}
