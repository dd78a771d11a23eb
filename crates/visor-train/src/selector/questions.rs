//! The questions of a batch as rows of their own, and the way back to its text.

use crate::batch::Batch;
use crate::tuning::Rows;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::ops::Range;

/// The `Q` questions of a batch, whose words are filled up to `L`.
#[derive(Debug)]
pub(super) struct Questions {
    /// `[Q * L]`: rows of the flattened text `[B * T]`.
    rows: Tensor<1, Int>,
    /// `[Q, L]`: 1 for a word, 0 for padding.
    pub(super) words: Tensor<2>,
    /// `[Q]`: the picture of each question.
    pictures: Tensor<1, Int>,
    /// `[B * T]`: the question of each text token, `Q` for padding.
    of_token: Tensor<1, Int>,
    n: usize,
    n_words: usize,
}

impl Questions {
    pub(super) fn new(batch: &Batch, device: &Device) -> Self {
        let (n, n_rows) = (batch.asked.len(), batch.n_pictures * batch.n_text);
        let n_words = batch.asked.iter().map(|asked| asked.words.len()).max().unwrap_or(0);
        let (mut rows, mut words) = (Vec::new(), Vec::new());
        let mut of_token = vec![n as i64; n_rows];
        for (question, asked) in batch.asked.iter().enumerate() {
            for index in 0..n_words {
                let row = asked.words.clone().nth(index);
                words.push(if row.is_some() { 1.0_f32 } else { 0.0 });
                rows.push(row.unwrap_or(asked.words.start) as i64);
            }
            of_token[asked.tokens.clone()].fill(question as i64);
        }
        let pictures: Vec<i64> = batch.asked.iter().map(|asked| asked.picture as i64).collect();
        let ints = |values: Vec<i64>| {
            let n = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [n]), device)
        };
        Self {
            rows: ints(rows),
            words: Tensor::from_data(TensorData::new(words, [n, n_words]), device),
            pictures: ints(pictures),
            of_token: ints(of_token),
            n,
            n_words,
        }
    }

    /// The questions of rows of which each has one; all text of a row reads what it chooses.
    pub(super) fn of_rows(from: &Rows, device: &Device) -> Self {
        let n_words = from.questions.iter().map(Range::len).max().unwrap_or(0);
        let (mut rows, mut words) = (Vec::new(), Vec::new());
        for (row, question) in from.questions.iter().enumerate() {
            let place = |at: usize| (row * from.n_text + at) as i64;
            for index in 0..n_words {
                let word = question.clone().nth(index);
                words.push(if word.is_some() { 1.0_f32 } else { 0.0 });
                rows.push(place(word.unwrap_or(question.start)));
            }
        }
        let each: Vec<i64> = (0..from.n as i64).collect();
        let of_token =
            each.iter().flat_map(|&row| std::iter::repeat_n(row, from.n_text)).collect::<Vec<_>>();
        let ints = |values: Vec<i64>| {
            let n = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [n]), device)
        };
        Self {
            rows: ints(rows),
            words: Tensor::from_data(TensorData::new(words, [from.n, n_words]), device),
            pictures: ints(each),
            of_token: ints(of_token),
            n: from.n,
            n_words,
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.n
    }

    /// The states of their words, `[Q, L, E]`, out of the text `[B, T, E]`.
    pub(super) fn states(&self, text: &Tensor<3>) -> Tensor<3> {
        let [b, t, e] = text.dims();
        let rows = text.clone().reshape([b * t, e]).select(0, self.rows.clone()); // [Q * L, E]
        rows.reshape([self.n, self.n_words, e])
    }

    /// What belongs to the picture of each: `[B, V, E]` to `[Q, V, E]`.
    pub(super) fn of_pictures(&self, visual: &Tensor<3>) -> Tensor<3> {
        visual.clone().select(0, self.pictures.clone())
    }

    /// What each question selects, `[Q, V]`, as what each text token may read, `[B, 1, T, 1 + V]`:
    /// the null key always, padding everything.
    pub(super) fn spread(&self, selected: Tensor<2>, [b, t]: [usize; 2]) -> Tensor<4> {
        let [_, v] = selected.dims();
        let device = selected.device();
        let all = Tensor::cat(vec![selected, Tensor::ones([1, v], &device)], 0); // [Q + 1, V]
        let of_tokens = all.select(0, self.of_token.clone()); // [B * T, V]
        let null = Tensor::ones([b * t, 1], &device);
        Tensor::cat(vec![null, of_tokens], 1).reshape([b, 1, t, 1 + v])
    }
}
