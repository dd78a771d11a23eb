//! Samples of different lengths side by side.
//!
//! What has weights runs once on the rows of all samples, which stand one after another in one
//! tensor; what attends runs on the rows of each sample. A batch of one is that sample's tensor,
//! untouched. Where rows are filled up, those of a sample are before they come here, and rows of
//! zeros behind all samples fill up what they are together.

use burn::tensor::Tensor;
use visor_core::Padding;

/// Joins the rows of the samples along `axis`.
pub(crate) fn pack<const R: usize>(
    mut samples: Vec<Tensor<R>>,
    axis: usize,
    padding: Padding,
) -> Tensor<R> {
    if samples.len() == 1 {
        return samples.remove(0);
    }
    let rows = lengths(&samples, axis).iter().sum();
    let more = padding.rows(rows) - rows;
    let filling = samples.first().filter(|_| more > 0).map(|like| zeros(like, axis, more));
    samples.extend(filling);
    Tensor::cat(samples, axis)
}

/// So many rows of zeros along `axis`, to stand beside those of a tensor.
pub(crate) fn zeros<const R: usize>(like: &Tensor<R>, axis: usize, rows: usize) -> Tensor<R> {
    let mut dims = like.dims();
    dims[axis] = rows;
    Tensor::zeros(dims, &like.device())
}

/// The inverse of [`pack`]: sample `i` gets `lengths[i]` rows along `axis`.
pub(crate) fn unpack<const R: usize>(
    rows: Tensor<R>,
    lengths: &[usize],
    axis: usize,
) -> Vec<Tensor<R>> {
    if lengths.len() == 1 {
        return vec![rows];
    }
    let starts = lengths.iter().scan(0, |next, &length| {
        let start = *next;
        *next += length;
        Some(start)
    });
    lengths
        .iter()
        .zip(starts)
        .map(|(&length, start)| rows.clone().narrow(axis, start, length))
        .collect()
}

/// The number of rows of each sample along `axis`.
pub(crate) fn lengths<const R: usize>(samples: &[Tensor<R>], axis: usize) -> Vec<usize> {
    samples.iter().map(|sample| sample.dims()[axis]).collect()
}
