//! How far two recordings of one seam are apart.

use super::report::Difference;

/// Values that must be the same.
pub(super) fn exact<T: PartialEq>(got: &[T], recorded: &[T]) -> Difference {
    let differing = got.iter().zip(recorded).filter(|(got, recorded)| got != recorded).count();
    // What is missing or too much differs as well.
    let differing = differing + got.len().abs_diff(recorded.len());
    Difference::Exact { values: recorded.len(), differing }
}

/// Values that rounding may move.
pub(super) fn close(got: impl IntoIterator<Item = f32>, recorded: &[f32]) -> Difference {
    let mut error = 0.0_f32;
    let mut count = 0;
    for (got, recorded) in got.into_iter().zip(recorded) {
        let distance = (got - recorded).abs();
        // What is no number is as far away as can be.
        error = if distance.is_nan() { f32::INFINITY } else { error.max(distance) };
        count += 1;
    }
    if count != recorded.len() {
        error = f32::INFINITY;
    }
    let largest = recorded.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    Difference::Close { values: recorded.len(), error, largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_no_number_counts_as_far_away() {
        let error = |got: &[f32]| match close(got.iter().copied(), &[1.0, -4.0]) {
            Difference::Close { error, largest: 4.0, .. } => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&[1.5, -4.0]), 0.5);
        assert_eq!(error(&[1.0]), f32::INFINITY);
        assert_eq!(error(&[f32::NAN, -4.0]), f32::INFINITY);
        let differing = |got: &[u8]| match exact(got, &[1, 2]) {
            Difference::Exact { differing, .. } => differing,
            other @ Difference::Close { .. } => panic!("{other:?}"),
        };
        assert_eq!([differing(&[1, 2]), differing(&[1]), differing(&[3, 2, 1])], [0, 1, 2]);
    }
}
