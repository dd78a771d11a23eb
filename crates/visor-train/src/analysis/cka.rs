//! Centred kernel alignment: how alike two representations of the same things are, whatever basis
//! and scale each of them has (Kornblith et al., 2019).
//!
//! The kernel is linear and HSIC is estimated without bias (Song et al., 2012) on batches of rows
//! whose estimates are added up before the ratio is taken (Nguyen et al., 2021), so that thousands
//! of tokens are compared in the memory of a batch.

/// The products of all pairs of rows, those of a row with itself left out.
#[derive(Clone, Debug)]
pub struct Gram {
    n: usize,
    /// Row by row.
    values: Vec<f64>,
    /// Sum of each row.
    sums: Vec<f64>,
    total: f64,
}

impl Gram {
    /// Of rows of `width` values each.
    ///
    /// # Panics
    /// If the values are not whole rows.
    pub fn new(rows: &[f32], width: usize) -> Self {
        assert!(rows.len().is_multiple_of(width), "rows of {width} values");
        let rows: Vec<&[f32]> = rows.chunks(width).collect();
        let n = rows.len();
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                let product = dot(rows[i], rows[j]);
                values[i * n + j] = product;
                values[j * n + i] = product;
            }
        }
        let sums: Vec<f64> = values.chunks(n.max(1)).map(|row| row.iter().sum()).collect();
        Self { n, total: sums.iter().sum(), values, sums }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Fewest rows of an estimate.
pub const MIN_ROWS: usize = 4;

/// The unbiased estimate of HSIC from two representations of the same rows; it may be negative
/// where there is nothing in common.
///
/// # Panics
/// If the numbers of rows differ or are below [`MIN_ROWS`].
pub fn hsic(a: &Gram, b: &Gram) -> f64 {
    assert!(a.n == b.n && a.n >= MIN_ROWS, "{} and {} rows", a.n, b.n);
    let n = a.n as f64;
    let trace: f64 = a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum();
    let sums: f64 = a.sums.iter().zip(&b.sums).map(|(a, b)| a * b).sum();
    let means = a.total * b.total / ((n - 1.0) * (n - 2.0));
    (trace + means - 2.0 / (n - 2.0) * sums) / (n * (n - 3.0))
}

/// CKA between all pairs of representations of the same rows, batch by batch.
#[derive(Clone, Debug)]
pub struct Alignment {
    stages: usize,
    /// Sums of HSIC, `stages` a row.
    sums: Vec<f64>,
}

impl Alignment {
    /// Of so many representations.
    pub fn new(stages: usize) -> Self {
        Self { stages, sums: vec![0.0; stages * stages] }
    }

    /// Adds a batch: one set of the same rows for each representation.
    ///
    /// # Panics
    /// As [`hsic`], and if there are other than so many representations.
    pub fn add(&mut self, stages: &[Vec<f32>], width: usize) {
        assert_eq!(stages.len(), self.stages, "one set of rows a representation");
        let grams: Vec<Gram> = stages.iter().map(|rows| Gram::new(rows, width)).collect();
        for (i, a) in grams.iter().enumerate() {
            for (j, b) in grams.iter().enumerate().skip(i) {
                let value = hsic(a, b);
                self.sums[i * self.stages + j] += value;
                if i != j {
                    self.sums[j * self.stages + i] += value;
                }
            }
        }
    }

    /// CKA row by row, 1 on the diagonal; `None` where some representation is the same in all rows.
    pub fn cka(&self) -> Option<Vec<Vec<f64>>> {
        let of = |i: usize, j: usize| self.sums[i * self.stages + j];
        let sound = (0..self.stages).all(|i| of(i, i) > 0.0);
        let row = |i: usize| {
            let cka = |j: usize| match i == j {
                true => 1.0,
                false => of(i, j) / (of(i, i) * of(j, j)).sqrt(),
            };
            (0..self.stages).map(cka).collect()
        };
        sound.then(|| (0..self.stages).map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_model::init::Noise;

    const WIDTH: usize = 6;

    fn noise(name: &str, rows: usize) -> Vec<f32> {
        Noise::new(11, name).normal(rows * WIDTH, 1.0)
    }

    fn between(batches: &[(Vec<f32>, Vec<f32>)]) -> f64 {
        let mut alignment = Alignment::new(2);
        for (a, b) in batches {
            alignment.add(&[a.clone(), b.clone()], WIDTH);
        }
        alignment.cka().expect("rows differ")[0][1]
    }

    /// Turns the first two values of each row, scales all and shifts them.
    fn moved(rows: &[f32], angle: f32, scale: f32, shift: f32) -> Vec<f32> {
        let (sin, cos) = angle.sin_cos();
        let turned = rows.chunks(WIDTH).flat_map(|row| {
            let (a, b) = (row[0] * cos - row[1] * sin, row[0] * sin + row[1] * cos);
            [a, b].into_iter().chain(row[2..].iter().copied())
        });
        turned.map(|value| scale * value + shift).collect()
    }

    #[test]
    fn a_stream_is_like_itself_and_like_itself_turned_scaled_and_shifted() {
        let (one, two) = (noise("one", 40), noise("two", 24));
        let same = [(one.clone(), one.clone()), (two.clone(), two.clone())];
        assert!((between(&same) - 1.0).abs() < 1e-12);
        let turn = |rows: &Vec<f32>| (rows.clone(), moved(rows, 0.7, 3.0, 0.5));
        let alike = between(&[turn(&one), turn(&two)]);
        assert!((alike - 1.0).abs() < 1e-5, "{alike}");
    }

    #[test]
    fn what_has_nothing_in_common_is_near_zero_and_what_has_half_lies_between() {
        let batches: Vec<_> =
            (0..20).map(|i| (noise(&format!("a{i}"), 40), noise(&format!("b{i}"), 40))).collect();
        let apart = between(&batches);
        assert!(apart.abs() < 0.1, "{apart}");
        let halves = batches.iter().map(|(a, b)| {
            let sum = a.iter().zip(b).map(|(a, b)| a + b).collect();
            (a.clone(), sum)
        });
        let half = between(&halves.collect::<Vec<_>>());
        assert!((0.3..0.9).contains(&half), "{half}");
    }

    #[test]
    fn rows_that_are_all_the_same_are_like_nothing() {
        let mut alignment = Alignment::new(2);
        alignment.add(&[vec![1.0; 8 * WIDTH], noise("other", 8)], WIDTH);
        assert_eq!(alignment.cka(), None);
    }

    #[test]
    fn hsic_of_a_linear_kernel_does_not_depend_on_where_the_origin_is() {
        let (a, b) = (noise("a", 30), noise("b", 30));
        let of = |a: &[f32], b: &[f32]| hsic(&Gram::new(a, WIDTH), &Gram::new(b, WIDTH));
        let shifted = moved(&a, 0.0, 1.0, 4.0);
        assert!((of(&a, &b) - of(&shifted, &b)).abs() < 1e-4);
    }
}
