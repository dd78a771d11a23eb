//! What a policy's head sees of labelled questions, in batches of one shape.

use super::labels::Label;
use crate::data::{Dataset, Item, ItemPicture};
use crate::error::TrainError;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::BTreeMap;
use visor_core::cost::Flops;
use visor_core::{Ladder, Schedule};
use visor_model::decoder::Pass;
use visor_model::layer::{Refinement, Streams};
use visor_model::{Network, Placement, TextToken, TokenMap, VisorModel, VisualToken};
use visor_processor::{PixelSize, Setting};
use visor_runtime::{Backbone, Cancel, Runner};

/// Larger sets of visual tokens are refused: they are held in memory.
const MAX_GIB: usize = 8;

/// One question on the host.
struct Example {
    ids: Vec<u32>,
    /// With the routing token.
    map: TokenMap,
    /// `[V, E]`, as it enters the decoder.
    visual: Vec<f32>,
    scores: Vec<f32>,
    costs: Vec<Flops>,
}

/// Labelled questions with their pictures encoded.
pub struct Examples {
    all: Vec<Example>,
    d_model: usize,
}

/// A batch of one shape on the device.
pub(super) struct Batch {
    /// `[B, T]`.
    ids: Tensor<2, Int>,
    /// `[B, V, E]`.
    visual: Option<Tensor<3>>,
    at: Placement,
    /// `[B, rungs]`.
    pub(super) scores: Tensor<2>,
}

/// What runs before a decision, with frozen weights.
pub(super) struct Prefix {
    network: Network,
    schedule: Schedule,
    decision: usize,
}

impl Prefix {
    /// The layers of `model` before its decision, on `device`.
    pub(super) fn new(model: &VisorModel, ladder: &Ladder, device: &Device) -> Self {
        let decision = ladder.decision_layer().0;
        let network = model.network().clone().with_parameters_below(decision, device);
        Self { network: network.no_grad(), schedule: ladder.schedule(ladder.cheapest()), decision }
    }

    /// The routing token's states `[B, E]` and the mean visual tokens `[B, E]`; `routing` is `[E]`.
    pub(super) fn states(
        &self,
        batch: &Batch,
        routing: Tensor<1>,
    ) -> Result<(Tensor<2>, Tensor<2>), TrainError> {
        let decoder = self.network.decoder();
        let text = decoder.embed(batch.ids.clone()); // [B, T, E]
        let [b, t, e] = text.dims();
        let routing = routing.reshape([1, 1, e]).expand([b, 1, e]);
        let text = Tensor::cat(vec![text, routing], 1); // [B, T + 1, E]
        let streams = Streams { text, visual: batch.visual.clone() };
        let pass = Pass {
            layers: 0..self.decision,
            schedule: &self.schedule,
            at: &batch.at,
            refinement: Refinement::Apply,
        };
        let streams = decoder.run(streams, &pass, None, &mut |_, _| Ok(()))?;
        let token = streams.text.narrow(1, t, 1).reshape([b, e]);
        let visual = match streams.visual {
            Some(visual) => visual.mean_dim(1).reshape([b, e]),
            None => Tensor::zeros([b, e], &token.device()),
        };
        Ok((token, visual))
    }
}

impl Examples {
    /// Counts the visual tokens of all questions, by the sizes of their pictures: before the labels
    /// are made, which takes much longer.
    ///
    /// # Errors
    /// [`TrainError::TooManyQuestions`] if memory should not hold them.
    pub fn expect_room(runner: &Runner<VisorModel>, data: &Dataset) -> Result<(), TrainError> {
        let (card, processor) = (runner.card(), runner.image_processor());
        let bytes = |item: &Item| {
            let setting = Setting { pictures: item.pictures.len(), max_tiles: None };
            let arrange = |picture: &ItemPicture| {
                let (width, height) = picture.size();
                processor.arrange(PixelSize { width, height }, setting)
            };
            let places = item.pictures.iter().flat_map(|one| arrange(one).places(card.tile_tokens));
            let tokens: usize = places.map(|place| place.rows * place.cols).sum();
            tokens * card.shape.decoder.d_model * size_of::<f32>()
        };
        let (questions, gib) = (data.items.len(), MAX_GIB);
        let fitting = fitting(data.items.iter().map(bytes), gib << 30);
        match fitting == questions {
            true => Ok(()),
            false => Err(TrainError::TooManyQuestions { questions, fitting, gib }),
        }
    }

    /// Encodes the pictures of labelled questions; `tell` hears of each.
    ///
    /// # Errors
    /// If a question cannot be prepared, or as [`expect_room`](Self::expect_room).
    pub fn new(
        runner: &Runner<VisorModel>,
        data: &Dataset,
        labels: &[Label],
        tell: &mut dyn FnMut(usize),
    ) -> Result<Self, TrainError> {
        Self::expect_room(runner, data)?;
        let d_model = runner.card().shape.decoder.d_model;
        let mut all = Vec::with_capacity(labels.len());
        for (item, label) in data.items.iter().zip(labels) {
            let asked = |because| TrainError::Question { id: item.id.clone(), because };
            let prepared = runner.prepare(item.request()?).map_err(asked)?;
            let prompt = prepared.prompt();
            let model = runner.model();
            let visual = match prepared.pictures() {
                [] => Vec::new(),
                pictures => {
                    let encoded = model
                        .encode(pictures, &Cancel::new())
                        .map_err(|error| asked(error.into()))?;
                    let condition = |picture: Tensor<3>| {
                        let stream = model.network().condition(picture);
                        stream.into_data().iter::<f32>().collect::<Vec<_>>()
                    };
                    encoded.sequences().flat_map(condition).collect()
                }
            };
            let text = prompt.text_positions().iter().copied().chain([prompt.len()]);
            let text = text.map(|position| TextToken { position, segment: 0 }).collect();
            let visual_tokens = prompt.images().iter().enumerate().flat_map(|(image, span)| {
                (0..span.len).map(move |index| {
                    let (row, column) = span.row_col(index);
                    let position = span.start + index;
                    VisualToken { position, image, start: span.start, row, column }
                })
            });
            all.push(Example {
                ids: prompt.text_ids().to_vec(),
                map: TokenMap { text, visual: visual_tokens.collect() },
                visual,
                scores: label.scores.clone(),
                costs: prepared.costs().weighed(),
            });
            tell(all.len());
        }
        Ok(Self { all, d_model })
    }

    /// The same questions with some of the budgets: those at `places` of the ladder, in this order.
    #[must_use]
    pub fn narrowed(mut self, places: &[usize]) -> Self {
        for example in &mut self.all {
            example.scores = places.iter().map(|&place| example.scores[place]).collect();
            example.costs = places.iter().map(|&place| example.costs[place]).collect();
        }
        self
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The scores of a question by rung.
    pub fn scores(&self, index: usize) -> &[f32] {
        &self.all[index].scores
    }

    /// The prefill of a question by rung, end to end.
    pub fn costs(&self, index: usize) -> &[Flops] {
        &self.all[index].costs
    }

    /// Cuts an order of questions into batches of at most `size` that have equally many tokens.
    pub(super) fn batches(&self, order: &[usize], size: usize) -> Vec<Vec<usize>> {
        let mut open: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        let mut full = Vec::new();
        for &index in order {
            let Example { ids, map, .. } = &self.all[index];
            let batch = open.entry((ids.len(), map.visual.len())).or_default();
            batch.push(index);
            if batch.len() == size {
                full.push(std::mem::take(batch));
            }
        }
        full.extend(open.into_values().filter(|batch| !batch.is_empty()));
        full
    }

    /// Lifts questions of one shape.
    pub(super) fn lift(&self, indices: &[usize], model: &VisorModel, device: &Device) -> Batch {
        let chosen: Vec<&Example> = indices.iter().map(|&index| &self.all[index]).collect();
        let b = chosen.len();
        let (t, v) = chosen.first().map_or((0, 0), |e| (e.ids.len(), e.map.visual.len()));
        let rungs = chosen.first().map_or(0, |example| example.scores.len());
        let ids: Vec<i64> = chosen.iter().flat_map(|e| &e.ids).map(|&id| i64::from(id)).collect();
        let visual: Vec<f32> = chosen.iter().flat_map(|e| e.visual.iter().copied()).collect();
        let scores: Vec<f32> = chosen.iter().flat_map(|e| e.scores.iter().copied()).collect();
        let maps: Vec<TokenMap> = chosen.iter().map(|e| e.map.clone()).collect();
        let mask = model.card().positions.image_mask;
        let at = Placement::prefill(&maps, model.rotary(), mask, None, device);
        let visual = TensorData::new(visual, [b, v, self.d_model]);
        Batch {
            ids: Tensor::from_data(TensorData::new(ids, [b, t]), device),
            visual: (v > 0).then(|| Tensor::from_data(visual, device)),
            at: at.with_routing_token(),
            scores: Tensor::from_data(TensorData::new(scores, [b, rungs]), device),
        }
    }
}

impl std::fmt::Debug for Examples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examples").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// How many of the first fit within `limit` together.
fn fitting(bytes: impl Iterator<Item = usize>, limit: usize) -> usize {
    let sums = bytes.scan(0_usize, |sum, bytes| {
        *sum = sum.saturating_add(bytes);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= limit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_fit_until_their_visual_tokens_do_not() {
        assert_eq!(fitting([4, 4, 4, 1].into_iter(), 8), 2);
        assert_eq!(fitting([4, 4].into_iter(), 8), 2);
        assert_eq!(fitting([0, 9].into_iter(), 8), 1);
        assert_eq!(fitting([1, usize::MAX].into_iter(), 8), 1);
    }
}
