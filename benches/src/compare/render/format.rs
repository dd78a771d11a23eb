//! Numbers as people read them.

use crate::compare::record::{CompareRecord, Comparison};
use crate::compare::statistics::{Difference, Estimate};

/// What stands where there is nothing to say.
pub(crate) const NONE: &str = "-";

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A mean score in percent with its interval.
pub(crate) fn estimate(found: &Estimate) -> String {
    format!("{} [{}, {}]", percent(found.mean), percent(found.low), percent(found.high))
}

/// A difference in percentage points with its interval.
pub(crate) fn difference(found: &Difference) -> String {
    points(found.difference, found.low, found.high)
}

/// The same of a comparison.
pub(crate) fn comparison(found: &Comparison) -> String {
    points(found.difference, found.low, found.high)
}

fn points(difference: f64, low: f64, high: f64) -> String {
    format!("{} [{}, {}]", signed(difference), signed(low), signed(high))
}

/// Percentage points with their sign; no sign where they round to nothing.
pub(crate) fn signed(share: f64) -> String {
    match format!("{:+.1}", 100.0 * share) {
        zero if zero == "+0.0" || zero == "-0.0" => "0.0".to_owned(),
        signed => signed,
    }
}

/// A saving, as `2.5x`.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        ..9.95 => format!("{ratio:.1}x"),
        _ => format!("{ratio:.0}x"),
    }
}

/// Three significant digits, without an exponent.
pub(crate) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    // Of the value as it will be printed: 9.999 becomes 10.0.
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    let before = rounded.abs().log10().floor() as i32;
    format!("{rounded:.*}", usize::try_from(2 - before).unwrap_or(0))
}

/// A p, as `0.012` or `<0.001`.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// Bytes in MB of a million.
pub(crate) fn megabytes(bytes: u64) -> String {
    significant(bytes as f64 / 1e6)
}

/// A number with thousands apart, as `4 000`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// In what costs of a record are printed, so that the dearest is a number of few digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FlopUnit {
    /// Its name.
    pub(crate) name: &'static str,
    /// GFLOPs of one.
    giga: f64,
}

impl FlopUnit {
    pub(crate) fn of(record: &CompareRecord) -> Self {
        let most = record.rows.iter().map(|row| row.gflops.end_to_end).fold(0.0, f64::max);
        match most {
            ..1.0 => Self { name: "MFLOPs", giga: 1e-3 },
            1.0..10_000.0 => Self { name: "GFLOPs", giga: 1.0 },
            _ => Self { name: "TFLOPs", giga: 1e3 },
        }
    }

    /// A number of them.
    pub(crate) fn of_giga(self, giga: f64) -> f64 {
        giga / self.giga
    }

    pub(crate) fn format(self, giga: f64) -> String {
        significant(self.of_giga(giga))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_printed_whatever_the_size() {
        let printed =
            [0.0, 0.000_123_4, 0.67, 8.674, 9.999, 27.9, 123.4, 12_345.6].map(significant);
        assert_eq!(printed, ["0", "0.000123", "0.670", "8.67", "10.0", "27.9", "123", "12300"]);
    }

    #[test]
    fn intervals_are_in_percent_and_differences_have_signs() {
        let found = Estimate { mean: 0.95, low: 0.941, high: 0.958, n: 100 };
        assert_eq!(estimate(&found), "95.0 [94.1, 95.8]");
        let found = Difference { difference: 0.003, low: -0.0002, high: 0.008, p: None, n: 9 };
        assert_eq!(difference(&found), "+0.3 [0.0, +0.8]");
    }

    #[test]
    fn other_numbers_are_short() {
        assert_eq!(
            (times(2.51), times(9.97), times(12.3)),
            ("2.5x".into(), "10x".into(), "12x".into())
        );
        assert_eq!((probability(0.0001), probability(0.0123)), ("<0.001".into(), "0.012".into()));
        assert_eq!(
            (grouped(4_000), grouped(12), grouped(1_234_567)),
            ("4 000".into(), "12".into(), "1 234 567".into())
        );
        assert_eq!(megabytes(16_200_000), "16.2");
    }
}
