//! How far two recordings of one seam are apart.

use super::report::Difference;

/// Values that were recorded, and how they lie.
#[derive(Debug)]
pub(super) struct Recorded<T> {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<T>,
}

impl<T> Recorded<T> {
    /// What is wrong with the recording of so many values that lie in rows of this shape: rows may
    /// be recorded along any axes, in any number, as long as they are all of them.
    fn misfit(&self, values: usize, row: &[usize]) -> Option<Difference> {
        if self.values.len() == values && self.shape.ends_with(row) {
            return None;
        }
        let rows = values / row.iter().product::<usize>().max(1);
        let expected = [&[rows][..], row].concat();
        Some(Difference::Shape { recorded: self.shape.clone(), expected })
    }
}

/// Values in rows of a shape that must be the same.
pub(super) fn exact<T: PartialEq>(got: &[T], row: &[usize], recorded: &Recorded<T>) -> Difference {
    recorded.misfit(got.len(), row).unwrap_or_else(|| {
        let pairs = got.iter().zip(&recorded.values);
        let differing = pairs.filter(|(got, recorded)| got != recorded).count();
        Difference::Exact { values: recorded.values.len(), differing }
    })
}

/// Values in rows of a shape that rounding may move.
pub(super) fn close(
    got: impl IntoIterator<Item = f32>,
    row: &[usize],
    recorded: &Recorded<f32>,
) -> Difference {
    let (mut error, mut largest, mut count) = (0.0_f32, 0.0_f32, 0);
    for got in got {
        if let Some(recorded) = recorded.values.get(count) {
            let distance = (got - recorded).abs();
            // What is no number, here or there, is as far away as can be.
            error = if distance.is_nan() { f32::INFINITY } else { error.max(distance) };
            if recorded.is_finite() {
                largest = largest.max(recorded.abs());
            }
        }
        count += 1;
    }
    let values = recorded.values.len();
    recorded.misfit(count, row).unwrap_or(Difference::Close { values, error, largest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<T: Clone>(values: &[T]) -> Recorded<T> {
        Recorded { shape: vec![values.len()], values: values.to_vec() }
    }

    #[test]
    fn what_is_no_number_is_far_away_wherever_it_stands() {
        let error = |got: &[f32], recorded: &[f32]| match close(
            got.iter().copied(),
            &[2],
            &row(recorded),
        ) {
            Difference::Close { error, largest: 4.0, .. } => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&[1.5, -4.0], &[1.0, -4.0]), 0.5);
        for wrong in [f32::NAN, f32::INFINITY] {
            assert_eq!(error(&[wrong, -4.0], &[1.0, -4.0]), f32::INFINITY);
            assert_eq!(error(&[1.0, -4.0], &[wrong, -4.0]), f32::INFINITY);
            assert_eq!(error(&[wrong, -4.0], &[wrong, -4.0]), f32::INFINITY);
        }
    }

    #[test]
    fn recordings_that_are_shorter_or_longer_or_lie_otherwise_say_both_shapes() {
        let recorded = |shape: &[usize]| Recorded {
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()],
        };
        let compare = |shape: &[usize]| close([0.0; 6], &[3], &recorded(shape));
        for shape in [&[2, 3][..], &[2, 1, 3], &[1, 2, 3]] {
            assert_eq!(compare(shape).relative(), 0.0, "{shape:?}");
        }
        for shape in [&[1, 3][..], &[3], &[0, 3], &[3, 2], &[6], &[3, 3]] {
            let Difference::Shape { recorded, expected } = compare(shape) else {
                panic!("{shape:?}")
            };
            assert_eq!((recorded.as_slice(), expected.as_slice()), (shape, &[2, 3][..]));
        }
        let differing = |got: &[u8]| match exact(got, &[], &row(&[1, 2])) {
            Difference::Exact { differing, .. } => Some(differing),
            Difference::Close { .. } | Difference::Shape { .. } => None,
        };
        assert_eq!([differing(&[1, 2]), differing(&[3, 2])], [Some(0), Some(1)]);
        assert_eq!([differing(&[1]), differing(&[3, 2, 1]), differing(&[])], [None; 3]);
    }
}
