//! A page: marks at any pixel, the patches they touch, and the painting of them.
//!
//! A page remembers what it holds as a list of marks. The list says whether two pages are the same,
//! and is painted only once a page is known to be used.

use crate::font::{self, GLYPH_HEIGHT, GLYPH_WIDTH};
use crate::rng::{Digest, Rng};
use crate::shapes::{self, INKS};
use crate::words::{DIGITS, LETTERS, NOUNS};
use crate::{Grounding, Picture, Slot, noise};

/// Three channels of colour.
pub(crate) type Ink = [u8; 3];

/// Pixels from one character to the next, before scaling.
pub(crate) const ADVANCE: usize = GLYPH_WIDTH + 1;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// The area that a line of text takes.
pub(crate) fn text_area(text: &str, x: usize, y: usize, scale: usize) -> Area {
    let width = (text.len() * ADVANCE).saturating_sub(1) * scale;
    Area { x, y, width, height: GLYPH_HEIGHT * scale }
}

/// One thing on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Box { area: Area, ink: Ink },
    Glyph { character: char, x: usize, y: usize, scale: usize, ink: Ink },
    Shape { shape: usize, x: usize, y: usize, radius: usize, ink: Ink },
    Line { from: (usize, usize), to: (usize, usize), width: usize, ink: Ink },
}

/// A square page under construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) size: usize,
    patch: usize,
    marks: Vec<Mark>,
    labels: Vec<Grounding>,
}

impl Page {
    pub(crate) fn new(size: usize, patch: usize) -> Self {
        Self { size, patch, marks: Vec::new(), labels: Vec::new() }
    }

    /// How many patches the page has.
    pub(crate) fn patches(&self) -> usize {
        (self.size / self.patch).pow(2)
    }

    /// The patch that holds a pixel; the nearest one for a pixel outside.
    pub(crate) fn patch_at(&self, x: usize, y: usize) -> usize {
        let inside = |value: usize| value.min(self.size - 1) / self.patch;
        inside(y) * (self.size / self.patch) + inside(x)
    }

    /// The patches that an area touches.
    pub(crate) fn touched(&self, area: Area) -> Vec<usize> {
        let (right, bottom) = (area.x + area.width.max(1) - 1, area.y + area.height.max(1) - 1);
        let rows = area.y / self.patch..=bottom.min(self.size - 1) / self.patch;
        let columns = area.x / self.patch..=right.min(self.size - 1) / self.patch;
        let side = self.size / self.patch;
        rows.flat_map(|row| columns.clone().map(move |column| row * side + column)).collect()
    }

    /// The patches that a line passes through.
    pub(crate) fn crossed(&self, from: (usize, usize), to: (usize, usize)) -> Vec<usize> {
        let mut patches: Vec<usize> = line_columns(from, to)
            .flat_map(|(x, top, bottom)| [self.patch_at(x, top), self.patch_at(x, bottom)])
            .collect();
        patches.sort_unstable();
        patches.dedup();
        patches
    }

    /// Keeps a label of a patch for training.
    pub(crate) fn label(&mut self, patch: usize, slot: Slot, class: usize, from_depth: usize) {
        let (class, from_depth) = (class as u8, from_depth as u8);
        self.labels.push(Grounding { patch: patch as u16, slot, class, from_depth });
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, area: Area, ink: Ink) {
        self.marks.push(Mark::Box { area, ink });
    }

    /// Draws the border of a rectangle, one pixel wide, inside of it.
    pub(crate) fn frame(&mut self, area: Area, ink: Ink) {
        let Area { x, y, width, height } = area;
        self.fill(Area { height: 1, ..area }, ink);
        self.fill(Area { y: y + height - 1, height: 1, ..area }, ink);
        self.fill(Area { width: 1, ..area }, ink);
        self.fill(Area { x: x + width - 1, width: 1, ..area }, ink);
    }

    /// Draws a shape of a colour, centred between pixels.
    pub(crate) fn shape(&mut self, shape: usize, colour: usize, at: (usize, usize), radius: usize) {
        self.marks.push(Mark::Shape { shape, x: at.0, y: at.1, radius, ink: INKS[colour] });
    }

    /// Draws a line that leads from left to right.
    pub(crate) fn line(
        &mut self,
        from: (usize, usize),
        to: (usize, usize),
        width: usize,
        ink: Ink,
    ) {
        self.marks.push(Mark::Line { from, to, width, ink });
    }

    /// Writes text, labels its words and digits for training, and gives the area it takes.
    pub(crate) fn write(&mut self, text: &str, x: usize, y: usize, scale: usize, ink: Ink) -> Area {
        let area = text_area(text, x, y, scale);
        let class = |list: &[&str], word: &str| list.iter().position(|&known| known == word);
        let middle = self.patch_at(x + area.width / 2, y + area.height / 2);
        if let Some(noun) = class(&NOUNS, text) {
            self.label(middle, Slot::Word, noun, 1);
        } else if let Some(letter) = class(&LETTERS, text) {
            self.label(middle, Slot::Letter, letter, self.straddles(area));
        }
        for (index, character) in text.chars().enumerate() {
            let left = x + index * ADVANCE * scale;
            self.marks.push(Mark::Glyph { character, x: left, y, scale, ink });
            if let Some(digit) = class(&DIGITS, character.to_string().as_str()) {
                let own = text_area("0", left, y, scale);
                let patch = self.patch_at(left + own.width / 2, y + own.height / 2);
                self.label(patch, Slot::Digit, digit, self.straddles(own));
            }
        }
        area
    }

    /// 0 where one patch holds the area, 1 where patches must first tell each other their parts.
    fn straddles(&self, area: Area) -> usize {
        usize::from(self.touched(area).len() > 1)
    }

    /// The labels, but for those of patches that would have two of a kind.
    pub(crate) fn grounding(&self) -> Vec<Grounding> {
        let mut labels = self.labels.clone();
        labels.sort_by_key(|label| (label.patch, label.slot));
        let alike = |a: &Grounding, b: &Grounding| a.patch == b.patch && a.slot == b.slot;
        labels.chunk_by(alike).filter(|same| same.len() == 1).flatten().copied().collect()
    }

    /// A number that equal pages share and others hardly ever do.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut digest = Digest::new();
        let mut take = |kind: u32, numbers: [usize; 4], ink: Ink| {
            digest.bytes(&kind.to_le_bytes());
            for number in numbers {
                digest.bytes(&(number as u32).to_le_bytes());
            }
            digest.bytes(&ink);
        };
        for mark in &self.marks {
            match *mark {
                Mark::Box { area, ink } => take(1, [area.x, area.y, area.width, area.height], ink),
                Mark::Glyph { character, x, y, scale, ink } => {
                    take(2, [character as usize, x, y, scale], ink);
                }
                Mark::Shape { shape, x, y, radius, ink } => take(3, [shape, x, y, radius], ink),
                Mark::Line { from, to, width, ink } => {
                    take(4 + width as u32, [from.0, from.1, to.0, to.1], ink);
                }
            }
        }
        digest.value()
    }

    /// Paints the marks in order over a dark ground, then noise.
    pub(crate) fn paint(&self, rng: &mut Rng) -> Picture {
        let mut picture = Picture::blank(self.size, noise::ground(rng));
        for mark in &self.marks {
            paint_mark(&mut picture, mark);
        }
        noise::add(&mut picture.rgb, rng);
        picture
    }
}

/// The columns of a line from left to right: (x, highest y, lowest y), without gaps between columns.
fn line_columns(
    from: (usize, usize),
    to: (usize, usize),
) -> impl Iterator<Item = (usize, usize, usize)> {
    let run = to.0.saturating_sub(from.0).max(1);
    let height = move |step: usize| {
        if to.1 >= from.1 {
            from.1 + (to.1 - from.1) * step / run
        } else {
            from.1 - (from.1 - to.1) * step / run
        }
    };
    (0..run).map(move |step| {
        let (here, next) = (height(step), height(step + 1));
        (from.0 + step, here.min(next), here.max(next))
    })
}

fn paint_mark(picture: &mut Picture, mark: &Mark) {
    let mut fill = |area: Area, ink: Ink| {
        let right = (area.x + area.width).min(picture.size);
        for y in area.y..(area.y + area.height).min(picture.size) {
            for x in area.x..right {
                let at = (y * picture.size + x) * 3;
                picture.rgb[at..at + 3].copy_from_slice(&ink);
            }
        }
    };
    match *mark {
        Mark::Box { area, ink } => fill(area, ink),
        Mark::Glyph { character, x, y, scale, ink } => {
            for (row, column) in
                (0..GLYPH_HEIGHT * GLYPH_WIDTH).map(|i| (i / GLYPH_WIDTH, i % GLYPH_WIDTH))
            {
                if font::ink(character, column, row) {
                    let (x, y) = (x + column * scale, y + row * scale);
                    fill(Area { x, y, width: scale, height: scale }, ink);
                }
            }
        }
        Mark::Shape { shape, x, y, radius, ink } => {
            let reach = radius as i32;
            for (dx, dy) in (-reach..reach).flat_map(|dy| (-reach..reach).map(move |dx| (dx, dy))) {
                let (u, v) = ((2 * dx + 1) * shapes::REACH, (2 * dy + 1) * shapes::REACH);
                let spot = (usize::try_from(x as i32 + dx), usize::try_from(y as i32 + dy));
                if let (true, (Ok(x), Ok(y))) = (shapes::covers(shape, u, v, 2 * reach), spot) {
                    fill(Area { x, y, width: 1, height: 1 }, ink);
                }
            }
        }
        Mark::Line { from, to, width, ink } => {
            for (x, top, bottom) in line_columns(from, to) {
                fill(Area { x, y: top, width: 1, height: bottom - top + width }, ink);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_touches_the_patches_that_hold_its_corners() {
        let page = Page::new(64, 16);
        assert_eq!(page.touched(Area { x: 15, y: 0, width: 2, height: 17 }), [0, 1, 4, 5]);
        assert_eq!(page.touched(Area { x: 60, y: 60, width: 20, height: 1 }), [15]);
        assert_eq!(page.crossed((0, 20), (64, 20)), [4, 5, 6, 7]);
        assert_eq!(page.crossed((8, 8), (24, 24)), [0, 4, 5]);
    }

    #[test]
    fn pages_that_differ_in_one_mark_have_different_fingerprints() {
        let mut page = Page::new(64, 16);
        page.write("kiwi", 3, 3, 1, [200; 3]);
        let before = page.fingerprint();
        page.fill(Area { x: 1, y: 1, width: 1, height: 1 }, [9; 3]);
        assert_ne!(before, page.fingerprint());
    }

    #[test]
    fn a_patch_with_two_digits_has_no_digit_label() {
        let mut page = Page::new(64, 16);
        page.write("47", 0, 0, 1, [200; 3]);
        page.write("5", 20, 4, 1, [200; 3]);
        let labels = page.grounding();
        assert_eq!(labels.len(), 1);
        assert_eq!((labels[0].patch, labels[0].class, labels[0].from_depth), (1, 5, 0));
    }
}
