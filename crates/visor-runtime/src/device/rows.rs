//! What a function of rows is, wherever tensors lie.

/// A function of rows of values, one by one, with its gradient.
#[derive(Clone, Copy, Debug)]
pub struct RowFunction {
    /// Values of a row.
    pub width: usize,
    /// A constant of the formula, such as what is added before a division; zero where there is none.
    pub constant: f32,
    /// Values to results, row by row, by width and constant.
    pub forward: fn(&mut [f32], usize, f32),
    /// What the gradient is computed from.
    pub keeps: Keeps,
    /// The gradient of the results to that of the values, by what was kept of them.
    pub gradient: fn(&[f32], &mut [f32], usize, f32),
}

/// What a gradient is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// What went in.
    Values,
    /// What came out.
    Results,
}
