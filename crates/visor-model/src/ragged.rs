//! Samples of different lengths side by side, without padding.
//!
//! What has weights runs once on the rows of all samples, which stand one after another in one
//! tensor; what attends runs on the rows of each sample. A batch of one is that sample's tensor,
//! untouched.

use burn::tensor::Tensor;

/// Joins the rows of the samples along `axis`.
pub(crate) fn pack<const R: usize>(mut samples: Vec<Tensor<R>>, axis: usize) -> Tensor<R> {
    match samples.len() {
        1 => samples.remove(0),
        _ => Tensor::cat(samples, axis),
    }
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
