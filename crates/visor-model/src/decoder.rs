//! The decoder: embeddings, scheduled layers, final norm.

use crate::attention::Seen;
use crate::cache::LayerCache;
use crate::config::TextConfig;
use crate::counter;
use crate::cross::CrossSizes;
use crate::error::ModelError;
use crate::layer::{Batch, DecoderLayer, LayerSizes, Refinement, Streams, Visit};
use crate::norm::RmsNorm;
use crate::placement::Placement;
use crate::precision::ForEach;
use crate::rotary::RotaryTable;
use crate::weight::{Role, Weight};
use crate::weights::zeros;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use std::ops::Range;
use visor_core::cost::matmul;
use visor_core::{LayerIdx, Layout, Schedule};

/// A token embedding.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, E]`.
    pub weight: Weight,
}

/// A Llama- or Qwen2-type decoder whose layers run as a schedule says.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
}

/// Is told of the streams after each layer; an error stops the pass.
pub type Observer<'a> = &'a mut dyn FnMut(LayerIdx, &Streams) -> Result<(), ModelError>;

/// How a pass over layers is run.
#[derive(Debug)]
pub struct Pass<'a> {
    /// Which layers.
    pub layers: Range<usize>,
    /// In which modes.
    pub schedule: &'a Schedule,
    /// Where tokens stand.
    pub at: &'a Placement,
    /// Whether the picture is refined.
    pub refinement: Refinement,
}

/// A sample of a batch, without its streams.
#[derive(Debug)]
pub struct Sample<'a> {
    /// In which modes its layers run.
    pub schedule: &'a Schedule,
    /// Where its tokens stand.
    pub at: &'a Placement,
    /// Whether its picture is refined.
    pub refinement: Refinement,
    /// One cache a layer, from the first layer of the decoder on.
    pub caches: Option<&'a mut [LayerCache]>,
    /// Where the attention weights of the layer that ran last are left, if somebody looks.
    pub seen: Option<&'a mut Seen>,
}

/// Is told of all samples after each layer; an error stops the pass.
pub type BatchObserver<'a> = &'a mut dyn FnMut(LayerIdx, &Batch) -> Result<(), ModelError>;

impl Sample<'_> {
    /// The sample in front of a layer, and the picture that it keeps where refinement is discarded.
    fn visit(
        &mut self,
        layer: usize,
        visual: Option<&Tensor<3>>,
    ) -> (Option<Tensor<3>>, Visit<'_>) {
        let kept = visual.filter(|_| self.refinement == Refinement::Discard).cloned();
        let cache = self.caches.as_deref_mut().map(|caches| &mut caches[layer]);
        let (mode, seen) = (self.schedule.modes()[layer], self.seen.as_deref_mut());
        (kept, Visit { mode, at: self.at, cache, seen })
    }
}

impl Decoder {
    /// A decoder to be filled, with cross-attention where `layout` has it.
    pub fn new(text: &TextConfig, layout: &Layout, cross: CrossSizes, device: &Device) -> Self {
        let sizes = |layer| LayerSizes {
            d_model: text.d_model,
            d_ffn: text.d_ffn,
            heads: text.heads(),
            bias: text.attention_bias,
            eps: text.rms_norm_eps,
            cross: layout.cross().contains(&LayerIdx(layer)).then_some(cross),
        };
        let layers = (0..text.n_layers).map(|l| DecoderLayer::new(&sizes(l), device)).collect();
        Self {
            embed_tokens: Embedding {
                weight: Weight::Single(zeros([text.vocab, text.d_model], device)),
            },
            layers,
            norm: RmsNorm::new(text.d_model, text.rms_norm_eps, device),
        }
    }

    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// `[B, T]` ids to `[B, T, E]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [b, t] = ids.dims();
        let rows = self.embed_tokens.weight.rows(ids.reshape([b * t])); // [B * T, E]
        let [_, e] = rows.dims();
        rows.reshape([b, t, e])
    }

    /// Normalised rows `[R, E]` to logits `[R, vocab]` through the embedding table.
    pub fn tied_head(&self, rows: Tensor<2>) -> Tensor<2> {
        let [r, e] = rows.dims();
        let [vocab, _] = self.embed_tokens.weight.dims();
        counter::record(matmul(r, e, vocab));
        self.embed_tokens.weight.product(rows, None)
    }

    /// Runs a range of layers over one sample, or over several of equal length as rows of axis
    /// `B`. `caches`, if given, holds one a layer of the whole decoder.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`], or what `observe` returns.
    pub fn run(
        &self,
        streams: Streams,
        pass: &Pass<'_>,
        caches: Option<&mut [LayerCache]>,
        observe: Observer<'_>,
    ) -> Result<Streams, ModelError> {
        let &Pass { ref layers, schedule, at, refinement } = pass;
        let mut sample = [Sample { schedule, at, refinement, caches, seen: None }];
        let observe = &mut |layer, batch: &Batch| {
            batch.clone().streams().try_for_each(|streams| observe(layer, &streams))
        };
        let mut streams =
            self.run_batch(vec![streams], &mut sample, layers.clone(), observe)?.into_iter();
        Ok(streams.next().expect("as many come out as go in"))
    }

    /// Runs a range of layers over samples of any lengths, each by its own schedule: its streams
    /// have `B = 1` and are in the order of `samples`.
    ///
    /// # Errors
    /// [`ModelError::CacheFull`] if one sample's is, or what `observe` returns; the batch then stops
    /// as a whole.
    pub fn run_batch(
        &self,
        streams: Vec<Streams>,
        samples: &mut [Sample<'_>],
        layers: Range<usize>,
        observe: BatchObserver<'_>,
    ) -> Result<Vec<Streams>, ModelError> {
        let Some(first) = samples.first() else { return Ok(streams) };
        let padding = first.at.text.padding();
        let turns = samples.iter().map(|sample| &sample.at.text.rotary);
        let turns = RotaryTable::joined(turns, padding);
        let mut batch = Batch::of(streams, padding);
        for layer in layers {
            let visits = samples.iter_mut().zip(&batch.visual);
            let visits = visits.map(|(sample, visual)| sample.visit(layer, visual.as_ref()));
            let (before, visits): (Vec<_>, Vec<_>) = visits.unzip();
            batch = self.layers[layer].forward(batch, visits, &turns)?;
            for (visual, before) in batch.visual.iter_mut().zip(before) {
                *visual = before.or(visual.take());
            }
            observe(LayerIdx(layer), &batch)?;
        }
        Ok(batch.streams().collect())
    }

    /// The epsilon of its norms.
    pub fn eps(&self) -> f64 {
        self.norm.eps()
    }

    /// The final norm, for rows that go to the head.
    pub fn normalise<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        self.norm.forward(x)
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        each(&mut self.embed_tokens.weight, Role::Table);
        self.for_each_weight_below(self.layers.len(), each);
    }

    /// Those of the first `layers` alone, without the embedding table.
    pub(crate) fn for_each_weight_below(&mut self, layers: usize, each: ForEach<'_>) {
        self.layers.iter_mut().take(layers).for_each(|layer| layer.for_each_weight(each));
    }

    /// With maps of the same rows as one product, to be run.
    #[must_use]
    pub(crate) fn joined(self) -> Self {
        Self { layers: self.layers.into_iter().map(DecoderLayer::joined).collect(), ..self }
    }

    /// Folds the gates of cross-attention, for inference.
    #[must_use]
    pub fn fold_gates(self) -> Self {
        Self { layers: self.layers.into_iter().map(DecoderLayer::fold_gate).collect(), ..self }
    }
}
