//! What is trained, on what, for how long: everything that a run's weights depend on.

mod arm;
mod larger;

pub use arm::Arm;

use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use visor_core::{ImageMask, Layout, PositionScheme, Rotary};
use visor_model::attention::AttentionBias;
use visor_model::config::{
    ConnectorConfig, Family, ModelConfig, PatchPositions, TextConfig, Tiling, VisionConfig,
};
use visor_model::cross::{CrossSizes, NullPair};
use visor_model::linear::Bias;
use visor_model::weight::Half;
use visor_runtime::Dtype;
use visor_tasks::{Mixture, Suite, SuiteName};

/// How the budgets of a universal step are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// The largest, the smallest and one random subset a step.
    Sandwich,
    /// One random subset a step, as in the paper.
    One,
}

/// What the products of a training are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Mixed: products in the upper half of single precision; weights, their gradients and the
    /// optimiser's state in single precision. For GPUs, which are several times faster so.
    Bf16,
}

impl Precision {
    /// The format of the products, where it is not single precision.
    pub fn half(self) -> Option<Half> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(Half::BF16),
        }
    }

    /// What a device must be able to compute in.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
        }
    }

    pub(crate) fn is_single(&self) -> bool {
        *self == Self::F32
    }
}

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Width of a token.
    pub d_model: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// Inner width of the SwiGLU.
    pub d_ffn: usize,
    /// Width between the connector's two maps.
    pub d_connector: usize,
    /// Base of the rotary wavelengths.
    pub rope_theta: f64,
    /// Number of decoder layers.
    pub n_layers: usize,
    /// Cross-attention layers.
    pub cross: Vec<usize>,
    /// Self-attention capable layers.
    pub self_capable: Vec<usize>,
}

/// Steps of the curriculum, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// The visual stream alone.
    pub visual: u64,
    /// The largest budget and the smallest, in every step.
    pub alternating: u64,
    /// All budgets.
    pub universal: u64,
}

impl Steps {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.visual + self.alternating + self.universal
    }
}

/// Weights of the losses beside the answers' cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// Patches name their object's colour and shape before the first layer.
    pub alignment: f32,
    /// Patches name what refinement should tell them.
    pub refinement: f32,
    /// Of a smaller budget's loss, the part that is divergence from the largest budget's answer
    /// distribution.
    pub distillation: f32,
    /// Answers look at the patches that they depend on, while reading is learned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub looks: f32,
}

fn is_zero(weight: &f32) -> bool {
    *weight == 0.0
}

/// Everything that a run's weights depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The generated suite.
    pub suite: String,
    /// Weights of the families in training, by name.
    pub families: Vec<(String, u32)>,
    /// The network.
    pub arm: Arm,
    /// Its sizes.
    pub sizes: Sizes,
    /// Seed of weights, data and every draw.
    pub seed: u64,
    /// Pictures a step.
    pub batch: usize,
    /// Batches whose gradients are added before a step.
    pub accumulate: usize,
    /// Peak learning rate; 3 % warm-up, then a cosine.
    pub learning_rate: f64,
    /// Longest gradient.
    pub clip: f32,
    /// The curriculum.
    pub steps: Steps,
    /// How budgets are drawn.
    pub sampling: Sampling,
    /// Loss weights.
    pub losses: LossWeights,
    /// What products are computed in.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
}

impl Recipe {
    /// The recipe of `models/nano`.
    pub fn nano(seed: u64) -> Self {
        Self {
            suite: SuiteName::Nano.to_string(),
            families: [
                ("colour", 4),
                ("shape", 2),
                ("count", 5),
                ("read", 4),
                ("chain", 5),
                ("group", 7),
                ("twin", 8),
            ]
            .map(|(family, weight)| (family.to_owned(), weight))
            .to_vec(),
            arm: Arm::Universal,
            sizes: Sizes {
                d_model: 64,
                n_heads: 4,
                n_kv_heads: 4,
                d_ffn: 128,
                d_connector: 256,
                rope_theta: 100.0,
                n_layers: 7,
                cross: vec![1, 4, 6],
                self_capable: vec![2, 3, 5],
            },
            seed,
            batch: 32,
            accumulate: 1,
            learning_rate: 2e-3,
            clip: 1.0,
            steps: Steps { visual: 400, alternating: 2600, universal: 4000 },
            sampling: Sampling::Sandwich,
            losses: LossWeights { alignment: 0.3, refinement: 0.5, distillation: 0.5, looks: 0.0 },
            precision: Precision::F32,
        }
    }

    /// The same data and steps for another arm.
    #[must_use]
    pub fn with_arm(mut self, arm: Arm) -> Self {
        self.arm = arm;
        if arm.is_dense() {
            self.sizes.cross.clear();
            self.sizes.self_capable.clear();
        }
        if let Some(active) = arm.alone() {
            self.sizes.self_capable = active.to_vec();
        }
        if arm == Arm::CrossOnly {
            // Seven more layers, nine more looks: the FLOPs of three self-attention layers.
            self.sizes.n_layers = 14;
            self.sizes.cross = (1..13).collect();
            self.sizes.self_capable.clear();
        }
        self
    }

    /// The suite.
    ///
    /// # Errors
    /// Of an unknown name.
    pub fn suite(&self) -> Result<Suite, TrainError> {
        Ok(Suite::new(self.suite.parse()?))
    }

    /// Pixels a side of the pictures that the network is shown.
    ///
    /// # Errors
    /// Of an unknown suite.
    pub fn side(&self) -> Result<usize, TrainError> {
        let suite = self.suite()?;
        Ok(match self.arm {
            Arm::Downsampled16 => suite.canvas() * 2 / 3,
            Arm::Downsampled9 => suite.canvas() / 2,
            Arm::DownsampledNinth => (suite.grid() + 1) / 3 * suite.patch(),
            _ => suite.canvas(),
        })
    }

    /// The families with their weights.
    ///
    /// # Errors
    /// Of unknown families or no weight at all.
    pub fn mixture(&self) -> Result<Mixture, TrainError> {
        let suite = self.suite()?;
        let parts = self
            .families
            .iter()
            .map(|(name, weight)| Ok((suite.family(name)?, *weight)))
            .collect::<Result<Vec<_>, TrainError>>()?;
        Ok(Mixture::weighted(&parts)?)
    }

    /// The sizes of cross-attention.
    pub fn cross(&self) -> CrossSizes {
        let n_kv_heads = match self.arm {
            Arm::GroupedCross => self.sizes.n_kv_heads / 2,
            _ => self.sizes.n_kv_heads,
        };
        let null = match self.arm {
            Arm::NoNullPair => NullPair::Absent,
            _ => NullPair::Learned,
        };
        CrossSizes { n_kv_heads, bias: Bias::Without, null }
    }

    /// The layout.
    ///
    /// # Errors
    /// Of layers that break its rules.
    pub fn layout(&self) -> Result<Layout, TrainError> {
        let Sizes { n_layers, cross, self_capable, .. } = &self.sizes;
        Ok(Layout::try_new(*n_layers, cross, self_capable)?)
    }

    /// Positions of a network trained from scratch: patches see each other both ways, by row and
    /// column; but in the arm that is to be converted as stock models have them.
    pub fn positions(&self) -> PositionScheme {
        match self.arm {
            Arm::Stock => PositionScheme::STOCK,
            _ => PositionScheme { image_mask: ImageMask::Bidirectional, rotary: Rotary::TwoD },
        }
    }

    /// The configuration of the network for a vocabulary of `vocab` tokens whose picture marker is
    /// `image_token`.
    ///
    /// # Errors
    /// Of an unknown suite.
    pub fn config(&self, vocab: usize, image_token: u32) -> Result<ModelConfig, TrainError> {
        let suite = self.suite()?;
        let sizes = &self.sizes;
        Ok(ModelConfig {
            family: Family::Llava,
            vision: VisionConfig {
                d_model: sizes.d_model,
                d_ffn: sizes.d_ffn,
                n_layers: 0,
                n_heads: sizes.n_heads,
                image_size: self.side()?,
                patch_size: suite.patch(),
                layer_norm_eps: 1e-6,
                post_norm: false,
                positions: PatchPositions::InOrder,
            },
            connector: ConnectorConfig::Mlp { d_hidden: sizes.d_connector, bias: Bias::With },
            tiling: Tiling::Whole,
            text: TextConfig {
                d_model: sizes.d_model,
                d_ffn: sizes.d_ffn,
                n_layers: sizes.n_layers,
                n_heads: sizes.n_heads,
                n_kv_heads: sizes.n_kv_heads,
                head_dim: sizes.d_model / sizes.n_heads,
                vocab,
                rms_norm_eps: 1e-6,
                rope_theta: sizes.rope_theta,
                attention_bias: AttentionBias::Nowhere,
                // A picture of patches, and as much text.
                max_positions: 256.max(2 * suite.grid().pow(2)),
            },
            image_token,
            tied: true,
        })
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |field, got: String, expected| Err(TrainError::Recipe { field, got, expected });
        if self.batch == 0 {
            return wrong("batch", self.batch.to_string(), "at least 1");
        }
        if self.accumulate == 0 {
            return wrong("accumulate", self.accumulate.to_string(), "at least 1");
        }
        if self.steps.total() == 0 {
            return wrong("steps", "0".to_owned(), "at least 1 step");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return wrong("learning_rate", self.learning_rate.to_string(), "a positive number");
        }
        if self.sizes.n_heads == 0 || !self.sizes.d_model.is_multiple_of(4 * self.sizes.n_heads) {
            let got = format!("{} / {}", self.sizes.d_model, self.sizes.n_heads);
            return wrong("d_model / n_heads", got, "a multiple of 4");
        }
        self.layout()?;
        self.mixture()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_core::Schedule;
    use visor_core::cost::{Keys, Prompt};

    #[test]
    fn the_cross_only_control_costs_what_the_largest_budget_costs() {
        let (n_text, n_question, n_visual) = (6, 5, 36);
        let prompt = Prompt { n_text, n_question, n_visual, n_tiles: 1, keys: Keys::All };
        let cost = |recipe: &Recipe, active: &[usize]| {
            let config = recipe.config(54, 2).expect("a configuration");
            let layout = recipe.layout().expect("a layout");
            let schedule: Schedule = layout.schedule(active).expect("a schedule");
            let shape = config.shape(Some(recipe.cross().n_kv_heads));
            shape.scopes(&schedule, prompt, None).lm_prefill.giga()
        };
        let universal = Recipe::nano(1);
        let largest = cost(&universal, &universal.sizes.self_capable);
        let control = cost(&universal.clone().with_arm(Arm::CrossOnly), &[]);
        assert!((control / largest - 1.0).abs() < 0.01, "{control} and {largest} GFLOPs");
    }
}
