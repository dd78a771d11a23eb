//! The best that a policy could do: it knows which rungs answer rightly.

use crate::Fixed;

/// The policy for a sample that the rungs marked `true` answer rightly, cheapest first: the
/// cheapest of them, and the cheapest of all where none does.
pub fn oracle(right: &[bool]) -> Fixed {
    let rung = right.iter().position(|right| *right).unwrap_or(0);
    Fixed::chosen_by("oracle", rung, right.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::tests::{choose, ladder};

    #[test]
    fn the_cheapest_right_rung_is_chosen_and_the_cheapest_where_none_is_right() {
        for (right, rung) in [
            ([true, true, true], 0),
            ([false, true, false], 1),
            ([false, false, true], 2),
            ([true, false, false], 0),
            ([false, false, false], 0),
        ] {
            assert_eq!(choose(&oracle(&right), &ladder(3)), rung, "{right:?}");
        }
    }
}
