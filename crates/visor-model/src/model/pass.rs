//! A pass of the decoder over the samples of a batch.

use super::VisorModel;
use super::kept::Keeping;
use super::states::Begun;
use crate::cache::LayerCache;
use crate::counter;
use crate::decoder::Sample;
use crate::layer::{Batch, Refinement, Streams};
use crate::placement::Placement;
use crate::ragged::pack;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::ops::Range;
use visor_core::{LayerIdx, LayerMode, Schedule};
use visor_runtime::{BackboneError, Cancel, Cancelled, Logits, together};

/// A sample in front of some layers.
pub(super) struct Pending<'a> {
    pub(super) streams: Streams,
    pub(super) layers: Range<usize>,
    pub(super) schedule: &'a Schedule,
    pub(super) at: &'a Placement,
    pub(super) caches: &'a mut [LayerCache],
    /// Told of the picture behind each layer that refines it.
    pub(super) kept: Option<&'a mut Keeping>,
    pub(super) cancel: &'a Cancel,
}

impl VisorModel {
    /// Runs every sample through its layers; those that have the same layers before them run
    /// together.
    pub(super) fn run(&self, samples: Vec<Pending<'_>>) -> Vec<Result<Streams, BackboneError>> {
        let mut parts: BTreeMap<(usize, usize), Vec<(usize, Pending<'_>)>> = BTreeMap::new();
        for (index, sample) in samples.into_iter().enumerate() {
            let Range { start, end } = sample.layers;
            parts.entry((start, end)).or_default().push((index, sample));
        }
        let mut reached = BTreeMap::new();
        for ((start, end), part) in parts {
            let (indices, samples): (Vec<usize>, Vec<Pending<'_>>) = part.into_iter().unzip();
            reached.extend(indices.into_iter().zip(self.run_part(samples, start..end)));
        }
        reached.into_values().collect()
    }

    /// Runs the layers that lie before the decision, or a part of them.
    pub(super) fn pass<'a>(
        &self,
        samples: Vec<(Begun<'a>, Streams)>,
        layers: impl Fn(&Begun<'a>) -> Range<usize>,
    ) -> Vec<Result<(Begun<'a>, Streams), BackboneError>> {
        let (mut begun, streams): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        let pending = begun.iter_mut().zip(streams).map(|(begun, streams)| {
            let layers = layers(begun);
            begun.pending(streams, layers)
        });
        let reached = self.run(pending.collect());
        begun.into_iter().zip(reached).map(|(begun, streams)| Ok((begun, streams?))).collect()
    }

    /// Stops between layers when nobody wants the rest any more.
    fn run_part(
        &self,
        part: Vec<Pending<'_>>,
        layers: Range<usize>,
    ) -> Vec<Result<Streams, BackboneError>> {
        let cancels: Vec<&Cancel> = part.iter().map(|sample| sample.cancel).collect();
        let mut notes = Vec::with_capacity(part.len());
        let sample = |Pending { streams, schedule, at, caches, kept, .. }| {
            notes.push((schedule, kept));
            let refinement = Refinement::Apply;
            (streams, Sample { schedule, at, refinement, caches: Some(caches), seen: None })
        };
        let (streams, mut samples): (Vec<Streams>, Vec<Sample<'_>>) =
            part.into_iter().map(sample).unzip();
        let observe = &mut |LayerIdx(layer), batch: &Batch| {
            for ((schedule, kept), visual) in notes.iter_mut().zip(&batch.visual) {
                if let (Some(kept), LayerMode::SelfAttention) = (kept, schedule.modes()[layer]) {
                    kept.note(layer, visual.as_ref());
                }
            }
            let wanted = cancels.iter().any(|cancel| !cancel.is_cancelled());
            if wanted { Ok(()) } else { Err(Cancelled.into()) }
        };
        match self.network.decoder().run_batch(streams, &mut samples, layers, observe) {
            Ok(streams) => {
                let streams = streams.into_iter().zip(&cancels);
                streams.map(|(streams, cancel)| Ok(cancel.check().map(|()| streams)?)).collect()
            }
            Err(error) => {
                let error = BackboneError::from(error);
                cancels.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    /// Adds the scores that follow a row of each text, `[1, 1, E]`.
    pub(super) fn scored<S>(
        &self,
        samples: impl Iterator<Item = Result<(S, Tensor<3>), BackboneError>>,
    ) -> Vec<Result<(Logits, S), BackboneError>> {
        together(samples.collect(), |samples| {
            let (samples, last): (Vec<S>, Vec<Tensor<3>>) = samples.into_iter().unzip();
            let n = samples.len();
            let rows = pack(last, 1, self.card.padding); // [1, samples, E]
            let [_, computed, e] = rows.dims();
            let rows = rows.reshape([computed, e]);
            let scores = counter::of_rows(computed, n, || self.network.logits(rows));
            let scores = match computed == n {
                true => scores,
                false => scores.narrow(0, 0, n),
            };
            let scores = host(scores); // [samples, vocab]
            let each = scores.chunks(scores.len() / n).map(|scores| Logits(scores.to_vec()));
            each.zip(samples).map(Ok).collect()
        })
    }
}

/// The values of a tensor, on the host.
pub(super) fn host<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
