//! One step of a selector's training on the generated suite: its questions, what they read, and the
//! loss of that.

use super::loss::{self, Choices};
use super::questions::Questions;
use super::relax::{logistic, relax};
use super::settings::{BackboneTraining, Settings, Supervision};
use super::teacher::Relevance;
use super::world::World;
use crate::batch::{Batch, Sight};
use crate::error::TrainError;
use crate::loss::answers;
use burn::tensor::{Device, Int, Tensor, TensorData};
use visor_core::{Ladder, Schedule};
use visor_model::decoder::Pass;
use visor_model::init::Noise;
use visor_model::layer::{Refinement, Streams};
use visor_model::selector::Selector;
use visor_model::{Network, Placement};
use visor_runtime::Backbone;
use visor_tasks::{Sample, Split};

/// What every step goes by.
pub(super) struct Course<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) device: &'a Device,
    pub(super) ladder: &'a Ladder,
    /// The layer in front of which patches are chosen.
    pub(super) reading: usize,
    pub(super) settings: Settings,
}

/// What was seen on the way to the loss.
pub(super) struct Seen {
    /// Cross-entropy of the answers at the lowest rung.
    pub(super) answers: f32,
    /// Mean number of patches that were read.
    pub(super) patches: f32,
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

    /// The loss of step `step`, of which `selector`, and `network` where it learns along, learn.
    pub(super) fn loss(
        &self,
        network: &Network,
        selector: &Selector,
        teacher: &dyn Relevance,
        step: u64,
    ) -> Result<(Tensor<1>, Seen), TrainError> {
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
        let choices = Choices::new(&scored, &chosen);
        let mut loss = answered
            + choices.contrast() * 0.1
            + loss::align(&scored.logits, relevance, knows) * 0.1
            + choices.number(target);
        if settings.supervision == Supervision::Grounded {
            loss = loss + loss::evidence(&scored, &batch, self.device);
        }
        let patches = scored.kappa.detach().mean().into_scalar::<f32>();
        Ok((loss, Seen { answers: lowest, patches }))
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
