//! Universal training, step by step.

use crate::batch::{Batch, Sight};
use crate::error::TrainError;
use crate::evaluate::Subject;
use crate::looks::Evidence;
use crate::loss::{Grounder, Labels, answers, distillation};
use crate::optimizer::{self, Chosen, FlatAdamW, Gradient, Settings};
use crate::pass::Lifted;
use crate::recipe::{Arm, Recipe};
use crate::reduction::{Pool, shrink};
use crate::schedule::{Curriculum, Stage};
use crate::vocabulary::{IMAGE, Vocabulary};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData, activation};
use visor_core::{LayerMode, PositionScheme};
use visor_model::config::ModelConfig;
use visor_model::init::{FromScratch, Noise, Places};
use visor_model::{Extension, Head, Network, Watch, weights};
use visor_tasks::{Mixture, Sample, Split, Suite};

/// Everything that is trained: the network, and a head that exists in training only.
#[derive(Module, Debug)]
pub struct Trained {
    /// The network.
    pub network: Network,
    /// The head.
    pub grounder: Grounder,
}

/// A run in progress.
#[derive(Debug)]
pub struct Trainer {
    recipe: Recipe,
    suite: Suite,
    mixture: Mixture,
    vocabulary: Vocabulary,
    config: ModelConfig,
    extension: Extension,
    positions: PositionScheme,
    curriculum: Curriculum,
    device: Device,
    trained: Trained,
    optimizer: FlatAdamW,
    step: u64,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// The stage.
    pub stage: Stage,
    /// Cross-entropy of the answers, by budget.
    pub answers: Vec<(String, f32)>,
    /// The alignment loss.
    pub alignment: f32,
    /// The refinement loss of the largest budget.
    pub refinement: f32,
    /// The loss of where answers look, at the smallest budget.
    pub looks: f32,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f32,
    /// The learning rate.
    pub learning_rate: f64,
    /// Questions answered in the step.
    pub questions: usize,
}

impl Trainer {
    /// A run from its beginning. `device` must be one that tracks gradients.
    ///
    /// # Errors
    /// Of a recipe that cannot be followed.
    pub fn new(recipe: &Recipe, device: &Device) -> Result<Self, TrainError> {
        recipe.check()?;
        let suite = recipe.suite()?;
        let vocabulary = Vocabulary::new(&suite);
        let config = recipe.config(vocabulary.len(), vocabulary.id(IMAGE)?)?;
        let extension =
            Extension { layout: recipe.layout()?, cross: recipe.cross(), selector: None };
        let (grid, seen) = (suite.grid(), recipe.side()? / suite.patch());
        let words = |letter: &str| -> Result<Vec<u32>, TrainError> {
            (0..seen).map(|i| vocabulary.id(&format!("{letter}{}", i * grid / seen))).collect()
        };
        let places = match recipe.arm {
            Arm::SelfSupervised => Places::Own { rows: seen, columns: seen },
            _ => Places::Words { rows: words("r")?, columns: words("c")? },
        };
        let from_scratch = FromScratch { seed: recipe.seed, places };
        let network = Network::new(&config, Some(&extension), Head::Tied, device);
        let network = from_scratch.fill(network, device)?.multiply_in(recipe.precision.half());
        let grounder = Grounder::new(recipe.sizes.d_model, device);
        let grounder = weights::fill(grounder, device, &mut |name, shape| {
            let n = shape.iter().product();
            Ok(Noise::new(recipe.seed, name).normal(n, (recipe.sizes.d_model as f32).powf(-0.5)))
        })?;
        let trained = Trained { network, grounder };
        let settings = Settings { beta_1: 0.9, beta_2: 0.98, clip: recipe.clip };
        let optimizer = FlatAdamW::over(&trained, settings, chosen(&trained, recipe.arm));
        Ok(Self {
            mixture: recipe.mixture()?,
            suite,
            vocabulary,
            config,
            extension,
            positions: recipe.positions(),
            curriculum: Curriculum::new(recipe)?,
            device: device.clone(),
            trained,
            optimizer,
            step: 0,
            recipe: recipe.clone(),
        })
    }

    /// A run of this recipe whose network has learned elsewhere, to be looked at.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(recipe: &Recipe, network: Network, device: &Device) -> Result<Self, TrainError> {
        let run = Self::new(recipe, device)?;
        let Trained { grounder, .. } = run.trained;
        let step = recipe.steps.total();
        Ok(Self { trained: Trained { network, grounder }, step, ..run })
    }

    /// What makes batches.
    pub fn feed(&self) -> Feed {
        Feed {
            recipe: self.recipe.clone(),
            suite: self.suite,
            mixture: self.mixture.clone(),
            vocabulary: self.vocabulary.clone(),
            side: self.config.vision.image_size,
        }
    }

    /// Does the next step on its batches.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`].
    pub fn step(&mut self, batches: &[Batch]) -> Result<StepReport, TrainError> {
        let mut report = StepReport {
            step: self.step + 1,
            stage: self.curriculum.stage(self.step),
            answers: Vec::new(),
            alignment: 0.0,
            refinement: 0.0,
            looks: 0.0,
            gradient_norm: 0.0,
            learning_rate: self.curriculum.learning_rate(self.step),
            questions: batches.iter().map(|batch| batch.asked.len()).sum(),
        };
        let mut gradient = Gradient::default();
        for batch in batches {
            let loss = self.loss(batch, &mut report)? / batches.len() as f64;
            let gradients = GradientsParams::from_grads(loss.backward(), &self.trained);
            let part = self.optimizer.flatten(&self.trained, gradients);
            gradient.add(part);
        }
        if let Some(gradient) = gradient.sum() {
            let lr = report.learning_rate;
            let (trained, norm) = self.optimizer.step(self.trained.clone(), gradient, lr);
            self.trained = trained;
            report.gradient_norm = norm;
        }
        self.step += 1;
        Ok(report)
    }

    fn loss(&self, batch: &Batch, report: &mut StepReport) -> Result<Tensor<1>, TrainError> {
        let network = &self.trained.network;
        let budgets = self.curriculum.budgets(self.step);
        let all = budgets.iter().copied();
        let lifted = Lifted::new(batch, all, &self.config, self.positions, &self.device);
        let refining = self.curriculum.largest().schedule.count(LayerMode::SelfAttention);
        let depths = refining.min(3);
        let labels = Labels::new(batch, &self.vocabulary, depths, &self.device)?;
        let grounds = self.curriculum.grounds(self.step);
        let encoded = lifted.encode(network)?;
        let weights = self.recipe.losses;
        let visual_only = report.stage == Stage::Visual;
        let (align, refine) =
            if visual_only { (1.0, 1.0) } else { (weights.alignment, weights.refinement) };
        let mut parts = Vec::new();
        if grounds {
            let alignment = labels.alignment(network, &encoded);
            report.alignment = self.finite("alignment", &alignment)?;
            parts.push(alignment * align);
        }
        let looks = grounds && weights.looks > 0.0 && report.stage == Stage::Alternating;
        let evidence = if looks { Evidence::new(batch, &self.device) } else { None };
        let watch = if evidence.is_some() { Watch::Attention } else { Watch::Streams };
        let mut teacher: Option<Tensor<2>> = None;
        for budget in budgets {
            let refinement = self.curriculum.refinement();
            let passed = lifted.answer(network, encoded.clone(), budget, refinement, watch)?;
            // Evidence is of single patches too.
            if budget.pool == Pool::NONE
                && let Some(loss) = evidence.as_ref().and_then(|known| known.loss(&passed.looks))
            {
                report.looks = self.finite("looks", &loss)?;
                parts.push(loss * weights.looks);
            }
            // Labels are of single patches.
            if grounds
                && budget.pool == Pool::NONE
                && refinement == visor_model::layer::Refinement::Apply
                && let Some(loss) =
                    labels.refinement(network, &self.trained.grounder, &passed.refined)
            {
                let value = self.finite("refinement", &loss)?;
                if report.refinement == 0.0 {
                    report.refinement = value;
                }
                parts.push(loss * refine);
            }
            if visual_only {
                break;
            }
            let loss = answers(&passed.logits, &self.targets(batch));
            report.answers.push((budget.name.clone(), self.finite(&budget.name, &loss)?));
            // A largest budget that has learned nothing yet has nothing to teach.
            let taught = teacher.as_ref().filter(|_| report.stage == Stage::Universal);
            match taught {
                Some(teacher) => {
                    let share = f64::from(weights.distillation);
                    let close = distillation(&passed.logits, teacher);
                    parts.push(loss * (1.0 - share) + close * share);
                }
                None => parts.push(loss),
            }
            teacher.get_or_insert_with(|| activation::softmax(passed.logits.detach(), 1));
        }
        let sum = parts.into_iter().reduce(|sum, part| sum + part);
        Ok(sum.unwrap_or_else(|| answers_of_nothing(&self.device)))
    }

    fn targets(&self, batch: &Batch) -> Tensor<2, burn::tensor::Int> {
        let ids: Vec<i64> = batch.targets.iter().map(|&(_, id)| i64::from(id)).collect();
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n, 1]), &self.device)
    }

    fn finite(&self, pass: &str, loss: &Tensor<1>) -> Result<f32, TrainError> {
        let value = loss.clone().detach().into_scalar::<f32>();
        if value.is_finite() {
            return Ok(value);
        }
        Err(TrainError::NonFinite { step: self.step + 1, pass: pass.to_owned(), loss: value })
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The curriculum.
    pub fn curriculum(&self) -> &Curriculum {
        &self.curriculum
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The configuration of the network.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The suite.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// The network as it stands.
    pub fn network(&self) -> &Network {
        &self.trained.network
    }

    /// The network's values on the same device without gradients.
    pub fn for_inference(&self) -> (Network, Device) {
        (optimizer::plain(self.trained.network.clone()), self.device.clone().inner())
    }

    /// What is evaluated: a network of this run, as [`for_inference`](Self::for_inference) gives it.
    pub fn subject<'a>(&'a self, network: &'a Network, device: &'a Device) -> Subject<'a> {
        Subject {
            network,
            config: &self.config,
            positions: self.positions,
            refinement: self.curriculum.refinement(),
            vocabulary: &self.vocabulary,
            device,
        }
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> u64 {
        self.trained.network.num_params() as u64
    }

    /// VISOR's own sizes of the network.
    pub fn extension(&self) -> &Extension {
        &self.extension
    }

    /// The optimiser, for saving.
    pub(crate) fn optimizer(&self) -> &FlatAdamW {
        &self.optimizer
    }

    /// Goes on from a saved state.
    pub(crate) fn restore(
        &mut self,
        step: u64,
        state: crate::optimizer::State,
    ) -> Result<(), TrainError> {
        self.optimizer.restore(state)?;
        self.trained = self.optimizer.write(self.trained.clone());
        self.step = step;
        Ok(())
    }
}

/// What learns: without the conditional position, its convolution stays at the zeros it begins with.
fn chosen(trained: &Trained, arm: Arm) -> Chosen {
    if arm != Arm::NoConditionalPosition {
        return Chosen::All;
    }
    let learns = |name: &str| !name.ends_with(CONDITIONAL);
    let ids = weights::ids(trained).into_iter();
    Chosen::Only(ids.filter(|(name, _)| learns(name)).map(|(_, id)| id).collect())
}

/// The convolution's parameter.
const CONDITIONAL: &str = "conditional.weight";

/// A loss of zero: a stage of a control that has nothing to learn yet.
fn answers_of_nothing(device: &Device) -> Tensor<1> {
    Tensor::zeros([1], device).require_grad()
}

/// Makes the batches of a run.
#[derive(Clone, Debug)]
pub struct Feed {
    recipe: Recipe,
    suite: Suite,
    mixture: Mixture,
    vocabulary: Vocabulary,
    side: usize,
}

impl Feed {
    /// The batches of a step: a function of recipe and step alone, so that they can be made ahead
    /// on other threads.
    ///
    /// # Errors
    /// Of a word that the vocabulary lacks.
    pub fn batches(&self, step: u64) -> Result<Vec<Batch>, TrainError> {
        (0..self.recipe.accumulate as u64).map(|part| self.batch(step, part)).collect()
    }

    fn batch(&self, step: u64, part: u64) -> Result<Batch, TrainError> {
        let size = self.recipe.batch as u64;
        let first = (step * self.recipe.accumulate as u64 + part) * size;
        let samples: Vec<Sample> = (first..first + size)
            .map(|index| {
                let seed = self.recipe.seed << 40 | index;
                self.suite.sample(Split::Train, self.mixture.pick(index), seed)
            })
            .collect();
        let samples = shrink(&samples, self.side, self.suite.patch())?;
        let sight = match step < self.recipe.steps.visual {
            true => Sight::Whole,
            false => Sight::HalfOfQuestionsPartial { seed: self.recipe.seed ^ (first << 8) },
        };
        Batch::pack(&self.suite, &self.vocabulary, &samples, sight)
    }
}
