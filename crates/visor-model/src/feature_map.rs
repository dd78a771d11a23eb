//! The tokens of a grid of tiles as one map: put together, freed of padding, shrunk, in lines.
//!
//! After `pack_image_features` of LLaVA-OneVision in transformers 5.23.

use burn::tensor::{Device, Int, Tensor, TensorData};
use visor_processor::{FeatureMap, TileGrid};

/// Tokens of square tiles `[tiles, g * g, E]` to lines that end with `newline`,
/// `[rows, columns + 1, E]`.
pub(crate) fn lines(
    tiles: Tensor<3>,
    grid: TileGrid,
    map: FeatureMap,
    newline: Tensor<1>,
) -> Tensor<3> {
    let [_, n, e] = tiles.dims();
    let g = n.isqrt();
    let (height, width) = map.size();
    let ends = newline.reshape([1, 1, e]).repeat_dim(0, height); // [height, 1, E]
    if width == 0 {
        // A picture thinner than a token leaves its ends of lines.
        return ends;
    }
    let TileGrid { rows, cols } = grid;
    let whole = tiles
        .reshape([rows, cols, g, g * e])
        .swap_dims(1, 2) // [rows, g, cols, g * E]
        .reshape([rows * g, cols * g, e]);
    let shown = whole.narrow(0, map.top, map.height).narrow(1, map.left, map.width);
    let shown = match map.shrunk {
        None => shown,
        Some((height, width)) => shrink(&shrink(&shown, 1, width), 0, height),
    };
    Tensor::cat(vec![shown, ends], 1)
}

/// Resamples one axis of `[height, width, E]` to `size` places, between the two nearest ones.
/// Places are the middles of cells, and nothing is averaged over more than two.
fn shrink(map: &Tensor<3>, axis: usize, size: usize) -> Tensor<3> {
    let dims: [usize; 3] = map.dims();
    let device = map.device();
    let Taps { low, high, weights } = Taps::new(dims[axis], size);
    let mut along = [1; 3];
    along[axis] = size;
    let high_share = Tensor::<1>::from_floats(weights.as_slice(), &device).reshape(along);
    let low_share = high_share.clone().neg() + 1.0;
    let take = |places: Vec<i64>| map.clone().select(axis, lift(places, &device));
    take(low) * low_share + take(high) * high_share
}

fn lift(places: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let n = places.len();
    Tensor::from_data(TensorData::new(places, [n]), device)
}

/// For every place of an axis the two that it lies between, and the share of the second.
struct Taps {
    low: Vec<i64>,
    high: Vec<i64>,
    weights: Vec<f32>,
}

impl Taps {
    /// Counted in single precision, as PyTorch counts.
    fn new(source: usize, target: usize) -> Self {
        let scale = source as f32 / target as f32;
        let last = source.saturating_sub(1);
        let mut taps = Self { low: Vec::new(), high: Vec::new(), weights: Vec::new() };
        for place in 0..target {
            let at = (scale * (place as f32 + 0.5) - 0.5).max(0.0);
            let low = (at as usize).min(last);
            taps.low.push(low as i64);
            taps.high.push((low + 1).min(last) as i64);
            taps.weights.push(at - low as f32);
        }
        taps
    }
}
