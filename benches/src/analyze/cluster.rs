//! Families that suffer alike: correlation of what they lose, and the two clusters that follow
//! (VISOR, Fig. 4).

/// Pearson's correlation of two lists of equal length; `None` where one of them never changes.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product = |x: &[f64], mean_x: f64, y: &[f64], mean_y: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum()
    };
    let (aa, bb) = (product(a, mean_a, a, mean_a), product(b, mean_b, b, mean_b));
    (aa > 1e-12 && bb > 1e-12).then(|| product(a, mean_a, b, mean_b) / (aa * bb).sqrt())
}

/// Splits things in two by average linkage: the nearest two groups are joined until two are left.
/// `distance` is symmetric. Gives the members of each, in order; fewer groups of fewer things.
pub(super) fn in_two(n: usize, distance: impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = (0..n).map(|one| vec![one]).collect();
    let between = |a: &[usize], b: &[usize]| {
        let pairs = a.iter().flat_map(|&i| b.iter().map(move |&j| (i, j)));
        pairs.map(|(i, j)| distance(i, j)).sum::<f64>() / (a.len() * b.len()) as f64
    };
    while groups.len() > 2 {
        let mut nearest = (f64::INFINITY, 0, 1);
        for j in 1..groups.len() {
            for i in 0..j {
                let apart = between(&groups[i], &groups[j]);
                if apart < nearest.0 {
                    nearest = (apart, i, j);
                }
            }
        }
        let joined = groups.remove(nearest.2);
        groups[nearest.1].extend(joined);
    }
    for group in &mut groups {
        group.sort_unstable();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_together_correlates_and_what_stands_still_with_nothing() {
        let (a, b) = ([0.1, 0.5, 0.9], [1.0, 5.0, 9.0]);
        let found = correlation(&a, &b).expect("both change");
        assert!((found - 1.0).abs() < 1e-12);
        let turned = correlation(&a, &[9.0, 5.0, 1.0]).expect("both change");
        assert!((turned + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&a, &[0.4; 3]), None);
    }

    #[test]
    fn things_on_a_line_fall_apart_at_the_widest_gap() {
        let places: [f64; 5] = [0.0, 10.0, 1.0, 11.0, 2.0];
        let groups = in_two(5, |i, j| (places[i] - places[j]).abs());
        assert_eq!(groups, [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(in_two(1, |_, _| 0.0), [[0]]);
        assert_eq!(in_two(0, |_, _| 0.0), [[0; 0]; 0]);
    }
}
