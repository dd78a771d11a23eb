//! Test questions asked with the patches that were chosen, and with what these must be held
//! against: all, as many at random, those left out, those that no question chose, no picture and
//! another one.

use super::questions::Questions;
use super::world::World;
use crate::batch::{Asked, Batch, Sight};
use crate::error::TrainError;
use crate::evaluate::blanked;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use visor_core::{Ladder, Patches, RungId};
use visor_model::decoder::Pass;
use visor_model::init::Noise;
use visor_model::layer::{Refinement, Streams};
use visor_model::selector::{Selector, best};
use visor_model::{Placement, VisorModel};
use visor_runtime::Backbone;
use visor_tasks::Sample;

/// Pictures that stand in one batch.
const BATCH: usize = 64;
/// Other questions whose scores give a ranking of patches that knows no question.
const STRANGERS: usize = 8;

/// Which patches of a picture cross-attention sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sighted {
    /// Those that the question chose.
    Selected,
    /// As many, at random.
    Random,
    /// All but those.
    Complement,
    /// As many, the best by what other questions would choose.
    QuestionFree,
    /// Those that the question chose, of a picture without content.
    Blank,
    /// Those that the question chose, and then another picture in the place of its own.
    Swapped,
}

impl Sighted {
    /// All of them, the one that is meant first.
    pub const ALL: [Self; 6] = [
        Self::Selected,
        Self::Random,
        Self::Complement,
        Self::QuestionFree,
        Self::Blank,
        Self::Swapped,
    ];

    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::Random => "random",
            Self::Complement => "complement",
            Self::QuestionFree => "question-free",
            Self::Blank => "blank picture",
            Self::Swapped => "swapped picture",
        }
    }
}

/// A number of patches and what is seen of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// How many.
    pub patches: Patches,
    /// Which.
    pub sighted: Sighted,
}

/// How well scores point at what a question depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pointing {
    /// Whether the best patch is evidence.
    pub hit: bool,
    /// Share of the evidence that is chosen at `auto`.
    pub recall: f32,
    /// Patches that are chosen at `auto`.
    pub k: u16,
}

/// A question, and what the selector makes of it.
type Asking<'a> = (&'a Asked, Pointing);

/// Asks the first questions of all samples at every rung and level.
///
/// `pointing` hears each question once, `answer` the index of its rung and level and whether it was
/// answered right; at each of them questions come in the order of the samples.
///
/// # Errors
/// Of a stock model, words that the vocabulary lacks, or [`TrainError::AskingStopped`] if `stop` was
/// raised.
pub fn evaluate(
    world: &World<'_>,
    selector: &Selector,
    samples: &[Sample],
    levels: &[Level],
    stop: &AtomicBool,
    pointing: &mut dyn FnMut(Asking<'_>),
    answer: &mut dyn FnMut(usize, usize, bool),
) -> Result<(), TrainError> {
    let subject = Subject {
        world,
        model: world.model,
        selector,
        ladder: world.ladder()?,
        rungs: world.rungs()?,
    };
    for (number, chunk) in samples.chunks(BATCH).enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err(TrainError::AskingStopped { asked: number * BATCH, of: samples.len() });
        }
        subject.ask(chunk, number as u64, levels, pointing, answer)?;
    }
    Ok(())
}

struct Subject<'a> {
    world: &'a World<'a>,
    model: &'a VisorModel,
    selector: &'a Selector,
    ladder: &'a Ladder,
    rungs: Vec<RungId>,
}

impl Subject<'_> {
    fn ask(
        &self,
        samples: &[Sample],
        number: u64,
        levels: &[Level],
        pointing: &mut dyn FnMut(Asking<'_>),
        answer: &mut dyn FnMut(usize, usize, bool),
    ) -> Result<(), TrainError> {
        let device = self.model.device();
        let World { suite, vocabulary, .. } = self.world;
        let batch = Batch::pack(suite, vocabulary, samples, Sight::Whole)?;
        let blank = Batch::pack(suite, vocabulary, &blanked(samples), Sight::Whole)?;
        let questions = Questions::new(&batch, device);
        let whole = self.place(&batch, None);
        let own = self.lift(&batch, device)?;
        let reading = self.world.reading()?;
        let start = self.run(own.clone(), 0..reading, &whole)?;
        let visual = start.visual.clone().ok_or(TrainError::NoReader)?; // [B, V, E]
        let blank = self.lift(&blank, device)?.visual;

        let words = questions.states(&start.text);
        let score = |shift: usize| {
            let shown = rolled(&questions.of_pictures(&visual), shift);
            let scored = self.selector.forward(words.clone(), Some(&questions.words), shown);
            let [_, v] = scored.logits.dims();
            let values: Vec<f32> = scored.logits.into_data().iter::<f32>().collect();
            let kappa: Vec<f32> = scored.kappa.into_data().iter::<f32>().collect();
            (values.chunks(v).map(<[f32]>::to_vec).collect::<Vec<_>>(), kappa)
        };
        let (scores, kappa) = score(0);
        let n = scores.len();
        let n_visual = scores.first().map_or(0, Vec::len);
        let mut strangers = vec![vec![0.0_f32; n_visual]; n];
        for shift in 1..=STRANGERS.min(n.saturating_sub(1)) {
            // Question q is put to the picture of question q + shift.
            for (question, scores) in score(shift).0.into_iter().enumerate() {
                let of_picture = &mut strangers[(question + shift) % n];
                of_picture.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
            }
        }

        for ((asked, scores), kappa) in batch.asked.iter().zip(&scores).zip(&kappa) {
            let k = (kappa.ceil() as usize).max(1);
            let chosen = best(scores, k);
            let evidence = asked.evidence.iter().filter(|&&holds| holds).count().max(1);
            let found = chosen.iter().filter(|&&patch| asked.evidence[patch]).count();
            let first = best(scores, 1);
            pointing((
                asked,
                Pointing {
                    hit: first.iter().all(|&patch| asked.evidence[patch]),
                    recall: found as f32 / evidence as f32,
                    k: k as u16,
                },
            ));
        }

        for (index, level) in levels.iter().enumerate() {
            let mut noise = Noise::new(number, "random patches");
            let visible: Vec<Vec<bool>> = (0..n)
                .map(|question| {
                    let k = match level.patches {
                        Patches::All => n_visual,
                        Patches::Auto => (kappa[question].ceil() as usize).max(1),
                        Patches::Count(count) => count.get(),
                        Patches::Random { one_in, .. } => Patches::drawn(one_in, n_visual),
                    };
                    let ranks = match level.sighted {
                        Sighted::Random => (0..n_visual).map(|_| noise.uniform()).collect(),
                        Sighted::QuestionFree => strangers[question].clone(),
                        _ => scores[question].clone(),
                    };
                    let mut seen = vec![false; n_visual];
                    best(&ranks, k).into_iter().for_each(|patch| seen[patch] = true);
                    if level.sighted == Sighted::Complement {
                        seen.iter_mut().for_each(|seen| *seen = !*seen);
                    }
                    seen
                })
                .collect();
            let mut streams = start.clone();
            streams.visual = match level.sighted {
                Sighted::Blank => blank.clone(),
                Sighted::Swapped => streams.visual.map(|visual| rolled(&visual, 1)),
                _ => streams.visual,
            };
            let at = self.place(&batch, Some(&visible));
            for (rung, &id) in self.rungs.iter().enumerate() {
                let right = self.answers(&batch, streams.clone(), &at, id, reading)?;
                right.into_iter().for_each(|right| answer(rung, index, right));
            }
        }
        Ok(())
    }

    /// The streams in front of the first layer.
    fn lift(&self, batch: &Batch, device: &Device) -> Result<Streams, TrainError> {
        let (b, side, network) = (batch.n_pictures, batch.side, self.model.network());
        let pixels = TensorData::new(batch.pixels.clone(), [b, 3, side, side]);
        let encoded = network.encode(Tensor::from_data(pixels, device), &|| Ok(()))?;
        let ids: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(batch.ids.clone(), [b, batch.n_text]), device);
        let text = network.decoder().embed(ids); // [B, T, E]
        Ok(Streams { text, visual: Some(network.condition(encoded)) })
    }

    /// Where tokens stand; `visible` says by question which patches its tokens read.
    fn place(&self, batch: &Batch, visible: Option<&[Vec<bool>]>) -> Placement {
        let (mask, rotary) = (self.model.card().positions.image_mask, self.model.rotary());
        let mut question_of = vec![None; batch.n_pictures * batch.n_text];
        for (question, asked) in batch.asked.iter().enumerate() {
            question_of[asked.tokens.clone()].fill(Some(question));
        }
        let filter = |sample: usize, text: usize, patch: usize| match (
            visible,
            question_of[sample * batch.n_text + text],
        ) {
            (Some(visible), Some(question)) => visible[question][patch],
            _ => true,
        };
        Placement::prefill(&batch.maps, rotary, mask, Some(&filter), self.model.device())
    }

    fn run(
        &self,
        streams: Streams,
        layers: std::ops::Range<usize>,
        at: &Placement,
    ) -> Result<Streams, TrainError> {
        let schedule = self.ladder.schedule(self.ladder.cheapest());
        let pass = Pass { layers, schedule: &schedule, at, refinement: Refinement::Apply };
        Ok(self.model.network().decoder().run(streams, &pass, None, &mut |_, _| Ok(()))?)
    }

    /// Whether each question is answered right, to the last token.
    fn answers(
        &self,
        batch: &Batch,
        streams: Streams,
        at: &Placement,
        rung: visor_core::RungId,
        reading: usize,
    ) -> Result<Vec<bool>, TrainError> {
        let (network, schedule) = (self.model.network(), self.ladder.schedule(rung));
        let layers = reading..network.decoder().n_layers();
        let pass = Pass { layers, schedule: &schedule, at, refinement: Refinement::Apply };
        let streams = network.decoder().run(streams, &pass, None, &mut |_, _| Ok(()))?;
        let [b, t, e] = streams.text.dims();
        let rows: Vec<i64> = batch.targets.iter().map(|&(row, _)| row as i64).collect();
        let n = rows.len();
        let rows = Tensor::from_data(TensorData::new(rows, [n]), self.model.device());
        let logits = network.logits(streams.text.reshape([b * t, e]).select(0, rows));
        let likeliest: Vec<i64> = logits.argmax(1).into_data().iter::<i64>().collect();
        let right = |row: usize| likeliest[row] == i64::from(batch.targets[row].1);
        Ok(batch.asked.iter().map(|asked| asked.targets.clone().all(right)).collect())
    }
}

/// Row `i` is row `i + by` of `x`, around the end.
fn rolled(x: &Tensor<3>, by: usize) -> Tensor<3> {
    let [n, _, _] = x.dims();
    let by = by % n.max(1);
    match by {
        0 => x.clone(),
        _ => Tensor::cat(vec![x.clone().narrow(0, by, n - by), x.clone().narrow(0, 0, by)], 0),
    }
}
