//! The training of a selector's weights through a frozen backbone.

use super::clip::ClipTeacher;
use super::loss;
use super::questions::Questions;
use super::relax::{logistic, relax};
use super::teacher::{self, Relevance, Teacher};
use super::world::World;
use crate::batch::{Batch, Sight};
use crate::error::TrainError;
use crate::loss::answers;
use crate::optimizer::{self, FlatAdamW};
use crate::schedule::warm_cosine;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use visor_checkpoint::SelectorManifest;
use visor_core::cost::SelectorShape;
use visor_core::{Ladder, Schedule};
use visor_model::config::ModelConfig;
use visor_model::decoder::Pass;
use visor_model::init::Noise;
use visor_model::layer::{Refinement, Streams};
use visor_model::selector::Selector;
use visor_model::{Network, Placement, VisorModel, weights};
use visor_runtime::{Backbone, SelectorCard};
use visor_tasks::{Sample, Split};

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
    /// Nobody: a user's conversations come without captions.
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

/// What a training tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// All steps.
    pub steps: u64,
    /// Cross-entropy of the answers at the lowest rung.
    pub answers: f32,
    /// Mean number of patches that were read.
    pub patches: f32,
}

/// A trained selector.
#[derive(Debug)]
pub struct Fitted {
    /// On a device without gradients.
    pub selector: Selector,
    /// The backbone's weights, where it learned along.
    pub network: Option<Network>,
    /// Cross-entropy of the answers at the lowest rung, mean of the last 100 steps.
    pub answers: f32,
}

/// What a training goes by.
struct Course<'a> {
    world: &'a World<'a>,
    device: &'a Device,
    ladder: &'a Ladder,
    /// The layer in front of which patches are chosen.
    reading: usize,
    settings: Settings,
}

/// Trains a selector for the backbone of `world`, taught by `clip`, or else by a teacher that is
/// trained first on pictures and captions. `device` must be one that tracks gradients.
///
/// Raised, `stop` ends the work after the step at hand.
///
/// # Errors
/// [`TrainError::NoLadder`] of a stock model, [`TrainError::NoReader`] where nothing cross-attends,
/// [`TrainError::NonFinite`], or
/// [`TrainError::SelectorStopped`].
pub fn fit(
    world: &World<'_>,
    settings: Settings,
    clip: Option<&ClipTeacher>,
    device: &Device,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Progress),
) -> Result<Fitted, TrainError> {
    let (ladder, reading) = (world.ladder()?, world.reading()?);
    let joint_rate = match settings.backbone {
        BackboneTraining::Frozen => None,
        BackboneTraining::Joint { learning_rate } => Some(learning_rate),
    };
    let network = world.model.network().clone().to_device(device);
    let mut network = match joint_rate {
        Some(_) => optimizer::tracked(network),
        None => network.no_grad(),
    };
    let course = Course { world, device, ladder, reading, settings };
    let captioned;
    let teacher: &dyn Relevance = match clip {
        Some(clip) => clip,
        None => {
            captioned = Teacher::train(world, settings.seed, teacher::STEPS, device)?;
            &captioned
        }
    };
    let card = settings.card(world.model);
    // As a loaded selector has it.
    let eps = world.model.network().decoder().eps();
    let mut selector = fill(Selector::new(card, eps, device), settings.seed, device)?;
    let adam = optimizer::Settings { beta_1: 0.9, beta_2: 0.98, clip: 1.0 };
    let mut optimizer = FlatAdamW::new(&selector, adam);
    let mut of_network = joint_rate.map(|rate| (rate, FlatAdamW::new(&network, adam)));
    let mut recent = Vec::new();
    for step in 0..settings.steps {
        if stop.load(Ordering::Relaxed) {
            return Err(TrainError::SelectorStopped { done: step });
        }
        let (loss, progress) = course.loss(&network, &selector, teacher, step)?;
        let value = loss.clone().detach().into_scalar::<f32>();
        if !value.is_finite() {
            let pass = settings.supervision.word().to_owned();
            return Err(TrainError::NonFinite { step: step + 1, pass, loss: value });
        }
        let mut gradients = loss.backward();
        let of_selector = GradientsParams::from_module(&mut gradients, &selector);
        let gradient = optimizer.flatten(&selector, of_selector);
        let share = warm_cosine(step + 1, settings.steps);
        (selector, _) = optimizer.step(selector, gradient, settings.learning_rate * share);
        if let Some((rate, optimizer)) = &mut of_network {
            let of_network = GradientsParams::from_module(&mut gradients, &network);
            let gradient = optimizer.flatten(&network, of_network);
            (network, _) = optimizer.step(network, gradient, *rate * share);
        }
        recent.push(progress.answers);
        tell(progress);
    }
    let last = &recent[recent.len().saturating_sub(100)..];
    let answers = last.iter().sum::<f32>() / last.len().max(1) as f32;
    let selector = optimizer::plain(selector);
    let network = of_network.map(|_| optimizer::plain(network));
    Ok(Fitted { selector, network, answers })
}

impl Course<'_> {
    fn samples(&self, step: u64) -> Vec<Sample> {
        let first = step * self.settings.batch as u64;
        let sample = |index: u64| {
            let seed = (self.settings.seed << 40 | index) ^ (1 << 62);
            self.world.suite.sample(Split::Train, self.world.mixture.pick(index), seed)
        };
        (first..first + self.settings.batch as u64).map(sample).collect()
    }

    fn loss(
        &self,
        network: &Network,
        selector: &Selector,
        teacher: &dyn Relevance,
        step: u64,
    ) -> Result<(Tensor<1>, Progress), TrainError> {
        let settings = self.settings;
        let samples = self.samples(step);
        let World { suite, vocabulary, .. } = self.world;
        let batch = Batch::pack(suite, vocabulary, &samples, Sight::Whole)?;
        let questions = Questions::new(&batch, self.device);
        let start = self.start(network, &batch)?;
        let [b, t, _] = start.text.dims();
        let visual = start.visual.clone().ok_or(TrainError::NoReader)?; // [B, V, E]
        let [_, v, _] = visual.dims();
        let scored = selector.forward(
            questions.states(&start.text),
            Some(&questions.words),
            questions.of_pictures(&visual),
        );

        let progress = step as f64 / settings.steps as f64;
        let tau = 10_f64.powf(-progress);
        let mut noise = Noise::new(settings.seed ^ (step << 20), "selector");
        let noise = logistic(&mut noise, questions.len() * v);
        let chosen = relax(scored.logits.clone(), scored.kappa.clone(), noise, tau);
        let read = match settings.backbone {
            BackboneTraining::Frozen => chosen.mask.clone(),
            BackboneTraining::Joint { .. } => self.half_chosen(chosen.mask.clone(), step),
        };
        let mask = questions.spread(read, [b, t]);

        let drawn =
            Noise::new(settings.seed ^ (step << 21), "rung").below(self.ladder.rungs().len());
        let rungs = [self.ladder.cheapest()].into_iter().chain(self.ladder.ids().nth(drawn));
        let at = self.place(&batch).with_mask(mask);
        let targets = self.targets(&batch);
        let mut losses = Vec::new();
        for rung in rungs {
            let logits =
                self.rest(network, &batch, start.clone(), &self.ladder.schedule(rung), &at)?;
            losses.push(answers(&logits, &targets));
        }
        let lowest = losses.first().map_or(f32::NAN, |loss| loss.clone().detach().into_scalar());
        let n = losses.len() as f64;
        let answered = losses.into_iter().reduce(|a, b| a + b).ok_or(TrainError::NoReader)? / n;

        let asked: Vec<(usize, Vec<u32>)> = batch
            .asked
            .iter()
            .map(|asked| {
                let ids = asked.words.clone().map(|row| batch.ids[row] as u32);
                (asked.picture, ids.collect())
            })
            .collect();
        let (relevance, knows) = teacher.relevance(&samples, &asked)?;
        // From half of the patches to the target, over the first half of the steps.
        let target = settings.target + (0.5 - settings.target) * (1.0 - 2.0 * progress).max(0.0);
        let mut loss = answered
            + loss::contrast(&scored, &chosen) * 0.1
            + loss::align(&scored.logits, relevance, knows) * 0.1
            + loss::number(&scored.kappa, v, target);
        if settings.supervision == Supervision::Grounded {
            loss = loss + loss::evidence(&scored, &batch, self.device);
        }
        let patches = scored.kappa.detach().mean().into_scalar::<f32>();
        let steps = settings.steps;
        Ok((loss, Progress { step: step + 1, steps, answers: lowest, patches }))
    }

    /// Half of the questions, at random, read what they have chosen, `[Q, V]`, the others all.
    fn half_chosen(&self, mask: Tensor<2>, step: u64) -> Tensor<2> {
        let [q, _] = mask.dims();
        let mut noise = Noise::new(self.settings.seed ^ (step << 22), "half");
        let draw = |_| if noise.uniform() < 0.5 { 1.0_f32 } else { 0.0 };
        let chosen: Vec<f32> = (0..q).map(draw).collect();
        let chosen: Tensor<2> = Tensor::from_data(TensorData::new(chosen, [q, 1]), self.device);
        mask * chosen.clone() + (-chosen + 1.0)
    }

    /// The streams in front of the first layer that reads.
    fn start(&self, network: &Network, batch: &Batch) -> Result<Streams, TrainError> {
        let (b, side) = (batch.n_pictures, batch.side);
        let pixels = TensorData::new(batch.pixels.clone(), [b, 3, side, side]);
        let encoded = network.encode(Tensor::from_data(pixels, self.device), &|| Ok(()))?; // [B, V, E]
        let ids: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(batch.ids.clone(), [b, batch.n_text]), self.device);
        let streams = Streams {
            text: network.decoder().embed(ids), // [B, T, E]
            visual: Some(network.condition(encoded)),
        };
        let schedule = self.ladder.schedule(self.ladder.cheapest());
        let at = self.place(batch);
        let pass = Pass {
            layers: 0..self.reading,
            schedule: &schedule,
            at: &at,
            refinement: Refinement::Apply,
        };
        Ok(network.decoder().run(streams, &pass, None, &mut |_, _| Ok(()))?)
    }

    fn place(&self, batch: &Batch) -> Placement {
        let model = self.world.model;
        let mask = model.card().positions.image_mask;
        Placement::prefill(&batch.maps, model.rotary(), mask, None, self.device)
    }

    /// From the first layer that reads to the logits of the answers, `[targets, vocab]`.
    fn rest(
        &self,
        network: &Network,
        batch: &Batch,
        streams: Streams,
        schedule: &Schedule,
        at: &Placement,
    ) -> Result<Tensor<2>, TrainError> {
        let decoder = network.decoder();
        let layers = self.reading..decoder.n_layers();
        let pass = Pass { layers, schedule, at, refinement: Refinement::Apply };
        let streams = decoder.run(streams, &pass, None, &mut |_, _| Ok(()))?;
        let [b, t, e] = streams.text.dims();
        let rows: Vec<i64> = batch.targets.iter().map(|&(row, _)| row as i64).collect();
        let n = rows.len();
        let rows = Tensor::from_data(TensorData::new(rows, [n]), self.device);
        Ok(network.logits(streams.text.reshape([b * t, e]).select(0, rows)))
    }

    fn targets(&self, batch: &Batch) -> Tensor<2, Int> {
        let ids: Vec<i64> = batch.targets.iter().map(|&(_, id)| i64::from(id)).collect();
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n, 1]), self.device)
    }
}

/// A selector before it is trained.
pub(super) fn fill(selector: Selector, seed: u64, device: &Device) -> Result<Selector, TrainError> {
    Ok(weights::fill(selector, device, &mut |name, shape| Ok(first_values(name, shape, seed)))?)
}

/// First values of a selector's parameter: queries and keys from the same random matrix, so that
/// like is compared with like.
pub(crate) fn first_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let n = shape.iter().product();
    let own =
        |name: &str, spread: f32| Noise::new(seed, &format!("selector.{name}")).normal(n, spread);
    match *shape {
        _ if name == "sharpness" => vec![4.0],
        _ if name.ends_with("norm.weight") => vec![1.0; n],
        [_] => vec![0.0; n],
        [_, d_in] if name.ends_with("_proj.weight") => {
            let spread = (d_in as f32).powf(-0.5);
            let common = own("meet", spread);
            let noise = own(name, 0.3 * spread);
            common.into_iter().zip(noise).map(|(common, own)| common + own).collect()
        }
        [_, d_in] if name.contains("linear_2") => own(name, 0.1 * (d_in as f32).powf(-0.5)),
        [_, d_in] => own(name, (d_in as f32).powf(-0.5)),
        _ => vec![0.0; n],
    }
}
