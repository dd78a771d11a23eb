//! The tokens of samples in front of a prefill, and what they may read of each other.

use super::{BLOCKED, Filled, Sequence, TextToken, TokenMap};
use crate::rotary::{Position, RotaryConfig};
use burn::tensor::{Device, Tensor, TensorData};
use visor_core::{ImageMask, Padding};

/// The tokens of samples, which have equally many of each kind, and how a model places them.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) maps: Vec<TokenMap>,
    pub(super) rotary: RotaryConfig,
    pub(super) image_mask: ImageMask,
    /// How rows and keys are filled up.
    pub(super) padding: Padding,
    /// Text tokens at the end that nobody sees, where rows are filled up.
    pub(super) n_asking: usize,
    pub(super) device: Device,
}

/// Who reads whom.
#[derive(Clone, Copy)]
pub(super) enum Block {
    /// Text reads text.
    Text,
    /// Picture and text read each other, the picture first.
    Joint,
    /// The rows of the text in [`Joint`](Self::Joint).
    Beside,
    /// Text reads the null key and the picture.
    Cross,
}

/// Rows that ask, and keys that they read.
struct Extent {
    rows: usize,
    keys: usize,
}

pub(super) fn reads_text(query: TextToken, key: TextToken) -> bool {
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

impl Samples {
    /// Picture and text, `V + T` rows.
    pub(super) fn joint(&self) -> Sequence {
        self.sequence(Block::Joint, |map, i, j| reads_joint(map, self.image_mask, i, j))
    }

    /// The text beside a picture whose keys and values are there.
    pub(super) fn beside(&self) -> Sequence {
        let (_, n_visual) = self.sizes();
        let reads = |map: &TokenMap, i, j| reads_joint(map, self.image_mask, n_visual + i, j);
        self.sequence(Block::Beside, reads)
    }

    /// The rows of a block: where they stand, and what they read.
    pub(super) fn sequence(
        &self,
        block: Block,
        reads: impl Fn(&TokenMap, usize, usize) -> bool,
    ) -> Sequence {
        let bias = self.bias_of(block, |sample, query, key| reads(&self.maps[sample], query, key));
        let rows = self.filled_up(block).rows;
        let filled = (self.padding == Padding::Steps).then(|| {
            let asking = self.extent(block).rows;
            Filled { asking, asked: asking - self.n_asking }
        });
        let of_map = |map: &TokenMap| self.positions(map, block, rows);
        let positions: Vec<Vec<Position>> = self.maps.iter().map(of_map).collect();
        let rotary = self.rotary.table(&positions, &self.device);
        Sequence { rotary, bias: Some(bias), query_only: 0, filled }
    }

    /// Where the rows of a block stand; those that fill it up stand at the beginning.
    fn positions(&self, map: &TokenMap, block: Block, rows: usize) -> Vec<Position> {
        let visual = match block {
            Block::Joint => map.visual.as_slice(),
            Block::Text | Block::Beside | Block::Cross => &[],
        };
        let visual = visual.iter().map(|token| token.rotary_position(self.rotary.scheme));
        let text = map.text.iter().map(|token| Position::at(token.position));
        let mut positions: Vec<Position> = visual.chain(text).collect();
        positions.resize(rows, Position::at(0));
        positions
    }

    /// What the rows of a block read. A row that fills it up reads the first key, so that nothing in
    /// it is without bounds, and nobody reads it.
    pub(super) fn bias_of(
        &self,
        block: Block,
        reads: impl Fn(usize, usize, usize) -> bool,
    ) -> Tensor<4> {
        let (there, all) = (self.extent(block), self.filled_up(block));
        let samples = self.maps.len();
        let mut values = Vec::with_capacity(samples * all.rows * all.keys);
        for sample in 0..samples {
            for query in 0..all.rows {
                let may_read = |key: usize| match query < there.rows {
                    true => key < there.keys && reads(sample, query, key),
                    false => key == 0,
                };
                values.extend((0..all.keys).map(|key| if may_read(key) { 0.0 } else { BLOCKED }));
            }
        }
        let values = TensorData::new(values, [samples, 1, all.rows, all.keys]);
        Tensor::from_data(values, &self.device)
    }

    /// How many tokens a sample has: text, picture.
    fn sizes(&self) -> (usize, usize) {
        self.maps.first().map_or((0, 0), |map| (map.text.len(), map.visual.len()))
    }

    /// Rows that ask and keys that may be read.
    fn extent(&self, block: Block) -> Extent {
        let (n_text, n_visual) = self.sizes();
        let asked = n_text - self.n_asking;
        match block {
            Block::Text => Extent { rows: n_text, keys: asked },
            Block::Joint => Extent { rows: n_visual + n_text, keys: n_visual + asked },
            Block::Beside => Extent { rows: n_text, keys: n_visual + asked },
            Block::Cross => Extent { rows: n_text, keys: 1 + n_visual },
        }
    }

    /// The same with what fills them up.
    fn filled_up(&self, block: Block) -> Extent {
        let (n_text, n_visual) = self.sizes();
        let asked = n_text - self.n_asking;
        let (text, joint) = (self.padding.prompt(asked), self.padding.joint(asked, n_visual));
        match block {
            Block::Text => Extent { rows: text, keys: text },
            Block::Joint => Extent { rows: joint, keys: joint },
            Block::Beside => Extent { rows: text, keys: joint },
            Block::Cross => Extent { rows: text, keys: self.padding.rows(1 + n_visual) },
        }
    }
}
