//! Where tokens stand and what they may read: rotary tables and attention biases.
//!
//! Everything follows from explicit positions: a token keeps the index that it has in the dense
//! prompt, whatever layers see of it. Polarity is written here once: a bias is 0 where a query may
//! read a key and a large negative number where it may not. Rows and keys that fill up a shape
//! stand behind the others: nobody reads them.

mod samples;

use crate::rotary::{Position, RotaryConfig, RotaryTable};
use burn::tensor::{Device, Int, Tensor, TensorData};
use samples::{Block, Samples, reads_text};
use std::sync::{Arc, OnceLock};
use visor_core::{ImageMask, Padding, Rotary};

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
    /// `[B, 1, S, S - query_only]`, or as many keys as a cache has memory for where they are filled
    /// up; `None` where a row may read everything.
    pub(crate) bias: Option<Tensor<4>>,
    /// Rows at the end that ask and cannot be asked, not even by themselves.
    pub(crate) query_only: usize,
    /// Which of its rows are no padding, where there may be some.
    pub(crate) filled: Option<Filled>,
}

/// Rows of a sequence that are no padding: its first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Those that ask.
    pub(crate) asking: usize,
    /// Those whose keys and values may be read.
    pub(crate) asked: usize,
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

    /// Its rows and keys without padding.
    pub(crate) fn filled(&self) -> Filled {
        self.filled.unwrap_or(Filled { asking: self.n_rows(), asked: self.n_keys() })
    }

    /// How it is filled up.
    pub(crate) fn padding(&self) -> Padding {
        if self.filled.is_some() { Padding::Steps } else { Padding::None }
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
    /// The same where memory is filled up, and picture and text have more of it than the text.
    Cached(Box<Sequence>),
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

/// What text reads of a picture in cross-attention.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// `[B, 1, T, 1 + K]`, the null key first; `None` where a row may read everything.
    pub(crate) bias: Option<Tensor<4>>,
    /// The patches that may be read at all; `None` for every one.
    pub(crate) patches: Option<Chosen>,
    /// `[B, 1, T, 1 + V]`: a selection that is being learned.
    pub(crate) mask: Option<Tensor<4>>,
}

/// Patches that may be read.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// `[K]`, in the order of the picture; behind them the first again, where they are filled up.
    pub(crate) indices: Tensor<1, Int>,
    /// How many there are.
    pub(crate) n: usize,
}

/// What a cache has memory for when the token of a decode step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Keys, that of the token among them.
    pub(crate) keys: usize,
    /// Keys that there is memory for.
    pub(crate) room: usize,
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
        let (maps, device) = (samples.to_vec(), device.clone());
        let (padding, n_asking) = (Padding::None, 0);
        Self::of(Samples { maps, rotary, image_mask, padding, n_asking, device }, filter)
    }

    /// For a prefill of one sample whose rows are filled up. Its last `n_asking` text tokens are
    /// seen by nobody, as [`with_routing_token`](Self::with_routing_token) has it.
    pub(crate) fn filled_up(
        sample: TokenMap,
        n_asking: usize,
        rotary: RotaryConfig,
        image_mask: ImageMask,
        device: &Device,
    ) -> Self {
        let (maps, padding, device) = (vec![sample], Padding::Steps, device.clone());
        Self::of(Samples { maps, rotary, image_mask, padding, n_asking, device }, None)
    }

    fn of(samples: Samples, filter: Option<PatchFilter<'_>>) -> Self {
        let readable = |sample: usize, text: usize, patch: usize| {
            let map = &samples.maps[sample];
            map.visual[patch].position < map.text[text].position
                && filter.is_none_or(|filter| filter(sample, text, patch))
        };
        let text = samples.sequence(Block::Text, |map, i, j| reads_text(map.text[i], map.text[j]));
        // A filter hides nothing from a sample without pictures: the null key is always there.
        let cross_bias = samples.bias_of(Block::Cross, |sample, text, key| {
            key.checked_sub(1).is_none_or(|patch| readable(sample, text, patch))
        });
        Self {
            text,
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
            Joint::Cached(joint) => joint,
            Joint::Prompt { samples, query_only, all, .. } => {
                all.get_or_init(|| Box::new(samples.joint().with_query_rows(*query_only)))
            }
        }
    }

    /// The text beside a picture whose keys and values are there: `T` rows over `V + T` keys.
    pub(crate) fn beside(&self) -> &Sequence {
        match &self.joint {
            Joint::Text => &self.text,
            Joint::Cached(joint) => joint,
            Joint::Prompt { samples, query_only, beside, .. } => {
                beside.get_or_init(|| Box::new(samples.beside().with_query_rows(*query_only)))
            }
        }
    }

    /// The same with picture and text placed otherwise.
    fn with_joint(self, change: impl FnOnce(Sequence) -> Sequence) -> Self {
        let all = OnceLock::from(Box::new(change(self.joint().clone())));
        let joint = match self.joint {
            Joint::Text | Joint::Cached(_) => self.joint,
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
        let n = patches.len();
        let columns = self.text.padding().rows(1 + n);
        let again = patches.iter().take(1).cycle().take(columns - 1 - n);
        let values: Vec<i64> = patches.iter().chain(again).map(|&patch| patch as i64).collect();
        let indices = TensorData::new(values, [columns - 1]);
        let chosen = Chosen { indices: Tensor::from_data(indices, device), n };
        let Sight { bias, .. } = self.cross;
        let select = |bias: Tensor<4>| {
            let bias = bias.select(3, chosen.columns()); // [B, 1, T, 1 + K]
            let [b, _, t, _] = bias.dims();
            match columns - 1 - n {
                0 => bias,
                more => {
                    let hidden = Tensor::full([b, 1, t, more], BLOCKED, device);
                    bias.slice_assign([0..b, 0..1, 0..t, 1 + n..columns], hidden)
                }
            }
        };
        let bias = bias.map(select);
        self.cross = Sight { bias, patches: Some(chosen), mask: None };
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
    pub(crate) fn patches(&self) -> Option<&Chosen> {
        self.cross.patches.as_ref()
    }

    /// What cross-attention may read of a picture `[B, V, E]`: `[B, K, E]`, and how many of these
    /// are no padding.
    pub(crate) fn selected(&self, visual: Option<Tensor<3>>) -> Option<(Tensor<3>, usize)> {
        let visual = visual?;
        let [_, n_visual, _] = visual.dims();
        Some(match &self.cross.patches {
            Some(Chosen { indices, n }) => (visual.select(1, indices.clone()), *n),
            None => (visual, n_visual),
        })
    }

    /// The same with the last text token of every sample as a routing token: it reads all that
    /// stands before it and has neither key nor value, so that nobody sees it and no cache keeps
    /// it (method, section 4).
    #[must_use]
    pub fn with_routing_token(self) -> Self {
        let Self { text, joint, cross } = self;
        let joint = match joint {
            Joint::Text | Joint::Cached(_) => joint,
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
    /// sample has cached: the text, and picture and text, where memory for them is filled up.
    pub(crate) fn steps(
        positions: &[(usize, Option<[Memory; 2]>)],
        rotary: RotaryConfig,
        device: &Device,
    ) -> Vec<Self> {
        let rows = positions.iter().map(|&(position, _)| Position::at(position)).collect();
        let tables = rotary.table(&[rows], device).each();
        let step = |(rotary, &(_, memory)): (RotaryTable, &(usize, Option<[Memory; 2]>))| {
            let cross = Sight { bias: None, patches: None, mask: None };
            let sequence = |memory: Option<Memory>| Sequence {
                rotary: rotary.clone(),
                bias: memory.map(|Memory { keys, room }| hidden_behind(keys, room, device)),
                query_only: 0,
                filled: memory.map(|_| Filled { asking: 1, asked: 1 }),
            };
            match memory {
                None => Self { text: sequence(None), joint: Joint::Text, cross },
                Some([text, joint]) => {
                    let joint = Joint::Cached(Box::new(sequence(Some(joint))));
                    Self { text: sequence(Some(text)), joint, cross }
                }
            }
        };
        tables.into_iter().zip(positions).map(step).collect()
    }
}

impl Chosen {
    /// `[1 + K]`: the null key's column and those of the patches.
    pub(crate) fn columns(&self) -> Tensor<1, Int> {
        let null = Tensor::zeros([1], &self.indices.device());
        Tensor::cat(vec![null, self.indices.clone() + 1], 0)
    }
}

/// `[1, 1, 1, room]`: hides all keys but the first.
pub(crate) fn hidden_behind(keys: usize, room: usize, device: &Device) -> Tensor<4> {
    let bias = |key| if key < keys { 0.0 } else { BLOCKED };
    let values: Vec<f32> = (0..room).map(bias).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, 1, room]), device)
}
