//! A tiny digit in a frame of a colour, among glyphs without a frame: one look at full resolution.

use super::canvas::{Area, text_area};
use super::{Drawn, Frame};
use crate::rng::Rng;
use crate::sample::{Ask, QUESTIONS};
use crate::shapes::INKS;
use crate::words::{COLOURS, DIGITS};
use crate::{Family, Slot};

/// Marks stand one to a square of this many pixels.
const PLOT: usize = 20;
/// Pixels between a digit and its frame.
const INSET: usize = 3;
const CLUTTER: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Two to four frames with a digit each, in a field of clutter.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let mut page = frame.page();
    let side = frame.size / PLOT;
    let mut plots: Vec<usize> = (0..side * side).collect();
    rng.shuffle(&mut plots);
    let mut colours: Vec<usize> = (0..COLOURS.len()).collect();
    rng.shuffle(&mut colours);
    colours.truncate(rng.between(2, QUESTIONS));
    let clutter = if frame.harder {
        rng.between(plots.len() / 2, plots.len() * 3 / 4)
    } else {
        rng.between(plots.len() / 16, plots.len() * 3 / 8)
    };
    let glyph = text_area("0", 0, 0, 1);
    let (width, height) = (glyph.width + 2 * INSET, glyph.height + 2 * INSET);
    let (mut asks, mut caption) = (Vec::new(), Vec::new());
    for (index, &plot) in plots.iter().take(colours.len() + clutter).enumerate() {
        let x = plot % side * PLOT + rng.between(1, PLOT - 1 - width);
        let y = plot / side * PLOT + rng.between(1, PLOT - 1 - height);
        if let Some(&colour) = colours.get(index) {
            let digit = DIGITS[rng.below(DIGITS.len())];
            let area = Area { x, y, width, height };
            page.frame(area, INKS[colour]);
            page.write(digit, x + INSET, y + INSET, 1, [217; 3]);
            let middle = page.patch_at(x + width / 2, y + height / 2);
            page.label(middle, Slot::Colour, colour, usize::from(page.touched(area).len() > 1));
            let text = format!("digit in the {} frame ?", COLOURS[colour]);
            let mut ask = Ask::new(Family::Needle, text, digit, page.touched(area));
            ask.glyph_height = glyph.height as u8;
            asks.push(ask);
            caption.extend([COLOURS[colour], "frame", digit]);
        } else {
            let character = char::from(CLUTTER[rng.below(CLUTTER.len())]).to_string();
            page.write(&character, x + INSET, y + INSET, 1, [rng.between(120, 217) as u8; 3]);
        }
    }
    let things = colours.len() + clutter;
    Drawn { page, asks, caption: caption.join(" "), things }
}
