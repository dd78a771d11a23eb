//! Training of a selector on a user's conversations, on a frozen model of any family (QGSA; method,
//! section 5).
//!
//! As on generated pictures, but for what a user's data do not tell: there is no evidence, and no
//! captions to train a teacher on. The losses are those of the answers, of the contrast between
//! questions and of the number of patches, and of alignment where CLIP teaches. Every answer is a
//! sequence of its own, asked as serving asks it: the words of the last question choose, and all
//! text behind the pictures reads what was chosen.

use super::clip::ClipTeacher;
use super::fit::{Fitted, fill};
use super::loss::{Choices, align};
use super::progress::StepOutcome;
use super::questions::Questions;
use super::read::{Read, ReadScore};
use super::relax::{logistic, relax};
use super::settings::{Settings, TaughtBy};
use crate::error::TrainError;
use crate::optimizer::{self, FlatAdamW, Gradient};
use crate::schedule::warm_cosine;
use crate::tuning::{Features, Frame, Keep, Kept, Lifted, Material, Rows, Shown, maker, tokens};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use std::path::Path;
use visor_core::{Ladder, LayerMode, Schedule};
use visor_model::decoder::Pass;
use visor_model::init::Noise;
use visor_model::layer::{Refinement, Streams};
use visor_model::selector::Selector;
use visor_model::{Network, VisorModel};
use visor_runtime::Backbone;

/// A selector in training.
pub struct SelectorTuner {
    settings: Settings,
    teacher: Option<ClipTeacher>,
    micro_batch: usize,
    ladder: Ladder,
    /// The layer in front of which patches are chosen.
    reading: usize,
    frame: Frame,
    device: Device,
    network: Network,
    selector: Selector,
    optimizer: FlatAdamW,
    step: u64,
}

impl SelectorTuner {
    /// A training from its beginning, or from the selector that `model` has. `device` must be one
    /// that tracks gradients, and at most `micro_batch` questions go through the network at once.
    /// Without a `teacher` nobody says which patches a question is about, whatever the settings say.
    ///
    /// # Errors
    /// [`TrainError::NotConverted`] of a stock model, [`TrainError::NoReader`] where nothing
    /// cross-attends.
    pub fn new(
        model: &VisorModel,
        settings: Settings,
        teacher: Option<ClipTeacher>,
        micro_batch: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let taught_by = match teacher {
            Some(_) => TaughtBy::Clip,
            None => TaughtBy::Nobody,
        };
        let settings = Settings { teacher: taught_by, ..settings };
        let card = model.card();
        let ladder = card.ladder.clone().ok_or(TrainError::NotConverted)?;
        let schedule = ladder.schedule(ladder.cheapest());
        let reads = |mode: &LayerMode| *mode == LayerMode::CrossAttention;
        let reading = schedule.modes().iter().position(reads).ok_or(TrainError::NoReader)?;
        let frame = Frame {
            rotary: model.rotary(),
            image_mask: card.positions.image_mask,
            tile: card.tile_tokens,
        };
        let own = settings.card(model);
        let eps = model.network().decoder().eps();
        let selector = fill(Selector::new(own, eps, device), settings.seed, device)?;
        let adam = optimizer::Settings { beta_1: 0.9, beta_2: 0.98, clip: 1.0 };
        let optimizer = FlatAdamW::new(&selector, adam);
        let network = model.network().clone().to_device(device).no_grad();
        Ok(Self {
            settings,
            teacher,
            micro_batch: micro_batch.max(1),
            ladder,
            reading,
            frame,
            device: device.clone(),
            network,
            selector,
            optimizer,
            step: 0,
        })
    }

    /// The folder of what the frozen encoder and connector make of pictures.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn features(&self, folder: &Path, limit: u64) -> Result<Features, TrainError> {
        let made_by = maker(&[self.network.vision(), self.network.connector()]);
        Features::open(folder, made_by, limit)
    }

    /// Does the next step on its rows.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`], or if a feature cannot be kept.
    pub fn step(
        &mut self,
        batch: &[Rows],
        material: &Material,
        features: Option<&Features>,
    ) -> Result<StepOutcome, TrainError> {
        let asked: usize = batch.iter().map(|rows| rows.n).sum();
        let mut outcome =
            StepOutcome { step: self.step + 1, answers: 0.0, patches: 0.0, gradient_norm: 0.0 };
        let parts =
            (0..).zip(batch).map(|(part, rows)| self.chosen(rows, part, material, features));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        // Questions are held against all others of the step, whatever places their pictures take.
        let (parts, choices): (Vec<Part>, Vec<Choices>) = parts.into_iter().unzip();
        let target = self.target();
        let mut gradient = Gradient::default();
        for (place, (part, rows)) in parts.into_iter().zip(batch).enumerate() {
            let share = rows.n as f64 / asked.max(1) as f64;
            let choices = Choices::of_step(&choices, place);
            let aligned = part.aligned.clone();
            let loss = self.answered(part, share, &mut outcome)?
                + choices.contrast() * 0.1
                + choices.number(target);
            let loss = match aligned {
                Some(aligned) => loss + aligned * (0.1 * share),
                None => loss,
            };
            let value = loss.clone().detach().into_scalar::<f32>();
            if !value.is_finite() {
                let pass = "selector".to_owned();
                return Err(TrainError::NonFinite { step: self.step + 1, pass, loss: value });
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &self.selector);
            let flat = self.optimizer.flatten(&self.selector, gradients);
            gradient.add(flat);
        }
        if let Some(gradient) = gradient.sum() {
            let Settings { learning_rate, steps, .. } = self.settings;
            let rate = learning_rate * warm_cosine(self.step + 1, steps);
            let (selector, norm) = self.optimizer.step(self.selector.clone(), gradient, rate);
            self.selector = selector;
            outcome.gradient_norm = norm;
        }
        self.step += 1;
        Ok(outcome)
    }

    /// Share of the patches that is to be read on the mean: from a half to the one that is wanted,
    /// over the first half of the steps.
    fn target(&self) -> f64 {
        let Settings { target, steps, .. } = self.settings;
        let progress = self.step as f64 / steps as f64;
        target + (0.5 - target) * (1.0 - 2.0 * progress).max(0.0)
    }

    /// Lets the questions of rows choose, for the rest of the way and to be held against others.
    fn chosen(
        &self,
        rows: &Rows,
        part: u64,
        material: &Material,
        features: Option<&Features>,
    ) -> Result<(Part, Choices), TrainError> {
        let settings = self.settings;
        let start = self.start(&self.network, rows, material, features, &self.device)?;
        let [b, v, _] = start.visual.dims();
        let [_, t, _] = start.streams.text.dims();
        let questions = Questions::of_rows(rows, &self.device);
        let states = questions.states(&start.streams.text);
        let visual = start.visual.clone();
        let scored = self.selector.forward(states, Some(&questions.words), visual);
        // Rounds of small batches draw apart.
        let draw = settings.seed ^ (self.step << 20) ^ (part << 44);
        let noise = logistic(&mut Noise::new(draw, "selector"), b * v);
        let tau = 10_f64.powf(-(self.step as f64 / settings.steps as f64));
        let chosen = relax(scored.logits.clone(), scored.kappa.clone(), noise, tau);
        let choices = Choices::new(&scored, &chosen);
        let aligned = self.teacher.as_ref().map(|clip| {
            let relevance = clip.of_rows(rows, material, self.frame.tile, features);
            Ok::<_, TrainError>(align(&scored.logits, relevance?, vec![1.0; b]))
        });
        let aligned = aligned.transpose()?;
        let mask = questions.spread(chosen.mask, [b, t]);
        let patches = scored.kappa.detach().mean().into_scalar::<f32>();
        Ok((Part { start, mask, patches, aligned, draw }, choices))
    }

    /// The loss of a part's answers, which are `share` of the step's.
    fn answered(
        &self,
        part: Part,
        share: f64,
        outcome: &mut StepOutcome,
    ) -> Result<Tensor<1>, TrainError> {
        let Part { start, mask, patches, draw, .. } = part;
        let drawn = Noise::new(draw, "rung").below(self.ladder.rungs().len());
        let lowest = self.ladder.cheapest();
        let rungs = [lowest].into_iter().chain(self.ladder.ids().nth(drawn));
        let mut losses = Vec::new();
        for rung in rungs {
            let schedule = self.ladder.schedule(rung);
            let logits = self.rest(&self.network, &start, &schedule, Some(mask.clone()))?;
            losses.push(crate::loss::answers(&logits, &start.lifted.targets));
        }
        let at_lowest = losses[0].clone().detach().into_scalar::<f32>();
        outcome.answers += at_lowest * share as f32;
        outcome.patches += patches * share as f32;
        let n = losses.len() as f64;
        let answered = losses.into_iter().reduce(|a, b| a + b).ok_or(TrainError::NoReader)?;
        Ok(answered / n * share)
    }

    /// Asks examples at every rung with the patches that their questions choose and with what these
    /// must be held against.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub fn score(
        &self,
        material: &Material,
        chosen: &[usize],
        features: Option<&Features>,
    ) -> Result<Vec<ReadScore>, TrainError> {
        let plain = self.device.clone().inner();
        let network = optimizer::plain(self.network.clone());
        let selector = optimizer::plain(self.selector.clone());
        let mut scores: Vec<ReadScore> = Vec::new();
        for rung in self.ladder.rungs() {
            scores.extend(Read::ALL.map(|read| ReadScore {
                rung: rung.name().to_owned(),
                read,
                loss: 0.0,
                right: 0,
                n: 0,
                patches: 0.0,
            }));
        }
        let mut tokens = 0;
        for rows in crate::tuning::rows(material, chosen, self.micro_batch, features)? {
            let start = self.start(&network, &rows, material, features, &plain)?;
            let Start { lifted, streams, visual } = &start;
            let [b, v, _] = visual.dims();
            let [_, t, _] = streams.text.dims();
            let questions = Questions::of_rows(&rows, &plain);
            let states = questions.states(&streams.text);
            let scored = selector.forward(states, Some(&questions.words), visual.clone());
            let logits: Vec<f32> = scored.logits.into_data().iter::<f32>().collect();
            let kappa: Vec<f32> = scored.kappa.into_data().iter::<f32>().collect();
            tokens += rows.targets.len();
            let mut noise = Noise::new(self.settings.seed, "random patches");
            for read in Read::ALL {
                let mut seen = Vec::with_capacity(b * v);
                for (logits, kappa) in logits.chunks(v).zip(&kappa) {
                    let k = (kappa.ceil() as usize).max(1);
                    seen.extend(read.of(logits, k, &mut noise));
                }
                let n_read = seen.iter().map(|&seen| f64::from(seen)).sum::<f64>();
                let mask = Tensor::from_data(burn::tensor::TensorData::new(seen, [b, v]), &plain);
                let mask = questions.spread(mask, [b, t]);
                for (place, rung) in self.ladder.ids().enumerate() {
                    let schedule = self.ladder.schedule(rung);
                    let logits = self.rest(&network, &start, &schedule, Some(mask.clone()))?;
                    let loss = crate::loss::answers(&logits, &lifted.targets);
                    let likeliest = logits.argmax(1).into_data();
                    let mut right = vec![true; rows.n];
                    for (got, &(_, id, row)) in likeliest.iter::<i64>().zip(&rows.targets) {
                        right[row] &= got == i64::from(id);
                    }
                    let of_read = Read::ALL.iter().position(|&other| other == read);
                    let score = &mut scores[place * Read::ALL.len() + of_read.unwrap_or(0)];
                    let n_targets = rows.targets.len() as f64;
                    score.loss += f64::from(loss.into_scalar::<f32>()) * n_targets;
                    score.right += right.iter().filter(|right| **right).count();
                    score.n += rows.n;
                    score.patches += n_read;
                }
            }
        }
        for score in &mut scores {
            score.loss /= f64::from(tokens.max(1) as u32);
            score.patches /= f64::from(score.n.max(1) as u32);
        }
        Ok(scores)
    }

    /// Rows in front of the first layer that reads.
    fn start(
        &self,
        network: &Network,
        rows: &Rows,
        material: &Material,
        features: Option<&Features>,
        device: &Device,
    ) -> Result<Start, TrainError> {
        let mut put = features.map(|features| {
            move |shown: Shown, feature| {
                let key = features.key(&material.file(shown).sha256, &material.cut(shown));
                features.put(&key, &feature)
            }
        });
        let keep = put.as_mut().map(|put| put as Keep<'_>);
        let places = tokens(network, rows, self.frame, Some(Kept::Tokens), device, keep)?;
        let lifted = Lifted::new(rows, self.frame, device);
        let places = lifted.condition(network, &places.ok_or(TrainError::NoReader)?); // [places, N, E]
        let text = network.decoder().embed(lifted.ids.clone()); // [B, T, E]
        let ([b, _, e], [n, tokens, _]) = (text.dims(), places.dims());
        let visual = places.reshape([b, n / b * tokens, e]); // [B, V, E]
        let schedule = self.ladder.schedule(self.ladder.cheapest());
        let pass = Pass {
            layers: 0..self.reading,
            schedule: &schedule,
            at: &lifted.at,
            refinement: Refinement::Apply,
        };
        let streams = Streams { text, visual: Some(visual) };
        let streams = network.decoder().run(streams, &pass, None, &mut |_, _| Ok(()))?;
        let visual = streams.visual.clone().ok_or(TrainError::NoReader)?;
        Ok(Start { lifted, streams, visual })
    }

    /// From the first layer that reads to the logits of the answers, `[targets, vocab]`.
    fn rest(
        &self,
        network: &Network,
        start: &Start,
        schedule: &Schedule,
        mask: Option<Tensor<4>>,
    ) -> Result<Tensor<2>, TrainError> {
        let decoder = network.decoder();
        let at = match mask {
            Some(mask) => start.lifted.at.clone().with_mask(mask),
            None => start.lifted.at.clone(),
        };
        let layers = self.reading..decoder.n_layers();
        let pass = Pass { layers, schedule, at: &at, refinement: Refinement::Apply };
        let streams = decoder.run(start.streams.clone(), &pass, None, &mut |_, _| Ok(()))?;
        let [b, t, e] = streams.text.dims();
        let asked = start.lifted.asked.clone();
        Ok(network.logits(streams.text.reshape([b * t, e]).select(0, asked)))
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// What says which patches a question is about, if anything does.
    pub(super) fn teacher(&self) -> Option<&ClipTeacher> {
        self.teacher.as_ref()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Questions that go through the network at once.
    pub fn micro_batch(&self) -> usize {
        self.micro_batch
    }

    /// The selector as it is now, for a checkpoint.
    pub fn fitted(&self) -> Fitted {
        let selector = optimizer::plain(self.selector.clone());
        Fitted { selector, network: None }
    }

    pub(super) fn optimizer(&self) -> &FlatAdamW {
        &self.optimizer
    }

    /// Goes on from a saved state.
    pub(super) fn restore(&mut self, step: u64, state: optimizer::State) -> Result<(), TrainError> {
        self.step = step;
        self.optimizer.restore(state)?;
        self.selector = self.optimizer.write(self.selector.clone());
        Ok(())
    }
}

impl std::fmt::Debug for SelectorTuner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelectorTuner").field("step", &self.step).finish_non_exhaustive()
    }
}

/// Questions of a step that go through the network together, on their way.
struct Part {
    start: Start,
    /// What each text token reads, with the gradient of the choice.
    mask: Tensor<4>,
    /// Mean number of patches chosen.
    patches: f32,
    /// How far its scores are from what the teacher says, where there is one.
    aligned: Option<Tensor<1>>,
    /// What it draws by.
    draw: u64,
}

/// Rows that have come to the first layer that reads.
struct Start {
    lifted: Lifted,
    streams: Streams,
    /// `[B, V, E]`: the pictures there.
    visual: Tensor<3>,
}
