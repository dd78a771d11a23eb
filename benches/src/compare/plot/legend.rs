//! Where the keys of a legend stand: in as many lines as their names take.

use super::font::Fonts;
use super::scene::{Point, at};

/// Height of a name.
pub(super) const SIZE: f64 = 12.5;
/// From one line to the next.
const LINE: f64 = 22.0;
/// Behind a name.
const GAP: f64 = 22.0;

/// The keys of a legend.
pub(super) struct Legend {
    /// The left edge of each key, at the height of its middle.
    pub(super) keys: Vec<Point>,
    /// By how much the legend is higher than one line.
    pub(super) more: f64,
}

/// Sets names between `left` and `right`, the first line at the height `y`. A key and the space
/// behind it are `key` wide. A name too long for a line has one for itself.
pub(super) fn legend(
    fonts: &Fonts,
    names: &[&str],
    (left, right): (f64, f64),
    y: f64,
    key: f64,
) -> Legend {
    let (mut x, mut line) = (left, 0.0);
    let place = |name: &&str| {
        let width = key + fonts.width(name, SIZE, false);
        if x > left && x + width > right {
            (x, line) = (left, line + LINE);
        }
        let place = at(x, y + line);
        x += width + GAP;
        place
    };
    let keys = names.iter().map(place).collect();
    Legend { keys, more: line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_takes_more_lines_and_none_leaves_the_figure() {
        let fonts = Fonts::new().expect("the fonts are part of the program");
        let names = vec!["sa3-k16"; 14];
        let Legend { keys, more } = legend(&fonts, &names, (100.0, 600.0), 79.0, 20.0);
        let width = 20.0 + fonts.width(names[0], SIZE, false);
        assert!(keys.iter().all(|key| key.x >= 100.0 && key.x + width <= 600.0));
        assert_eq!(more, keys.last().map_or(0.0, |key| key.y - 79.0));
        assert!(more > 0.0);
        let short = legend(&fonts, &names[..2], (100.0, 600.0), 79.0, 20.0);
        assert_eq!(short.more, 0.0);
    }
}
