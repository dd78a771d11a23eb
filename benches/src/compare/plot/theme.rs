//! Colours of plots. Each that is read against the page has a twin for dark pages.

use crate::compare::observation::Group;

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color(pub(crate) u8, pub(crate) u8, pub(crate) u8);

pub(crate) const PAGE: Color = Color(0xFF, 0xFF, 0xFF);
pub(crate) const INK: Color = Color(0x1F, 0x23, 0x28);
pub(crate) const FAINT_INK: Color = Color(0x59, 0x63, 0x6E);
pub(crate) const GRID: Color = Color(0xE6, 0xE9, 0xED);
pub(crate) const AXIS: Color = Color(0x8C, 0x95, 0x9F);
/// The front and the best mixtures.
pub(crate) const FRONT: Color = Color(0xB4, 0xBB, 0xC4);

const BLUE: Color = Color(0x00, 0x66, 0xB3);
const TEAL: Color = Color(0x1B, 0x8A, 0x9E);
const ORANGE: Color = Color(0xD0, 0x4A, 0x02);
const GREEN: Color = Color(0x0B, 0x7A, 0x4B);
const PURPLE: Color = Color(0x99, 0x3B, 0xA6);
const BROWN: Color = Color(0x7A, 0x5C, 0x00);

/// Colours of light pages with those of dark ones.
pub(crate) const DARK: [(Color, Color); 11] = [
    (PAGE, Color(0x15, 0x18, 0x1D)),
    (INK, Color(0xE6, 0xE9, 0xED)),
    (FAINT_INK, Color(0x9D, 0xA7, 0xB3)),
    (GRID, Color(0x2A, 0x2F, 0x37)),
    (AXIS, Color(0x6B, 0x75, 0x80)),
    (FRONT, Color(0x5A, 0x63, 0x6E)),
    (BLUE, Color(0x5C, 0xB2, 0xF2)),
    (ORANGE, Color(0xFF, 0x93, 0x55)),
    (GREEN, Color(0x4F, 0xC9, 0x92)),
    (PURPLE, Color(0xD7, 0x8C, 0xE3)),
    (BROWN, Color(0xD9, 0xB4, 0x4A)),
];

impl Color {
    /// As SVG and CSS write it.
    pub(crate) fn hex(self) -> String {
        let Self(red, green, blue) = self;
        format!("#{red:02X}{green:02X}{blue:02X}")
    }

    /// Part of the way to another colour, from 0 to 1.
    pub(crate) fn towards(self, other: Self, part: f64) -> Self {
        let mix =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// Black or white, whichever is better read on it. Not quite either, so that a dark page
    /// leaves them as they are.
    pub(crate) fn ink_on(self) -> Self {
        let Self(red, green, blue) = self;
        let light = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
        if light > 140.0 { Self(0x0A, 0x0C, 0x0E) } else { Self(0xFC, 0xFD, 0xFE) }
    }
}

pub(crate) fn of_group(group: Group) -> Color {
    match group {
        Group::Rung => BLUE,
        Group::Patches => TEAL,
        Group::Auto => ORANGE,
        Group::Baseline => GREEN,
        Group::Reference => PURPLE,
        Group::Control => BROWN,
    }
}

/// The colour of a place between the first and the last of an order, from 0 to 1.
pub(crate) fn sequential(part: f64) -> Color {
    const STOPS: [Color; 4] = [
        Color(0xE3, 0xEE, 0xF9),
        Color(0x8F, 0xC1, 0xE3),
        Color(0x2C, 0x7F, 0xBD),
        Color(0x0A, 0x35, 0x6B),
    ];
    let at = part.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (at.floor() as usize).min(STOPS.len() - 2);
    STOPS[below].towards(STOPS[below + 1], at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_runs_from_light_to_dark() {
        let first = sequential(0.0);
        assert_eq!(first, Color(0xE3, 0xEE, 0xF9));
        assert_eq!(sequential(2.0), Color(0x0A, 0x35, 0x6B));
        assert_eq!(first.ink_on(), Color(0x0A, 0x0C, 0x0E));
        assert_eq!(sequential(1.0).ink_on(), Color(0xFC, 0xFD, 0xFE));
        assert_eq!(first.hex(), "#E3EEF9");
    }
}
