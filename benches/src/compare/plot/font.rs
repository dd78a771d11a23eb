//! The fonts of plots: how wide a text is, and its pixels.

use super::PlotError;
use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

static REGULAR: &[u8] = include_bytes!("../../../assets/visor-plot-sans-regular.ttf");
static BOLD: &[u8] = include_bytes!("../../../assets/visor-plot-sans-bold.ttf");

/// Names for viewers: all but the last have the same widths.
pub(crate) const FAMILY: &str =
    "Visor Plot Sans, Arial, Helvetica, Liberation Sans, Arimo, sans-serif";

/// Rules of CSS that bring the fonts along, so that names stand where they were placed.
pub(crate) fn faces() -> String {
    let face = |bytes: &[u8], weight: u32| {
        let data = STANDARD.encode(bytes);
        format!(
            "@font-face {{ font-family: \"Visor Plot Sans\"; font-weight: {weight}; \
             src: url(data:font/ttf;base64,{data}) }}\n"
        )
    };
    face(REGULAR, 400) + &face(BOLD, 700)
}

/// Both weights.
pub(crate) struct Fonts {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Fonts {
    pub(crate) fn new() -> Result<Self, PlotError> {
        let font = |bytes| FontRef::try_from_slice(bytes).map_err(|_| PlotError::Font);
        Ok(Self { regular: font(REGULAR)?, bold: font(BOLD)? })
    }

    /// Width of a text whose em has `size` units.
    pub(crate) fn width(&self, text: &str, size: f64, bold: bool) -> f64 {
        self.laid_out(text, size, bold).1
    }

    /// Every pixel that a text covers: its place from the start of the baseline, down and to the
    /// right, and how much of it is covered.
    pub(crate) fn pixels(
        &self,
        text: &str,
        size: f64,
        bold: bool,
        draw: &mut dyn FnMut(i32, i32, f32),
    ) {
        let font = self.of(bold);
        for glyph in self.laid_out(text, size, bold).0 {
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let (left, top) = (corner.x as i32, corner.y as i32);
            outline.draw(|x, y, covered| {
                if covered > 0.0 {
                    draw(left + x as i32, top + y as i32, covered.min(1.0));
                }
            });
        }
    }

    /// Glyphs on a baseline, and the width of all.
    fn laid_out(&self, text: &str, size: f64, bold: bool) -> (Vec<Glyph>, f64) {
        let font = self.of(bold);
        // The crate's scale is the height of a line, not of an em.
        let units = f64::from(font.units_per_em().unwrap_or(2048.0));
        let scale = PxScale::from((size * f64::from(font.height_unscaled()) / units) as f32);
        let scaled = font.as_scaled(scale);
        let (mut glyphs, mut pen, mut last) = (Vec::new(), 0.0_f32, None);
        for letter in text.chars() {
            let id = scaled.glyph_id(letter);
            if let Some(last) = last {
                pen += scaled.kern(last, id);
            }
            glyphs.push(id.with_scale_and_position(scale, point(pen, 0.0)));
            pen += scaled.h_advance(id);
            last = Some(id);
        }
        (glyphs, f64::from(pen))
    }

    fn of(&self, bold: bool) -> &FontRef<'static> {
        if bold { &self.bold } else { &self.regular }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_arials() {
        let fonts = Fonts::new().expect("fonts");
        // Of Arial's 2048 units: digits 1139, `i` 455, bold `i` 569.
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        assert!(near(fonts.width("0123456789", 2048.0, false) / 10.0, 1139.0));
        assert!(near(fonts.width("i", 2048.0, false), 455.0));
        assert!(near(fonts.width("i", 2048.0, true), 569.0));
    }

    #[test]
    fn every_letter_of_a_record_has_a_glyph() {
        let fonts = Fonts::new().expect("fonts");
        for letter in (' '..='~').chain("±·×–—…Δ−≤≥".chars()) {
            for font in [&fonts.regular, &fonts.bold] {
                assert_ne!(font.glyph_id(letter).0, 0, "{letter}");
            }
        }
    }
}
