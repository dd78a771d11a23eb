//! Training of a converted model, step by step.

use super::batch::{Frame, Keep, Kept, Lifted, Rows, tokens};
use super::features::{Feature, Features, maker};
use super::material::{Material, Shown};
use super::settings::{Freeze, Settings, Stage};
use crate::convert::{SELECTOR, is_added};
use crate::error::TrainError;
use crate::loss::distillation;
use crate::optimizer::{self, Chosen, FlatAdamW, Gradient};
use crate::recipe::Sampling;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, activation};
use std::path::Path;
use visor_checkpoint::Checkpoint;
use visor_core::{Ladder, RungId, Schedule};
use visor_model::init::Noise;
use visor_model::{Network, VisorModel, weights};
use visor_runtime::{Backbone, ModelCard};

/// A run in progress.
#[derive(Debug)]
pub struct Tuner {
    settings: Settings,
    card: ModelCard,
    ladder: Ladder,
    frame: Frame,
    device: Device,
    network: Network,
    /// The model as it was, on a device without gradients, where it teaches.
    teacher: Option<Network>,
    optimizer: FlatAdamW,
    step: u64,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct TunerReport {
    /// Steps done, this one included.
    pub step: u64,
    /// The stage.
    pub stage: Stage,
    /// Cross-entropy of the answers' tokens, by rung.
    pub answers: Vec<(String, f32)>,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f32,
    /// The learning rate.
    pub learning_rate: f64,
    /// Tokens asked for.
    pub tokens: usize,
}

/// How well a rung knows examples.
#[derive(Clone, Debug, PartialEq)]
pub struct RungScore {
    /// The rung.
    pub name: String,
    /// Mean cross-entropy of a token.
    pub loss: f64,
    /// Sequences whose every asked token is the likeliest one given those before: which is when
    /// greedy decoding gives the answers.
    pub right: usize,
    /// Sequences.
    pub n: usize,
}

impl Tuner {
    /// A run from its beginning. `device` must be one that tracks gradients.
    ///
    /// # Errors
    /// Of settings that cannot be followed, a model without a ladder, and as loading.
    pub fn new(
        checkpoint: &Checkpoint,
        settings: &Settings,
        device: &Device,
    ) -> Result<Self, TrainError> {
        settings.check()?;
        let (model, _) = VisorModel::load_unfolded(checkpoint, device)?;
        let card = model.card().clone();
        let ladder = card.ladder.clone().ok_or(TrainError::NotConverted)?;
        let image_mask = card.positions.image_mask;
        let frame = Frame { rotary: model.rotary(), image_mask, tile: card.tile_tokens };
        let teacher = match settings.distillation > 0.0 {
            true if card.dense == visor_runtime::DenseMode::Available => {
                let plain = device.clone().inner();
                let stock = VisorModel::load_unfolded(checkpoint, &plain)?.0.network().clone();
                Some(stock.multiply_in(settings.precision.half()))
            }
            true => return Err(TrainError::NoTeacher),
            false => None,
        };
        let (network, optimizer) = begin(model.network().clone(), settings, 0);
        Ok(Self {
            settings: settings.clone(),
            card,
            ladder,
            frame,
            device: device.clone(),
            network,
            teacher,
            optimizer,
            step: 0,
        })
    }

    /// What names the weights that stay as they are, and opens the folder of what they make of
    /// pictures; nothing where the encoder learns.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn features(&self, folder: &Path, limit: u64) -> Result<Option<Features>, TrainError> {
        let (vision, connector) = (self.network.vision(), self.network.connector());
        let maker = match self.kept() {
            None => return Ok(None),
            Some(Kept::Patches) => maker(&[vision]),
            Some(Kept::Tokens) => maker(&[vision, connector]),
        };
        Features::open(folder, maker, limit).map(Some)
    }

    fn kept(&self) -> Option<Kept> {
        match self.settings.freeze {
            Freeze::Encoder => Some(Kept::Patches),
            Freeze::Vision => Some(Kept::Tokens),
            // Where nothing learns in stage 2, there is none.
            Freeze::Nothing => (self.settings.all.steps == 0).then_some(Kept::Tokens),
        }
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
    ) -> Result<TunerReport, TrainError> {
        if self.step > 0 && self.settings.stage(self.step) != self.settings.stage(self.step - 1) {
            self.begin_stage();
        }
        let asked: usize = batch.iter().map(|rows| rows.targets.len()).sum();
        let mut report = TunerReport {
            step: self.step + 1,
            stage: self.settings.stage(self.step),
            answers: self.rungs().into_iter().map(|id| (self.name(id), 0.0)).collect(),
            gradient_norm: 0.0,
            learning_rate: self.settings.learning_rate(self.step),
            tokens: asked,
        };
        let mut gradient = Gradient::default();
        for rows in batch {
            let share = rows.targets.len() as f64 / asked.max(1) as f64;
            let loss = self.loss(rows, material, features, share, &mut report)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
            let part = self.optimizer.flatten(&self.network, gradients);
            gradient.add(part);
        }
        if let Some(gradient) = gradient.sum() {
            let lr = report.learning_rate;
            let (network, norm) = self.optimizer.step(self.network.clone(), gradient, lr);
            self.network = network;
            report.gradient_norm = norm;
        }
        self.step += 1;
        Ok(report)
    }

    /// The part of a step's loss that these rows have.
    fn loss(
        &self,
        rows: &Rows,
        material: &Material,
        features: Option<&Features>,
        share: f64,
        report: &mut TunerReport,
    ) -> Result<Tensor<1>, TrainError> {
        let visual = self.visual(&self.network, rows, material, features, &self.device)?;
        let lifted = Lifted::new(rows, self.frame, &self.device);
        let taught = self.teach(rows, material)?;
        let rungs = self.rungs();
        let mut parts = Vec::with_capacity(rungs.len());
        for (place, &rung) in rungs.iter().enumerate() {
            let schedule = self.ladder.schedule(rung);
            let logits = lifted.answer(&self.network, visual.clone(), &schedule)?;
            let loss = crate::loss::answers(&logits, &lifted.targets);
            let value = loss.clone().detach().into_scalar::<f32>();
            if !value.is_finite() {
                let (step, pass) = (self.step + 1, self.name(rung));
                return Err(TrainError::NonFinite { step, pass, loss: value });
            }
            report.answers[place].1 += value * share as f32;
            let told = f64::from(self.settings.distillation);
            parts.push(match &taught {
                Some(teacher) => loss * (1.0 - told) + distillation(&logits, teacher) * told,
                None => loss,
            });
        }
        let n = parts.len() as f64;
        let sum = parts.into_iter().reduce(|sum, part| sum + part);
        let sum = sum.expect("a step has a rung");
        Ok(sum * (share / n))
    }

    /// What the stock model answers at dense, `[targets, vocab]`, where it teaches.
    fn teach(&self, rows: &Rows, material: &Material) -> Result<Option<Tensor<2>>, TrainError> {
        let Some(teacher) = &self.teacher else { return Ok(None) };
        let plain = self.device.clone().inner();
        let visual = self.visual(teacher, rows, material, None, &plain)?;
        let dense = Schedule::dense(teacher.decoder().n_layers());
        let logits = Lifted::new(rows, self.frame, &plain).answer(teacher, visual, &dense)?;
        Ok(Some(Tensor::from_data(activation::softmax(logits, 1).into_data(), &self.device)))
    }

    /// Visual tokens of rows; what was made new of a picture is kept for later.
    fn visual(
        &self,
        network: &Network,
        rows: &Rows,
        material: &Material,
        features: Option<&Features>,
        device: &Device,
    ) -> Result<Option<Tensor<3>>, TrainError> {
        let mut put = features.map(|features| {
            move |shown: Shown, feature: Feature| {
                let key = features.key(&material.file(shown).sha256, &material.cut(shown));
                features.put(&key, &feature)
            }
        });
        let keep = put.as_mut().map(|put| put as Keep<'_>);
        tokens(network, rows, self.frame, self.kept(), device, keep)
    }

    /// The rungs of the step at hand, the largest first.
    fn rungs(&self) -> Vec<RungId> {
        let all: Vec<RungId> = self.ladder.ids().collect();
        let draw = |n| Noise::new(self.settings.seed ^ (self.step << 20), "rung").below(n);
        match self.settings.sampling {
            Sampling::One => vec![all[draw(all.len())]],
            Sampling::Sandwich => {
                let (smallest, largest) = (all[0], all[all.len() - 1]);
                let mut rungs = vec![largest];
                if all.len() > 1 {
                    rungs.push(smallest);
                }
                if all.len() > 2 {
                    rungs.push(all[1 + draw(all.len() - 2)]);
                }
                rungs
            }
        }
    }

    fn name(&self, rung: RungId) -> String {
        self.ladder.rung(rung).name().to_owned()
    }

    /// Asks examples at every rung, with the answers so far as they should be.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub fn score(
        &self,
        material: &Material,
        chosen: &[usize],
        features: Option<&Features>,
    ) -> Result<Vec<RungScore>, TrainError> {
        let plain = self.device.clone().inner();
        let network = optimizer::plain(self.network.clone());
        let mut scores: Vec<RungScore> = self
            .ladder
            .rungs()
            .iter()
            .map(|rung| RungScore { name: rung.name().to_owned(), loss: 0.0, right: 0, n: 0 })
            .collect();
        let mut asked = 0;
        for rows in super::batch::rows(material, chosen, self.settings.micro_batch, features)? {
            let visual = self.visual(&network, &rows, material, features, &plain)?;
            let lifted = Lifted::new(&rows, self.frame, &plain);
            asked += rows.targets.len();
            for (score, rung) in scores.iter_mut().zip(self.ladder.ids()) {
                let schedule = self.ladder.schedule(rung);
                let logits = lifted.answer(&network, visual.clone(), &schedule)?;
                let loss = crate::loss::answers(&logits, &lifted.targets).into_scalar::<f32>();
                let likeliest = logits.argmax(1).into_data();
                let mut right = vec![true; rows.n];
                for (got, &(_, id, row)) in likeliest.iter::<i64>().zip(&rows.targets) {
                    right[row] &= got == i64::from(id);
                }
                score.loss += f64::from(loss) * rows.targets.len() as f64;
                score.right += right.iter().filter(|right| **right).count();
                score.n += rows.n;
            }
        }
        scores.iter_mut().for_each(|score| score.loss /= f64::from(asked.max(1) as u32));
        Ok(scores)
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is known of the model that it began from.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// The network with values off the graph.
    pub fn network(&self) -> Network {
        optimizer::plain(self.network.clone())
    }

    pub(super) fn optimizer(&self) -> &FlatAdamW {
        &self.optimizer
    }

    /// Goes on from a saved state.
    pub(super) fn restore(
        &mut self,
        step: u64,
        state: crate::optimizer::State,
    ) -> Result<(), TrainError> {
        self.step = step;
        // What was saved is of the stage of the last step that was done.
        if step > 0 && self.settings.stage(step - 1) != self.settings.stage(0) {
            self.begin_stage();
        }
        self.optimizer.restore(state)?;
        self.network = self.optimizer.write(self.network.clone());
        Ok(())
    }

    /// What learns in the stage at hand, with fresh moments.
    fn begin_stage(&mut self) {
        let (network, optimizer) =
            begin(self.network.clone(), &self.settings, self.settings.added.steps);
        self.network = network;
        self.optimizer = optimizer;
    }
}

/// A network of which what learns at a step is tracked, and its optimiser.
fn begin(network: Network, settings: &Settings, step: u64) -> (Network, FlatAdamW) {
    let (stage, freeze) = (settings.stage(step), settings.freeze);
    let names = weights::ids(&network).into_iter();
    let chosen = names.filter(|(name, _)| learns(name, stage, freeze)).map(|(_, id)| id);
    let chosen = Chosen::Only(chosen.collect());
    let network = optimizer::tracked_where(network, &chosen);
    let network = network.multiply_in(settings.precision.half());
    let adam = optimizer::Settings { beta_1: 0.9, beta_2: 0.98, clip: settings.clip };
    let optimizer = FlatAdamW::over(&network, adam, chosen);
    (network, optimizer)
}

/// Whether a parameter learns. A selector has its own training.
fn learns(name: &str, stage: Stage, freeze: Freeze) -> bool {
    let frozen = match freeze {
        Freeze::Encoder => name.starts_with("vision."),
        Freeze::Vision => name.starts_with("vision.") || name.starts_with("connector."),
        Freeze::Nothing => false,
    };
    !name.starts_with(SELECTOR) && !frozen && (stage == Stage::All || is_added(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_learns_what_it_should() {
        let cases = [
            ("decoder.layers.3.cross.q_proj.weight", true, true, true),
            ("conditional.weight", true, true, true),
            ("decoder.layers.3.self_attn.q_proj.weight", false, true, true),
            ("connector.mlp.linear_1.weight", false, true, false),
            ("vision.encoder.layers.0.mlp.fc1.weight", false, false, false),
            ("selector.sharpness", false, false, false),
        ];
        for (name, added, all, without_connector) in cases {
            let got = (
                learns(name, Stage::Added, Freeze::Encoder),
                learns(name, Stage::All, Freeze::Encoder),
                learns(name, Stage::All, Freeze::Vision),
            );
            assert_eq!(got, (added, all, without_connector), "{name}");
        }
        assert!(learns("vision.encoder.layers.0.mlp.fc1.weight", Stage::All, Freeze::Nothing));
    }
}
