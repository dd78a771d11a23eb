//! Where the text looks: the share of attention that goes to the picture, the question and the
//! answer, layer by layer (VISOR, Fig. 2).
//!
//! Self-attention and cross-attention each have a softmax of their own, so each has shares that
//! add up to 1. Self-attention divides itself among the picture, where the layer joins it, the
//! text of the prompt and the answer; cross-attention among the picture and the null key. The
//! answer is the model's own, greedy.

use super::{BATCH, Study, Tell, asked};
use crate::error::TrainError;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use visor_core::{LayerIdx, LayerMode};
use visor_model::{Dropped, LayerView, Watch};

/// Shares of self-attention; they add up to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// To the picture.
    pub image: f64,
    /// To the text of the prompt.
    pub question: f64,
    /// To the answer so far.
    pub answer: f64,
}

/// What rows of one kind look at in a layer: means over heads, rows, then questions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// By self-attention.
    pub own: Shares,
    /// The share of cross-attention that goes to the picture, the rest of which goes to the null
    /// key; `None` where the layer has none.
    pub cross: Option<f64>,
}

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerAttention {
    /// What it does at the observed level.
    pub mode: LayerMode,
    /// The prompt's text but for its last row; `None` where no prompt has more than that.
    pub question: Option<Look>,
    /// The rows that the answer is read off: the last one of the prompt, then the answer's.
    pub answer: Option<Look>,
}

/// Layers by family, first layer first.
pub type Attention = BTreeMap<String, Vec<LayerAttention>>;

/// Looks added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    look: [f64; 4],
    n: usize,
}

impl Sum {
    /// Adds a question's mean over its rows of a kind; nothing of no rows.
    fn add(&mut self, rows: &[[f64; 4]]) {
        if rows.is_empty() {
            return;
        }
        for (sum, column) in self.look.iter_mut().zip(0..) {
            let column: usize = column;
            *sum += rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
        }
        self.n += 1;
    }

    fn mean(&self, mode: LayerMode) -> Option<Look> {
        let [image, question, answer, cross] = self.look.map(|sum| sum / self.n as f64);
        let cross = (mode == LayerMode::CrossAttention).then_some(cross);
        (self.n > 0).then_some(Look { own: Shares { image, question, answer }, cross })
    }
}

impl Study<'_> {
    /// Looks where the text of all questions looks at the observed level.
    ///
    /// # Errors
    /// If a question cannot be asked, or [`TrainError::AnalysisStopped`].
    pub fn attention(&self, tell: Tell<'_>) -> Result<Attention, TrainError> {
        let schedule = self.schedule()?;
        let modes = schedule.modes();
        let blank = vec![[Sum::default(); 2]; modes.len()];
        let mut sums: BTreeMap<&str, Vec<[Sum; 2]>> =
            self.families().into_iter().map(|name| (name, blank.clone())).collect();
        let (way, nothing, mut done) = (self.way()?, Dropped::new(), 0);
        for items in self.data.items.chunks(BATCH) {
            self.check()?;
            let ready = self.ready(items)?;
            let prepared = ready.iter().map(|ready| ready.prepared.clone()).collect();
            let answers =
                items.iter().zip(self.runner.answer_batch(prepared)).map(|(item, outcome)| {
                    let mut ids = outcome.map_err(|error| asked(item, error))?.token_ids;
                    // The last token is never fed back.
                    ids.pop();
                    Ok(ids)
                });
            let answers = answers.collect::<Result<Vec<Vec<u32>>, TrainError>>()?;
            let samples: Vec<_> = ready
                .iter()
                .zip(&answers)
                .map(|(ready, answer)| ready.observed(answer, way, &nothing))
                .collect();
            let witness = &mut |LayerIdx(layer): LayerIdx, views: &[LayerView<'_>]| {
                for ((view, item), ready) in views.iter().zip(items).zip(&ready) {
                    let n_prompt = ready.prepared.prompt().n_text();
                    let rows = rows(view, n_prompt);
                    let (question, answer) = rows.split_at(n_prompt - 1);
                    if let Some(sums) = sums.get_mut(item.family.as_str()) {
                        sums[layer][0].add(question);
                        sums[layer][1].add(answer);
                    }
                }
                Ok(())
            };
            self.runner.model().observe(&samples, Watch::Attention, witness)?;
            done += items.len();
            tell("attention", done, self.data.items.len());
        }
        let layer = |([question, answer], &mode): (&[Sum; 2], &LayerMode)| LayerAttention {
            mode,
            question: question.mean(mode),
            answer: answer.mean(mode),
        };
        let family = |(name, sums): (&str, Vec<[Sum; 2]>)| {
            (name.to_owned(), sums.iter().zip(modes).map(layer).collect())
        };
        Ok(sums.into_iter().map(family).collect())
    }
}

/// Of each text row, the shares of picture, prompt and answer in self-attention and of the picture
/// in cross-attention, as means over heads.
fn rows(view: &LayerView<'_>, n_prompt: usize) -> Vec<[f64; 4]> {
    let [_, n_text, _] = view.streams.text.dims();
    let own = view.seen.own.as_ref().map(over_heads).unwrap_or_default();
    let cross = view.seen.cross.as_ref().map(over_heads);
    // Where picture and text are joined the picture stands first, in rows and in keys.
    let n_visual = own.len() - n_text;
    let row = |(index, row): (usize, &Vec<f64>)| {
        let (image, text) = row.split_at(n_visual);
        let (question, answer) = text.split_at(n_prompt);
        let read = cross.as_ref().map_or(0.0, |cross| cross[index][1..].iter().sum());
        [image.iter().sum(), question.iter().sum(), answer.iter().sum(), read]
    };
    own[n_visual..].iter().enumerate().map(row).collect()
}

/// `[1, H, S, keys]` to rows of keys.
fn over_heads(weights: &Tensor<4>) -> Vec<Vec<f64>> {
    let [_, _, _, keys] = weights.dims();
    let mean: Vec<f64> =
        weights.clone().mean_dim(1).into_data().iter::<f32>().map(f64::from).collect();
    mean.chunks(keys).map(<[f64]>::to_vec).collect()
}
