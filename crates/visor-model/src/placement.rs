//! Where tokens stand and what they may read: rotary tables and attention biases.
//!
//! Everything follows from explicit positions: a token keeps the index that it has in the dense
//! prompt, whatever layers see of it. Polarity is written here once: a bias is 0 where a query may
//! read a key and a large negative number where it may not.

use crate::rotary::{Position, RotaryConfig, RotaryTable};
use burn::tensor::{Device, Tensor, TensorData};
use visor_core::{ImageMask, Rotary};

/// What is added to the score of a key that must not be read. Far below any score, and within the
/// range of f16.
const BLOCKED: f32 = -3e4;

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

/// Rotary tables and biases of one forward pass.
#[derive(Clone, Debug)]
pub struct Placement {
    pub(crate) text_rotary: RotaryTable,
    pub(crate) joint_rotary: RotaryTable,
    /// `[B, 1, T, T]`.
    pub(crate) text_bias: Option<Tensor<4>>,
    /// `[B, 1, V + T, V + T]`.
    pub(crate) joint_bias: Option<Tensor<4>>,
    /// `[B, 1, T, 1 + V]`, the null key first.
    pub(crate) cross_bias: Option<Tensor<4>>,
    /// Rows at the end of the text that no cache keeps and no other token sees: the routing token.
    pub(crate) unwritten: usize,
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
            _ => rotary.table(&visual_positions, device).followed_by(&text_rotary),
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
        Self {
            text_rotary,
            joint_rotary,
            text_bias: Some(text_bias),
            joint_bias: Some(joint_bias),
            cross_bias: Some(cross_bias),
            unwritten: 0,
        }
    }

    /// The same with the last text token of every sample as a routing token: it reads like any
    /// other, no cache keeps it and, being last, no other token sees it.
    #[must_use]
    pub fn with_routing_token(self) -> Self {
        Self { unwritten: 1, ..self }
    }

    /// For one decode step at `position`, which may read everything that is cached.
    pub fn step(position: usize, rotary: RotaryConfig, device: &Device) -> Self {
        let table = rotary.table(&[vec![Position::at(position)]], device);
        Self {
            text_rotary: table.clone(),
            joint_rotary: table,
            text_bias: None,
            joint_bias: None,
            cross_bias: None,
            unwritten: 0,
        }
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
