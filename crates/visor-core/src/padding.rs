//! How many rows are computed for the rows that there are.
//!
//! A device other than the processor compiles and tunes its kernels for the sizes that come, which
//! takes seconds where an answer takes a tenth of one. There rows and cached keys are filled up to
//! one of few sizes: powers of two and what lies half-way between two of them. Less than a third of
//! what is computed is then padding, a seventh on average. The processor computes what there is.

/// Up to which sizes a device fills up rows and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// As many as there are.
    #[default]
    None,
    /// As many as there are, filled up to the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, ..
    Steps,
}

impl Padding {
    /// Rows that are computed for `n` rows.
    pub fn rows(self, n: usize) -> usize {
        match self {
            Self::None => n,
            Self::Steps => step(n),
        }
    }

    /// Rows that are computed for the text of a prompt. Where they are filled up there is always one
    /// that is free: for a routing token first and the first token of the answer later, so that a
    /// prompt has the same sizes with and without them.
    pub fn prompt(self, n_text: usize) -> usize {
        match self {
            Self::None => n_text,
            Self::Steps => step(n_text + 1),
        }
    }

    /// Rows that are computed for a picture and the text of its prompt together.
    pub fn joint(self, n_text: usize, n_visual: usize) -> usize {
        self.rows(n_visual + self.prompt(n_text))
    }
}

/// The least power of two, or one and a half of one, that is not less.
fn step(n: usize) -> usize {
    let power = n.checked_next_power_of_two().unwrap_or(n);
    let between = power / 4 * 3;
    if n <= between { between } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_powers_of_two_and_what_lies_half_way() {
        let steps: std::collections::BTreeSet<usize> = (0..=100).map(step).collect();
        let expected = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];
        assert_eq!(Vec::from_iter(steps), expected);
    }

    #[test]
    fn exactly_as_many_rows_as_there_are_means_that() {
        for n in [0, 1, 5, 17, 1000] {
            assert_eq!((Padding::None.rows(n), Padding::None.prompt(n)), (n, n));
            assert_eq!(Padding::None.joint(n, 9), n + 9);
        }
    }

    proptest! {
        #[test]
        fn sizes_cover_ascend_and_waste_less_than_a_third(n in 0_usize..1 << 20) {
            let rows = Padding::Steps.rows(n);
            prop_assert!(n <= rows && rows <= Padding::Steps.rows(n + 1));
            prop_assert!(n == 0 || 3 * (rows - n) < rows, "{} for {}", rows, n);
            prop_assert_eq!(Padding::Steps.rows(rows), rows, "what is full is not filled again");
        }

        #[test]
        fn a_prompt_has_room_for_one_row_more_and_its_picture_beside_it(
            n_text in 1_usize..1 << 16,
            n_visual in 0_usize..1 << 16,
        ) {
            let (text, joint) =
                (Padding::Steps.prompt(n_text), Padding::Steps.joint(n_text, n_visual));
            prop_assert!(text > n_text && joint >= text + n_visual);
            prop_assert!(n_visual > 0 || joint == text);
        }
    }

    #[test]
    fn a_seventh_is_padding_on_average() {
        let all: usize = (1..=4096).map(step).sum();
        let rows: usize = (1..=4096).sum();
        let share = (all - rows) as f64 / all as f64;
        assert!((share - 1.0 / 7.0).abs() < 0.01, "{share}");
    }
}
