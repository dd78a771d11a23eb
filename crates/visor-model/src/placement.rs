//! Where tokens stand and what they may read: rotary tables and attention biases.
//!
//! Everything follows from explicit positions: a token keeps the index that it has in the dense
//! prompt, whatever layers see of it. Polarity is written here once: a bias is 0 where a query may
//! read a key and a large negative number where it may not.

use crate::rotary::{Position, RotaryConfig, RotaryTable};
use burn::tensor::{Device, Int, Tensor, TensorData};
use visor_core::{ImageMask, Rotary};

/// What is added to the score of a key that must not be read. Far below any score, and within the
/// range of f16.
pub(crate) const BLOCKED: f32 = -3e4;

/// A text token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextToken {
    /// Index in the dense prompt.
    pub position: usize,
    /// Tokens of different segments do not see each other: several questions about one picture
    /// can stand in one sequence.
    pub segment: usize,
}

/// A visual token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisualToken {
    /// Index in the dense prompt.
    pub position: usize,
    /// Index of its picture in the prompt.
    pub image: usize,
    /// Index of the picture's first token in the dense prompt.
    pub start: usize,
    /// Row in the picture.
    pub row: usize,
    /// Column in the picture.
    pub column: usize,
}

/// The tokens of one sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenMap {
    /// Text, in storage order.
    pub text: Vec<TextToken>,
    /// Visual tokens, in storage order.
    pub visual: Vec<VisualToken>,
}

impl VisualToken {
    fn rotary_position(&self, scheme: Rotary) -> Position {
        match scheme {
            Rotary::OneD => Position::at(self.position),
            Rotary::TwoD => {
                Position { row: self.start + self.row, column: self.start + self.column }
            }
        }
    }
}

/// A sequence of `S` rows that attend to each other: where they stand, and who reads whom.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub(crate) rotary: RotaryTable,
    /// `[B, 1, S, S - query_only]`; `None` where a row may read everything.
    pub(crate) bias: Option<Tensor<4>>,
    /// Rows at the end that ask and cannot be asked, not even by themselves.
    pub(crate) query_only: usize,
}

impl Sequence {
    /// Its rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.rotary.n_tokens()
    }

    /// Its rows that have a key and a value: all but the last, which only ask.
    pub(crate) fn n_keys(&self) -> usize {
        self.n_rows() - self.query_only
    }

    /// The same with its last row as one that only asks.
    fn with_query_row(self) -> Self {
        let keys = |bias: Tensor<4>| {
            let [_, _, _, keys] = bias.dims();
            bias.narrow(3, 0, keys - 1)
        };
        Self { bias: self.bias.map(keys), query_only: self.query_only + 1, ..self }
    }
}

/// Where the tokens of one forward pass stand and what they read.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The text alone, `T` rows.
    pub(crate) text: Sequence,
    /// Picture and text, `V + T` rows.
    pub(crate) joint: Sequence,
    /// What the text reads of the picture.
    pub(crate) cross: Sight,
}

/// What text reads of a picture in cross-attention.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// `[B, 1, T, 1 + K]`, the null key first; `None` where a row may read everything.
    pub(crate) bias: Option<Tensor<4>>,
    /// `[K]`: the patches that may be read at all; `None` for every one.
    pub(crate) patches: Option<Tensor<1, Int>>,
    /// `[B, 1, T, 1 + V]`: a selection that is being learned.
    pub(crate) mask: Option<Tensor<4>>,
}

/// Says which patches a text token may read in cross-attention: `(sample, text, patch)`.
pub type PatchFilter<'a> = &'a dyn Fn(usize, usize, usize) -> bool;

impl Placement {
    /// For a prefill of `samples`, which have equally many tokens of each kind. `filter` hides
    /// patches from cross-attention beyond what the order of the prompt hides.
    pub fn prefill(
        samples: &[TokenMap],
        rotary: RotaryConfig,
        image_mask: ImageMask,
        filter: Option<PatchFilter<'_>>,
        device: &Device,
    ) -> Self {
        let text_positions: Vec<Vec<Position>> = samples
            .iter()
            .map(|s| s.text.iter().map(|t| Position::at(t.position)).collect())
            .collect();
        let visual_positions: Vec<Vec<Position>> = samples
            .iter()
            .map(|s| s.visual.iter().map(|v| v.rotary_position(rotary.scheme)).collect())
            .collect();
        let text_rotary = rotary.table(&text_positions, device);
        let n_visual = samples.first().map_or(0, |s| s.visual.len());
        let joint_rotary = match n_visual {
            0 => text_rotary.clone(),
            _ => RotaryTable::joined(&[&rotary.table(&visual_positions, device), &text_rotary]),
        };
        let readable = |sample: usize, text: usize, patch: usize| {
            let map = &samples[sample];
            map.visual[patch].position < map.text[text].position
                && filter.is_none_or(|filter| filter(sample, text, patch))
        };
        let sizes = Sizes { n_text: samples.first().map_or(0, |s| s.text.len()), n_visual };
        let text_bias = sizes.bias(samples, Block::Text, device, |s, i, j| {
            reads_text(samples[s].text[i], samples[s].text[j])
        });
        let joint_bias = sizes.bias(samples, Block::Joint, device, |s, i, j| {
            reads_joint(&samples[s], image_mask, i, j)
        });
        // A filter hides nothing from a sample without pictures: the null key is always there.
        let cross_bias = sizes.bias(samples, Block::Cross, device, |sample, text, key| {
            key.checked_sub(1).is_none_or(|patch| readable(sample, text, patch))
        });
        let sequence = |rotary, bias| Sequence { rotary, bias: Some(bias), query_only: 0 };
        Self {
            text: sequence(text_rotary, text_bias),
            joint: sequence(joint_rotary, joint_bias),
            cross: Sight { bias: Some(cross_bias), patches: None, mask: None },
        }
    }

    /// The same for cross-attention that reads no patch but these, given in the order of the
    /// picture.
    #[must_use]
    pub fn with_patches(mut self, patches: &[usize], device: &Device) -> Self {
        let indices = |first: Option<i64>, by: i64| {
            let patches = patches.iter().map(|&patch| patch as i64 + by);
            let values: Vec<i64> = first.into_iter().chain(patches).collect();
            let n = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [n]), device)
        };
        let columns = indices(Some(0), 1);
        let Sight { bias, .. } = self.cross;
        self.cross = Sight {
            bias: bias.map(|bias| bias.select(3, columns)), // [B, 1, T, 1 + K]
            patches: Some(indices(None, 0)),
            mask: None,
        };
        self
    }

    /// The same for a selection that is being learned: `mask` is `[B, 1, T, 1 + V]`, 1 for the null
    /// key and the patches that a text token has selected, 0 for the others.
    #[must_use]
    pub fn with_mask(mut self, mask: Tensor<4>) -> Self {
        self.cross.mask = Some(mask);
        self
    }

    /// What cross-attention may read of a picture `[B, V, E]`: `[B, K, E]`.
    pub(crate) fn selected(&self, visual: Option<Tensor<3>>) -> Option<Tensor<3>> {
        match &self.cross.patches {
            Some(patches) => visual.map(|visual| visual.select(1, patches.clone())),
            None => visual,
        }
    }

    /// The same with the last text token of every sample as a routing token: it reads all that
    /// stands before it and has neither key nor value, so that nobody sees it and no cache keeps
    /// it (method, section 4).
    #[must_use]
    pub fn with_routing_token(self) -> Self {
        let Self { text, joint, cross } = self;
        Self { text: text.with_query_row(), joint: joint.with_query_row(), cross }
    }

    /// The same with the last text token's key hidden from everyone: a slower way to say
    /// [`with_routing_token`](Self::with_routing_token).
    #[cfg(test)]
    pub(crate) fn with_last_key_hidden(mut self) -> Self {
        for sequence in [&mut self.text, &mut self.joint] {
            sequence.bias = sequence.bias.take().map(|bias| {
                let [b, _, rows, keys] = bias.dims();
                let hidden = Tensor::full([b, 1, rows, 1], BLOCKED, &bias.device());
                bias.slice_assign([0..b, 0..1, 0..rows, keys - 1..keys], hidden)
            });
        }
        self
    }

    /// The same with the pictures' `n_visual` tokens hidden from the text where both run together:
    /// the pictures go on through the layer, unseen.
    #[must_use]
    pub fn with_picture_hidden(mut self, n_visual: usize) -> Self {
        self.joint.bias = self.joint.bias.take().map(|bias| {
            let [b, _, rows, _] = bias.dims();
            if n_visual == 0 {
                return bias;
            }
            let hidden = Tensor::full([b, 1, rows - n_visual, n_visual], BLOCKED, &bias.device());
            bias.slice_assign([0..b, 0..1, n_visual..rows, 0..n_visual], hidden)
        });
        self
    }

    /// For one decode step of a sample at each of `positions`, which may read everything that the
    /// sample has cached.
    pub fn steps(positions: &[usize], rotary: RotaryConfig, device: &Device) -> Vec<Self> {
        let positions = positions.iter().map(|&position| Position::at(position)).collect();
        let step = |rotary| {
            let sequence = Sequence { rotary, bias: None, query_only: 0 };
            let cross = Sight { bias: None, patches: None, mask: None };
            Self { text: sequence.clone(), joint: sequence, cross }
        };
        rotary.table(&[positions], device).each().into_iter().map(step).collect()
    }
}

fn reads_text(query: TextToken, key: TextToken) -> bool {
    query.segment == key.segment && key.position <= query.position
}

/// Queries and keys are the visual tokens, then the text.
fn reads_joint(sample: &TokenMap, image_mask: ImageMask, i: usize, j: usize) -> bool {
    let n_visual = sample.visual.len();
    match (i < n_visual, j < n_visual) {
        (true, true) => {
            let (query, key) = (sample.visual[i], sample.visual[j]);
            let within = image_mask == ImageMask::Bidirectional && query.image == key.image;
            within || key.position <= query.position
        }
        (true, false) => sample.text[j - n_visual].position < sample.visual[i].position,
        (false, true) => sample.visual[j].position < sample.text[i - n_visual].position,
        (false, false) => reads_text(sample.text[i - n_visual], sample.text[j - n_visual]),
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    n_text: usize,
    n_visual: usize,
}

#[derive(Clone, Copy)]
enum Block {
    Text,
    Joint,
    Cross,
}

impl Sizes {
    fn bias(
        self,
        samples: &[TokenMap],
        block: Block,
        device: &Device,
        reads: impl Fn(usize, usize, usize) -> bool,
    ) -> Tensor<4> {
        let (queries, keys) = match block {
            Block::Text => (self.n_text, self.n_text),
            Block::Joint => (self.n_visual + self.n_text, self.n_visual + self.n_text),
            Block::Cross => (self.n_text, 1 + self.n_visual),
        };
        let mut values = Vec::with_capacity(samples.len() * queries * keys);
        for sample in 0..samples.len() {
            for query in 0..queries {
                let row =
                    (0..keys).map(|key| if reads(sample, query, key) { 0.0 } else { BLOCKED });
                values.extend(row);
            }
        }
        Tensor::from_data(TensorData::new(values, [samples.len(), 1, queries, keys]), device)
    }
}
