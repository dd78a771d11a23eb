//! Fewer visual tokens: what budgets are compared with.
//!
//! Two ways of the literature: neighbouring tokens are averaged behind the connector (nested
//! pooling, as in M3; VISOR-TR where the layers are scheduled too), or the picture is made smaller
//! before the encoder. Each is trained from scratch on the same pictures for the same steps.

use crate::error::TrainError;
use burn::tensor::Tensor;
use std::borrow::Cow;
use visor_model::TokenMap;
use visor_processor::{Filter, Picture, resize};
use visor_tasks::Sample;

/// A block of neighbouring visual tokens that become one, their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pool {
    /// Rows of a block; divides the rows of the grid.
    pub rows: usize,
    /// Columns of a block; divides the columns of the grid.
    pub columns: usize,
}

impl Pool {
    /// Every token by itself.
    pub const NONE: Self = Self { rows: 1, columns: 1 };
    /// Half as many tokens.
    pub const PAIRS: Self = Self { rows: 1, columns: 2 };
    /// A quarter as many tokens.
    pub const SQUARES: Self = Self::square(2);

    /// Square blocks.
    pub const fn square(side: usize) -> Self {
        Self { rows: side, columns: side }
    }

    /// Tokens that become one.
    pub fn factor(self) -> usize {
        self.rows * self.columns
    }

    /// Averages the tokens of a grid: `[B, V, E]` to `[B, V / factor, E]`.
    pub fn forward(self, visual: Tensor<3>) -> Tensor<3> {
        if self == Self::NONE {
            return visual;
        }
        let [b, v, e] = visual.dims();
        let (grid, Self { rows, columns }) = (v.isqrt(), self);
        let blocks = visual.reshape([b, grid / rows, rows, grid / columns, columns, e]);
        blocks.mean_dim(4).mean_dim(2).reshape([b, v / self.factor(), e])
    }

    /// The tokens of a pooled grid, each in the place of its block's first token, and the tokens
    /// of each block.
    pub fn tokens(self, map: &TokenMap) -> (TokenMap, Vec<Vec<usize>>) {
        let grid = map.visual.len().isqrt();
        let (mut visual, mut blocks) = (Vec::new(), Vec::new());
        for row in (0..grid).step_by(self.rows) {
            for column in (0..grid).step_by(self.columns) {
                let inside = |r: usize| (0..self.columns).map(move |c| r * grid + column + c);
                let block: Vec<usize> = (row..row + self.rows).flat_map(inside).collect();
                visual.push(map.visual[block[0]]);
                blocks.push(block);
            }
        }
        (TokenMap { text: map.text.clone(), visual }, blocks)
    }
}

/// The samples with pictures of `side` pixels a side, resized as the runtime resizes. Labels move
/// to the patch of `patch` pixels that now holds the middle of theirs, which may have several.
///
/// # Errors
/// [`TrainError::Picture`].
pub fn shrink(
    samples: &[Sample],
    side: usize,
    patch: usize,
) -> Result<Cow<'_, [Sample]>, TrainError> {
    if samples.iter().all(|sample| sample.picture.size == side) {
        return Ok(Cow::Borrowed(samples));
    }
    let small = samples.iter().map(|sample| {
        let mut sample = sample.clone();
        let (size, rgb) = (sample.picture.size as u32, std::mem::take(&mut sample.picture.rgb));
        let whole = Picture::from_rgb(size, size, rgb)?;
        let small = resize(&whole, side as u32, side as u32, Filter::Bicubic);
        sample.picture.size = side;
        sample.picture.rgb = small.rgb().to_vec();
        let (before, after) = (size as usize / patch, side / patch);
        for label in &mut sample.grounding {
            let (row, column) =
                (usize::from(label.patch) / before, usize::from(label.patch) % before);
            let moved = |cell: usize| (2 * cell + 1) * after / (2 * before);
            label.patch = (moved(row) * after + moved(column)) as u16;
        }
        for question in &mut sample.questions {
            let held = std::mem::replace(&mut question.evidence, vec![false; after * after]);
            for patch in (0..held.len()).filter(|&patch| held[patch]) {
                let moved = |cell: usize| (2 * cell + 1) * after / (2 * before);
                let place = moved(patch / before) * after + moved(patch % before);
                question.evidence[place] = true;
            }
        }
        Ok(sample)
    });
    Ok(Cow::Owned(small.collect::<Result<_, TrainError>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use visor_model::VisualToken;
    use visor_runtime::device::{DeviceRequest, open};

    fn map(grid: usize) -> TokenMap {
        let token =
            |i| VisualToken { position: i, image: 0, start: 0, row: i / grid, column: i % grid };
        TokenMap { text: Vec::new(), visual: (0..grid * grid).map(token).collect() }
    }

    #[test]
    fn a_block_becomes_the_mean_of_its_tokens_in_the_place_of_the_first() {
        let device = open(DeviceRequest::Cpu).expect("a processor");
        let values: Vec<f32> = (0..36).map(|i| i as f32).collect();
        let visual: Tensor<3> = Tensor::from_data(TensorData::new(values, [1, 36, 1]), &device);
        for pool in [Pool::NONE, Pool::PAIRS, Pool::SQUARES, Pool::square(3), Pool::square(6)] {
            let (tokens, blocks) = pool.tokens(&map(6));
            let pooled: Vec<f32> = pool.forward(visual.clone()).into_data().iter().collect();
            assert_eq!(pooled.len(), 36 / pool.factor());
            for ((block, token), value) in blocks.iter().zip(&tokens.visual).zip(pooled) {
                let mean = block.iter().sum::<usize>() as f32 / block.len() as f32;
                assert!((value - mean).abs() < 1e-5, "{pool:?}: {value} for {block:?}");
                assert_eq!(token.position, block[0]);
            }
        }
    }
}
