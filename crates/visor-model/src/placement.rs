//! Where tokens stand and what they may read: rotary tables and attention biases.
//!
//! Everything follows from explicit positions: a token keeps the index that it has in the dense
//! prompt, whatever layers see of it. Polarity is written here once: a bias is 0 where a query may
//! read a key and a large negative number where it may not.

use crate::rotary::{Position, RotaryConfig, RotaryTable};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::sync::{Arc, OnceLock};
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

    /// The same with so many rows at its end as such that only ask.
    fn with_query_rows(self, rows: usize) -> Self {
        let keys = |bias: Tensor<4>| {
            let [_, _, _, keys] = bias.dims();
            bias.narrow(3, 0, keys - rows)
        };
        Self { bias: self.bias.map(keys), query_only: self.query_only + rows, ..self }
    }
}

/// Where the tokens of one forward pass stand and what they read.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The text alone, `T` rows.
    pub(crate) text: Sequence,
    /// Picture and text together.
    joint: Joint,
    /// What the text reads of the picture.
    pub(crate) cross: Sight,
}

/// Picture and text together: made when the first layer asks. The biases grow with the square of the
/// picture, and most layers of most schedules never look at them.
#[derive(Clone, Debug)]
enum Joint {
    /// Nothing but the text, which reads all that is cached.
    Text,
    /// Of a prompt.
    Prompt {
        samples: Arc<Samples>,
        /// Text rows at the end that only ask.
        query_only: usize,
        /// `V + T` rows over `V + T` keys.
        all: OnceLock<Box<Sequence>>,
        /// `T` rows over `V + T` keys.
        beside: OnceLock<Box<Sequence>>,
    },
}

/// The tokens of samples, which have equally many of each kind, and how a model places them.
#[derive(Debug)]
struct Samples {
    maps: Vec<TokenMap>,
    rotary: RotaryConfig,
    image_mask: ImageMask,
    device: Device,
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
        let samples =
            Samples { maps: samples.to_vec(), rotary, image_mask, device: device.clone() };
        let readable = |sample: usize, text: usize, patch: usize| {
            let map = &samples.maps[sample];
            map.visual[patch].position < map.text[text].position
                && filter.is_none_or(|filter| filter(sample, text, patch))
        };
        let text_bias = samples.bias(Block::Text, |map, i, j| reads_text(map.text[i], map.text[j]));
        // A filter hides nothing from a sample without pictures: the null key is always there.
        let cross_bias = samples.bias_of(Block::Cross, |sample, text, key| {
            key.checked_sub(1).is_none_or(|patch| readable(sample, text, patch))
        });
        Self {
            text: Sequence { rotary: samples.text(), bias: Some(text_bias), query_only: 0 },
            cross: Sight { bias: Some(cross_bias), patches: None, mask: None },
            joint: Joint::Prompt {
                samples: Arc::new(samples),
                query_only: 0,
                all: OnceLock::new(),
                beside: OnceLock::new(),
            },
        }
    }

    /// Picture and text, `V + T` rows.
    pub(crate) fn joint(&self) -> &Sequence {
        match &self.joint {
            Joint::Text => &self.text,
            Joint::Prompt { samples, query_only, all, .. } => {
                all.get_or_init(|| Box::new(samples.joint().with_query_rows(*query_only)))
            }
        }
    }

    /// The text beside a picture whose keys and values are there: `T` rows over `V + T` keys.
    pub(crate) fn beside(&self) -> &Sequence {
        match &self.joint {
            Joint::Text => &self.text,
            Joint::Prompt { samples, query_only, beside, .. } => {
                beside.get_or_init(|| Box::new(samples.beside().with_query_rows(*query_only)))
            }
        }
    }

    /// The same with picture and text placed otherwise.
    fn with_joint(self, change: impl FnOnce(Sequence) -> Sequence) -> Self {
        let all = OnceLock::from(Box::new(change(self.joint().clone())));
        let joint = match self.joint {
            Joint::Text => Joint::Text,
            Joint::Prompt { samples, query_only, beside, .. } => {
                Joint::Prompt { samples, query_only, all, beside }
            }
        };
        Self { joint, ..self }
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

    /// The patches that cross-attention may read; `None` for every one.
    pub(crate) fn patches(&self) -> Option<&Tensor<1, Int>> {
        self.cross.patches.as_ref()
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
        let joint = match joint {
            Joint::Text => Joint::Text,
            Joint::Prompt { samples, query_only, .. } => Joint::Prompt {
                samples,
                query_only: query_only + 1,
                all: OnceLock::new(),
                beside: OnceLock::new(),
            },
        };
        Self { text: text.with_query_rows(1), joint, cross }
    }

    /// The same with the last text token's key hidden from everyone: a slower way to say
    /// [`with_routing_token`](Self::with_routing_token).
    #[cfg(test)]
    pub(crate) fn with_last_key_hidden(mut self) -> Self {
        fn hide(sequence: Sequence) -> Sequence {
            let bias = sequence.bias.clone().map(|bias| {
                let [b, _, rows, keys] = bias.dims();
                let hidden = Tensor::full([b, 1, rows, 1], BLOCKED, &bias.device());
                bias.slice_assign([0..b, 0..1, 0..rows, keys - 1..keys], hidden)
            });
            Sequence { bias, ..sequence }
        }
        self.text = hide(self.text);
        self.with_joint(hide)
    }

    /// The same with the pictures' `n_visual` tokens hidden from the text where both run together:
    /// the pictures go on through the layer, unseen.
    #[must_use]
    pub fn with_picture_hidden(self, n_visual: usize) -> Self {
        self.with_joint(|joint| {
            let bias = joint.bias.clone().filter(|_| n_visual > 0).map(|bias| {
                let [b, _, rows, _] = bias.dims();
                let hidden =
                    Tensor::full([b, 1, rows - n_visual, n_visual], BLOCKED, &bias.device());
                bias.slice_assign([0..b, 0..1, n_visual..rows, 0..n_visual], hidden)
            });
            Sequence { bias: bias.or(joint.bias), ..joint }
        })
    }

    /// For one decode step of a sample at each of `positions`, which may read everything that the
    /// sample has cached.
    pub fn steps(positions: &[usize], rotary: RotaryConfig, device: &Device) -> Vec<Self> {
        let positions = positions.iter().map(|&position| Position::at(position)).collect();
        let step = |rotary| {
            let sequence = Sequence { rotary, bias: None, query_only: 0 };
            let cross = Sight { bias: None, patches: None, mask: None };
            Self { text: sequence, joint: Joint::Text, cross }
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
enum Block {
    Text,
    Joint,
    /// The rows of the text in [`Joint`](Self::Joint).
    Beside,
    Cross,
}

impl Samples {
    /// How many tokens a sample has: text, picture.
    fn sizes(&self) -> (usize, usize) {
        self.maps.first().map_or((0, 0), |map| (map.text.len(), map.visual.len()))
    }

    /// Where the text stands.
    fn text(&self) -> RotaryTable {
        let text = |map: &TokenMap| map.text.iter().map(|t| Position::at(t.position)).collect();
        self.rotary.table(&self.maps.iter().map(text).collect::<Vec<_>>(), &self.device)
    }

    fn joint(&self) -> Sequence {
        let scheme = self.rotary.scheme;
        let place = |map: &TokenMap| map.visual.iter().map(|v| v.rotary_position(scheme)).collect();
        let rotary = match self.sizes() {
            (_, 0) => self.text(),
            _ => {
                let visual: Vec<Vec<Position>> = self.maps.iter().map(place).collect();
                let visual = self.rotary.table(&visual, &self.device);
                RotaryTable::joined(&[&visual, &self.text()])
            }
        };
        let bias = self.bias(Block::Joint, |map, i, j| reads_joint(map, self.image_mask, i, j));
        Sequence { rotary, bias: Some(bias), query_only: 0 }
    }

    fn beside(&self) -> Sequence {
        let (_, n_visual) = self.sizes();
        let bias = self
            .bias(Block::Beside, |map, i, j| reads_joint(map, self.image_mask, n_visual + i, j));
        Sequence { rotary: self.text(), bias: Some(bias), query_only: 0 }
    }

    /// A bias of what the tokens of one sample read of each other.
    fn bias(&self, block: Block, reads: impl Fn(&TokenMap, usize, usize) -> bool) -> Tensor<4> {
        self.bias_of(block, |sample, query, key| reads(&self.maps[sample], query, key))
    }

    fn bias_of(&self, block: Block, reads: impl Fn(usize, usize, usize) -> bool) -> Tensor<4> {
        let (n_text, n_visual) = self.sizes();
        let (queries, keys) = match block {
            Block::Text => (n_text, n_text),
            Block::Joint => (n_visual + n_text, n_visual + n_text),
            Block::Beside => (n_text, n_visual + n_text),
            Block::Cross => (n_text, 1 + n_visual),
        };
        let samples = self.maps.len();
        let mut values = Vec::with_capacity(samples * queries * keys);
        for sample in 0..samples {
            for query in 0..queries {
                let row =
                    (0..keys).map(|key| if reads(sample, query, key) { 0.0 } else { BLOCKED });
                values.extend(row);
            }
        }
        Tensor::from_data(TensorData::new(values, [samples, 1, queries, keys]), &self.device)
    }
}
