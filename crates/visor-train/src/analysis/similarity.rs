//! How much the picture changes on its way through the layers: CKA of the visual stream between
//! the places where it can have changed (VISOR, Fig. 3).
//!
//! Only self-attention changes it, so the places are the entry of the decoder and what stands
//! behind each layer that ran in that mode. Rows are visual tokens, of several pictures together.

use super::cka::{Alignment, MIN_ROWS};
use super::{BATCH, Ready, Study, Tell};
use crate::error::TrainError;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use visor_core::LayerMode;
use visor_model::{Dropped, LayerView, Watch, Way};

/// Rows of a batch of CKA; of a picture with more tokens as many are taken, evenly spread.
const ROWS: usize = 256;

/// CKA of the visual stream, by family.
#[derive(Clone, Debug, PartialEq)]
pub struct Similarity {
    /// Where the stream was taken: `None` is the entry of the decoder, else behind this layer.
    pub stages: Vec<Option<usize>>,
    /// By family, one row a stage; `None` of a family without pictures, or with pictures in which
    /// all tokens are alike.
    pub families: BTreeMap<String, Option<Vec<Vec<f64>>>>,
}

/// Visual tokens on the host, row by row, and how wide a row is.
type Rows = (Vec<f32>, usize);

/// The tokens of a family that wait for their batch.
struct Waiting {
    /// By stage.
    rows: Vec<Vec<f32>>,
    width: usize,
    alignment: Alignment,
}

impl Waiting {
    fn new(stages: usize) -> Self {
        Self { rows: vec![Vec::new(); stages], width: 1, alignment: Alignment::new(stages) }
    }

    /// Adds the tokens of a question's pictures, `[V, E]` for each stage.
    fn add(&mut self, stages: &[Vec<f32>], width: usize) {
        self.width = width;
        let tokens = stages.first().map_or(0, |rows| rows.len() / width);
        let taken = tokens.min(ROWS);
        for (rows, stage) in self.rows.iter_mut().zip(stages) {
            for row in (0..taken).map(|row| row * tokens / taken) {
                rows.extend_from_slice(&stage[row * width..(row + 1) * width]);
            }
        }
        if self.n_rows() >= ROWS {
            self.flush();
        }
    }

    fn n_rows(&self) -> usize {
        self.rows.first().map_or(0, |rows| rows.len() / self.width)
    }

    fn flush(&mut self) {
        if self.n_rows() >= MIN_ROWS {
            self.alignment.add(&self.rows, self.width);
        }
        self.rows.iter_mut().for_each(Vec::clear);
    }
}

impl Study<'_> {
    /// Compares the visual streams of all questions at the observed level.
    ///
    /// # Errors
    /// If a question cannot be asked, or [`TrainError::AnalysisStopped`].
    pub fn similarity(&self, tell: Tell<'_>) -> Result<Similarity, TrainError> {
        let modes = self.schedule()?;
        let changing = modes.modes().iter().enumerate();
        let changing = changing.filter(|(_, mode)| **mode == LayerMode::SelfAttention);
        let stages: Vec<Option<usize>> =
            std::iter::once(None).chain(changing.map(|(layer, _)| Some(layer))).collect();
        let mut families: BTreeMap<&str, Waiting> =
            self.families().into_iter().map(|name| (name, Waiting::new(stages.len()))).collect();
        let mut done = 0;
        for items in self.data.items.chunks(BATCH) {
            self.check()?;
            let ready = self.ready(items)?;
            let streams = self.visual_streams(&ready)?;
            for (item, stream) in items.iter().zip(streams) {
                let width = stream.first().map(|(_, width)| *width);
                let waiting = families.get_mut(item.family.as_str());
                if let Some((width, waiting)) = width.zip(waiting) {
                    let rows: Vec<Vec<f32>> = stream.into_iter().map(|(rows, _)| rows).collect();
                    waiting.add(&rows, width);
                }
            }
            done += items.len();
            tell("similarity of the picture between layers", done, self.data.items.len());
        }
        let cka = |(name, mut waiting): (&str, Waiting)| {
            waiting.flush();
            (name.to_owned(), waiting.alignment.cka())
        };
        Ok(Similarity { stages, families: families.into_iter().map(cka).collect() })
    }

    /// The visual stream of each question at every stage, `[V, E]` and `E`; none without pictures.
    fn visual_streams(&self, ready: &[Ready]) -> Result<Vec<Vec<Rows>>, TrainError> {
        let (way, nothing) = (self.way()?, Dropped::new());
        let entry = |ready: &Ready| {
            let network = self.runner.model().network();
            let pictures = ready.visual.iter().flat_map(|encoded| encoded.sequences());
            let tokens = pictures.map(|picture| match way {
                Way::Rung(..) => network.condition(picture),
                Way::Dense => picture,
            });
            // All pictures of a question are one stream.
            let joined =
                tokens.map(|tokens| rows(&tokens)).reduce(|(mut all, width), (more, _)| {
                    all.extend(more);
                    (all, width)
                });
            joined.into_iter().collect::<Vec<_>>()
        };
        let mut streams: Vec<Vec<Rows>> = ready.iter().map(entry).collect();
        let samples: Vec<_> = ready.iter().map(|one| one.observed(&[], way, &nothing)).collect();
        let witness = &mut |_, views: &[LayerView<'_>]| {
            for (view, stream) in views.iter().zip(&mut streams) {
                if view.mode == LayerMode::SelfAttention {
                    stream.extend(view.streams.visual.iter().map(rows));
                }
            }
            Ok(())
        };
        self.runner.model().observe(&samples, Watch::Streams, witness)?;
        Ok(streams)
    }
}

/// `[.., .., E]` as rows on the host, with `E`.
fn rows(tokens: &Tensor<3>) -> Rows {
    let [_, _, e] = tokens.dims();
    (tokens.clone().into_data().iter::<f32>().collect(), e)
}
