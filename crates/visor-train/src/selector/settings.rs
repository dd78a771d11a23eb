//! How a selector is trained, and what it is told.

use serde::{Deserialize, Serialize};
use visor_checkpoint::SelectorManifest;
use visor_core::cost::SelectorShape;
use visor_model::VisorModel;
use visor_model::config::ModelConfig;
use visor_runtime::{Backbone, SelectorCard};

/// What a selector is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Supervision {
    /// Answers, contrast, and a teacher that has seen whole pictures and captions.
    SelfSupervised,
    /// That, and the evidence of each question.
    Grounded,
}

impl Supervision {
    /// The word used in commands, files and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::SelfSupervised => "self-supervised",
            Self::Grounded => "grounded",
        }
    }
}

/// Who says which patches a question is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaughtBy {
    /// A teacher that was trained first, on whole pictures and their captions.
    #[default]
    Captions,
    /// A checkpoint of CLIP.
    Clip,
    /// Nobody: a user's conversations come without captions, and no checkpoint of CLIP was given.
    Nobody,
}

impl TaughtBy {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// How a selector is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it is told.
    pub supervision: Supervision,
    /// Seed of weights, data and every draw.
    pub seed: u64,
    /// Steps.
    pub steps: u64,
    /// Pictures a step.
    pub batch: usize,
    /// Peak learning rate; 3 % warm-up, then a cosine.
    pub learning_rate: f64,
    /// Share of the patches that is read on the mean, in the end.
    pub target: f64,
    /// Width of the space in which question and patches meet.
    pub d_select: usize,
    /// Pools over the question's words.
    pub n_pools: usize,
    /// Fewest patches.
    pub k_min: usize,
    /// Most patches.
    pub k_max: usize,
    /// What becomes of the backbone.
    pub backbone: BackboneTraining,
    /// Who says which patches a question is about.
    #[serde(default, skip_serializing_if = "TaughtBy::is_usual")]
    pub teacher: TaughtBy,
}

/// What becomes of the backbone while a selector is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneTraining {
    /// It stays as it is.
    Frozen,
    /// It learns along, from the answers alone: half of the questions read what they choose, the
    /// others everything.
    Joint {
        /// Its peak learning rate.
        learning_rate: f64,
    },
}

impl Settings {
    /// The first option in which two trainings differ.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let options = [
            ("supervision", self.supervision == other.supervision),
            ("seed", self.seed == other.seed),
            ("steps", self.steps == other.steps),
            ("batch", self.batch == other.batch),
            ("lr", self.learning_rate == other.learning_rate),
            ("target", self.target == other.target),
            ("k-min", self.k_min == other.k_min),
            ("k-max", self.k_max == other.k_max),
            ("joint", self.backbone == other.backbone),
            ("teacher", self.teacher == other.teacher),
        ];
        let differing = options.into_iter().find(|&(_, same)| !same).map(|(option, _)| option);
        differing.or((self != other).then_some("a size of the selector"))
    }

    /// The settings for a backbone of width `d_model` and pictures of `n_visual` tokens (method,
    /// section 5).
    pub fn new(supervision: Supervision, seed: u64, d_model: usize, n_visual: usize) -> Self {
        // 8 to 64 at 576, with the root of the number elsewhere.
        let root = (n_visual as f64).sqrt();
        let (k_min, k_max) = ((root / 3.0).ceil() as usize, (root * 8.0 / 3.0).ceil() as usize);
        Self {
            supervision,
            seed,
            steps: 3000,
            batch: 32,
            learning_rate: 3e-3,
            target: 0.75 / root,
            d_select: (d_model / 4).clamp(1, 64),
            n_pools: 2,
            k_min: k_min.max(1),
            k_max: k_max.clamp(k_min.max(1), n_visual.max(1)),
            backbone: BackboneTraining::Frozen,
            teacher: TaughtBy::Captions,
        }
    }

    /// Its card in front of a model.
    pub fn card(&self, model: &VisorModel) -> SelectorCard {
        let card = model.card();
        let n_reference = card.tile_tokens.rows * card.tile_tokens.cols;
        self.sized(card.shape.decoder.d_model, n_reference)
    }

    /// Its card in front of a model of this configuration.
    pub fn card_for(&self, config: &ModelConfig) -> SelectorCard {
        self.sized(config.text.d_model, config.token_grid().pow(2))
    }

    fn sized(&self, d_model: usize, n_reference: usize) -> SelectorCard {
        let &Self { d_select, n_pools, k_min, k_max, .. } = self;
        let shape = SelectorShape { d_model, d_select, n_pools, d_hidden: d_select };
        SelectorCard { shape, range: (k_min, k_max), n_reference }
    }

    /// What `visor.json` says of it.
    pub fn manifest(&self) -> SelectorManifest {
        let &Self { d_select, n_pools, k_min, k_max, .. } = self;
        SelectorManifest { d_select, n_pools, k_min, k_max }
    }
}
