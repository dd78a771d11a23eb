//! A pass that is looked into: the attention weights of every layer, the picture behind it, and
//! what becomes of an answer when some layers do not see the picture.
//!
//! It runs the layers that every pass runs, in one piece and without caches, so that nothing of it
//! costs anything where nobody looks. What it computes is what a prefill computes.

use super::VisorModel;
use super::pass::host;
use super::prompt::{at, token_map};
use super::states::EncodedPictures;
use crate::attention::Seen;
use crate::decoder::Sample;
use crate::error::ModelError;
use crate::layer::{Refinement, Streams};
use crate::placement::Placement;
use crate::ragged::pack;
use burn::tensor::Tensor;
use std::collections::BTreeSet;
use visor_core::{Ladder, LayerIdx, LayerMode, Padding, Patches, RungId, Schedule};
use visor_processor::EncodedPrompt;
use visor_runtime::{Logits, Start};

/// At what a sample is observed.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// A rung of the model's ladder.
    Rung(&'a Ladder, RungId),
    /// The stock model.
    Dense,
}

impl<'a> Way<'a> {
    fn start(self) -> Start<'a> {
        match self {
            Self::Rung(ladder, _) => {
                Start::Budgeted { ladder, routing: None, patches: Patches::All }
            }
            Self::Dense => Start::Dense,
        }
    }

    /// What its layers do, with nothing dropped.
    pub fn schedule(self, n_layers: usize) -> Schedule {
        match self {
            Self::Rung(ladder, rung) => ladder.schedule(rung),
            Self::Dense => Schedule::dense(n_layers),
        }
    }
}

/// Layers in which the text does not see the picture.
///
/// At a rung such a layer runs on the text alone: its cross-attention is passed over, its picture
/// rests. In the dense model the picture goes on through the layer and its keys are hidden from
/// the text, since nothing else of a stock layer knows what a picture is.
pub type Dropped = BTreeSet<LayerIdx>;

/// A sample to be observed.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The prompt.
    pub prompt: &'a EncodedPrompt,
    /// Its pictures in their order, in any number of pieces.
    pub visual: Vec<&'a EncodedPictures>,
    /// Tokens of the answer that stand behind the prompt; none to see the prompt alone.
    pub answer: &'a [u32],
    /// At what.
    pub way: Way<'a>,
    /// Where the picture is not seen.
    pub dropped: &'a Dropped,
}

/// What is kept of a layer besides its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Attention weights, which grow with the square of the tokens.
    Attention,
    /// Nothing.
    Streams,
}

/// A sample behind a layer.
#[derive(Debug)]
pub struct LayerView<'a> {
    /// What the layer did.
    pub mode: LayerMode,
    /// Its streams: text `[1, T, E]`, prompt and answer; picture `[1, V, E]`.
    pub streams: &'a Streams,
    /// Its attention weights, with `B = 1`, where they are watched.
    pub seen: &'a Seen,
}

/// Is told of all samples behind each layer, in their order; an error stops the pass.
pub type Witness<'a> = &'a mut dyn FnMut(LayerIdx, &[LayerView<'_>]) -> Result<(), ModelError>;

/// A sample in front of the first layer.
struct Placed {
    schedule: Schedule,
    sighted: Placement,
    /// Where the text does not see the picture, if that is ever so in self-attention.
    blind: Option<Placement>,
    /// Text rows that the answer is read off: the last of the prompt, then those of the answer.
    rows: std::ops::Range<usize>,
}

impl VisorModel {
    /// Runs samples through all layers together and tells `witness` what each layer did. Gives for
    /// every sample the scores that follow the prompt and each token of the answer:
    /// `answer.len() + 1` of them.
    ///
    /// # Errors
    /// If pictures are not those of the prompt, a token is outside the vocabulary, or what
    /// `witness` returns.
    pub fn observe(
        &self,
        samples: &[Observed<'_>],
        watch: Watch,
        witness: Witness<'_>,
    ) -> Result<Vec<Vec<Logits>>, ModelError> {
        let placed = samples.iter().map(|sample| self.place(sample));
        let (placed, mut streams): (Vec<Placed>, Vec<Streams>) =
            placed.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        for layer in 0..self.network.decoder().n_layers() {
            let mut seen: Vec<Seen> = vec![Seen::default(); samples.len()];
            let mut batch: Vec<Sample<'_>> = Vec::with_capacity(samples.len());
            for ((placed, sample), seen) in placed.iter().zip(samples).zip(&mut seen) {
                let is_blind = sample.dropped.contains(&LayerIdx(layer));
                batch.push(Sample {
                    schedule: &placed.schedule,
                    at: placed.blind.as_ref().filter(|_| is_blind).unwrap_or(&placed.sighted),
                    refinement: Refinement::Apply,
                    caches: None,
                    seen: (watch == Watch::Attention).then_some(seen),
                });
            }
            let decoder = self.network.decoder();
            streams =
                decoder.run_batch(streams, &mut batch, layer..layer + 1, &mut |_, _| Ok(()))?;
            let views: Vec<LayerView<'_>> = placed
                .iter()
                .zip(&streams)
                .zip(&seen)
                .map(|((placed, streams), seen)| LayerView {
                    mode: placed.schedule.modes()[layer],
                    streams,
                    seen,
                })
                .collect();
            witness(LayerIdx(layer), &views)?;
        }
        Ok(self.read_off(&placed, &streams))
    }

    fn place(&self, sample: &Observed<'_>) -> Result<(Placed, Streams), ModelError> {
        let Observed { prompt, ref visual, answer, way, dropped } = *sample;
        let visual = self.visual(prompt.images(), visual, way.start())?; // [1, V, E]
        let ids: Vec<u32> = prompt.text_ids().iter().chain(answer).copied().collect();
        ids.iter().try_for_each(|&id| self.expect_known(id))?;
        let mut map = token_map(prompt);
        map.text.extend((prompt.len()..).take(answer.len()).map(at));
        let sighted = self.placement(map);
        let whole = way.schedule(self.network.decoder().n_layers());
        let (schedule, blind) = match way {
            Way::Rung(..) => (whole.with_text_only(dropped), None),
            Way::Dense => (whole, Some(sighted.clone().with_picture_hidden(prompt.n_visual()))),
        };
        let rows = prompt.n_text() - 1..ids.len();
        let streams = Streams { text: self.embed(&ids), visual }; // text [1, T, E]
        Ok((Placed { schedule, sighted, blind, rows }, streams))
    }

    /// The scores that follow the rows of the answers.
    fn read_off(&self, placed: &[Placed], streams: &[Streams]) -> Vec<Vec<Logits>> {
        let rows = |(placed, streams): (&Placed, &Streams)| {
            streams.text.clone().narrow(1, placed.rows.start, placed.rows.len())
        };
        let rows: Vec<Tensor<3>> = placed.iter().zip(streams).map(rows).collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let rows = pack(rows, 1, Padding::None); // [1, rows of all, E]
        let [_, n, e] = rows.dims();
        let scores = host(self.network.logits(rows.reshape([n, e]))); // [rows of all, vocab]
        let mut each = scores.chunks(scores.len() / n).map(|scores| Logits(scores.to_vec()));
        placed.iter().map(|placed| each.by_ref().take(placed.rows.len()).collect()).collect()
    }
}
