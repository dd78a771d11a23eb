//! Pictures with several questions each, packed as rows of a batch, on the host.
//!
//! A row is one picture and up to four questions with their answers, one after another in one
//! sequence; questions do not see each other (`segment`) and each starts at the position right
//! after the picture, so that a packed question is computed exactly like a prompt of its own.

use crate::error::TrainError;
use crate::vocabulary::{ANSWER, END, PAD, Vocabulary};
use std::ops::Range;
use visor_model::init::Noise;
use visor_model::{TextToken, TokenMap, VisualToken};
use visor_tasks::{Family, Grounding, Sample, Suite};

/// One question as it stands in a batch.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its family.
    pub family: Family,
    /// Dependent steps to its answer.
    pub hops: u8,
    /// Marks in the picture.
    pub objects: u16,
    /// The rows of [`Batch::targets`] that are its answer and end.
    pub targets: Range<usize>,
    /// Its picture in the batch.
    pub picture: usize,
    /// The rows of the flattened `[B * T]` text that are its words, without what asks for an
    /// answer.
    pub words: Range<usize>,
    /// The rows that are all its tokens, the answer's included.
    pub tokens: Range<usize>,
    /// By patch, whether the answer depends on it: for evaluation, and for the arm that says so.
    pub evidence: Vec<bool>,
}

/// A batch on the host.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Number of pictures.
    pub n_pictures: usize,
    /// `[B, 3, side, side]` normalised.
    pub pixels: Vec<f32>,
    /// Side in pixels.
    pub side: usize,
    /// `[B, T]`.
    pub ids: Vec<i64>,
    /// Tokens a row.
    pub n_text: usize,
    /// Where tokens stand.
    pub maps: Vec<TokenMap>,
    /// Rows of the flattened `[B * T]` text whose next token is asked for, with that token.
    pub targets: Vec<(usize, u32)>,
    /// The questions.
    pub asked: Vec<Asked>,
    /// `[B, T, V]`: whether cross-attention may read a patch.
    pub visible: Vec<bool>,
    /// Labels of patches, a list a picture.
    pub grounding: Vec<Vec<Grounding>>,
}

/// How much of the picture cross-attention sees in a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sight {
    /// All of it.
    Whole,
    /// For half of the questions a uniformly random part, drawn without looking at the question.
    HalfOfQuestionsPartial {
        /// Seed of the parts.
        seed: u64,
    },
    /// The same share of patches, at random, for every question.
    Share {
        /// The share, 0 to 1.
        share: f32,
        /// Seed of the parts.
        seed: u64,
    },
}

/// How pixels are scaled: `(x / 255 - MEAN) / SPREAD`.
pub const MEAN: f32 = 0.25;
/// See [`MEAN`]. One keeps a patch about as strong as its place when training begins.
pub const SPREAD: f32 = 1.0;

impl Batch {
    /// Packs samples.
    ///
    /// # Errors
    /// [`TrainError::UnknownWord`].
    pub fn pack(
        suite: &Suite,
        vocabulary: &Vocabulary,
        samples: &[Sample],
        sight: Sight,
    ) -> Result<Self, TrainError> {
        // Smaller pictures have fewer patches, which keep the places that the words name.
        let side = samples.first().map_or(suite.canvas(), |sample| sample.picture.size);
        let grid = side / suite.patch();
        let place = |index: usize| index * suite.grid() / grid;
        let n_visual = grid * grid;
        let rows = samples
            .iter()
            .map(|sample| Row::pack(sample, vocabulary, n_visual))
            .collect::<Result<Vec<_>, _>>()?;
        let n_text = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let visual: Vec<VisualToken> = (0..n_visual)
            .map(|p| VisualToken {
                position: p,
                image: 0,
                start: 0,
                row: place(p / grid),
                column: place(p % grid),
            })
            .collect();
        let pad = i64::from(vocabulary.id(PAD)?);
        let mut batch = Self {
            n_pictures: samples.len(),
            pixels: samples.iter().flat_map(|sample| pixels(sample, side)).collect(),
            side,
            ids: Vec::with_capacity(rows.len() * n_text),
            n_text,
            maps: Vec::with_capacity(rows.len()),
            targets: Vec::new(),
            asked: Vec::new(),
            visible: Vec::with_capacity(rows.len() * n_text * n_visual),
            grounding: samples.iter().map(|sample| sample.grounding.clone()).collect(),
        };
        for (index, row) in rows.into_iter().enumerate() {
            batch.push(index, row, &visual, pad, sight);
        }
        Ok(batch)
    }

    fn push(&mut self, index: usize, row: Row, visual: &[VisualToken], pad: i64, sight: Sight) {
        let (n_text, n_visual) = (self.n_text, visual.len());
        let mut text = row.text;
        let missing = n_text - row.ids.len();
        self.ids.extend(row.ids.iter().map(|&id| i64::from(id)));
        self.ids.extend(std::iter::repeat_n(pad, missing));
        // Padding stands alone: each token is a segment of its own.
        let segments = 1 + row.questions.len();
        text.extend((0..missing).map(|i| TextToken { position: n_visual, segment: segments + i }));
        let mut first = index * n_text;
        for (segment, question) in row.questions.into_iter().enumerate() {
            let start = self.targets.len();
            let targets = question.targets.iter().map(|&(at, id)| (index * n_text + at, id));
            self.targets.extend(targets);
            let targets = start..self.targets.len();
            let Question { family, hops, objects, n_words, n_tokens, evidence, .. } = question;
            let (words, tokens) = (first..first + n_words, first..first + n_tokens);
            first = tokens.end;
            let picture = index;
            self.asked.push(Asked {
                family,
                hops,
                objects,
                targets,
                picture,
                words,
                tokens,
                evidence,
            });
            let seen = sight.patches(index, segment, n_visual);
            for _ in 0..n_tokens {
                self.visible.extend_from_slice(&seen);
            }
        }
        self.visible.extend(std::iter::repeat_n(true, missing * n_visual));
        self.maps.push(TokenMap { text, visual: visual.to_vec() });
    }

    /// Whether cross-attention of a text token may read a patch.
    pub fn may_read(&self, sample: usize, text: usize, patch: usize) -> bool {
        let n_visual = self.maps[sample].visual.len();
        self.visible[(sample * self.n_text + text) * n_visual + patch]
    }
}

impl Sight {
    fn patches(self, sample: usize, question: usize, n_visual: usize) -> Vec<bool> {
        let noise = |seed: u64| {
            let mut noise = Noise::new(seed, "sight");
            // Skips to a stream of its own for every question.
            Noise::new(noise.bits() ^ ((sample as u64) << 8 | question as u64), "patches")
        };
        match self {
            Self::Whole => vec![true; n_visual],
            Self::HalfOfQuestionsPartial { seed } => {
                let mut noise = noise(seed);
                if noise.uniform() < 0.5 {
                    return vec![true; n_visual];
                }
                let share = noise.uniform();
                (0..n_visual).map(|_| noise.uniform() < share).collect()
            }
            Self::Share { share, seed } => {
                let mut noise = noise(seed);
                (0..n_visual).map(|_| noise.uniform() < share).collect()
            }
        }
    }
}

struct Question {
    family: Family,
    hops: u8,
    objects: u16,
    n_words: usize,
    n_tokens: usize,
    evidence: Vec<bool>,
    targets: Vec<(usize, u32)>,
}

struct Row {
    ids: Vec<u32>,
    text: Vec<TextToken>,
    questions: Vec<Question>,
}

impl Row {
    fn pack(sample: &Sample, vocabulary: &Vocabulary, n_visual: usize) -> Result<Self, TrainError> {
        let mut row = Self { ids: Vec::new(), text: Vec::new(), questions: Vec::new() };
        let (prompt_end, end) = (vocabulary.id(ANSWER)?, vocabulary.id(END)?);
        for (segment, question) in sample.questions.iter().enumerate() {
            let mut ids = vocabulary.encode(&question.text)?;
            let n_words = ids.len();
            ids.push(prompt_end);
            let answer = vocabulary.encode(&question.answer)?;
            let first = row.ids.len() + ids.len() - 1;
            ids.extend(&answer);
            let next = answer.iter().copied().chain([end]);
            let targets = next.enumerate().map(|(i, id)| (first + i, id)).collect();
            let n_tokens = ids.len();
            let place = |i| TextToken { position: n_visual + i, segment };
            row.text.extend((0..n_tokens).map(place));
            row.ids.extend(ids);
            let (hops, objects) = (question.difficulty.hops, question.difficulty.objects);
            let family = question.family;
            let evidence = question.evidence.clone();
            row.questions.push(Question {
                family,
                hops,
                objects,
                n_words,
                n_tokens,
                evidence,
                targets,
            });
        }
        Ok(row)
    }
}

/// `[3, side, side]`, normalised.
fn pixels(sample: &Sample, side: usize) -> Vec<f32> {
    let rgb = &sample.picture.rgb;
    let value = |channel: usize, pixel: usize| {
        (f32::from(rgb[3 * pixel + channel]) * (1.0 / 255.0) - MEAN) / SPREAD
    };
    (0..3).flat_map(|channel| (0..side * side).map(move |pixel| value(channel, pixel))).collect()
}
