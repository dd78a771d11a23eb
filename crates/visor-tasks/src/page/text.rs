//! Running text: the word or the number that follows a word.
//!
//! Every noun stands at most once, in uniform order, so that what follows tells nothing of itself.
//! Glyphs fall across patches as the lines happen to run.

use super::canvas::{ADVANCE, Area, text_area};
use super::{Drawn, Frame};
use crate::font::GLYPH_HEIGHT;
use crate::rng::Rng;
use crate::sample::{Ask, QUESTIONS};
use crate::words::{DIGITS, NOUNS};
use crate::{Family, Slot};

/// A piece of text: a noun, or a number of two digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Noun(usize),
    Number(usize),
}

impl Piece {
    fn written(self) -> String {
        match self {
            Self::Noun(noun) => NOUNS[noun].into(),
            Self::Number(number) => format!("{number:02}"),
        }
    }

    fn answer(self) -> String {
        match self {
            Self::Noun(noun) => NOUNS[noun].into(),
            Self::Number(number) => format!("{} {}", DIGITS[number / 10], DIGITS[number % 10]),
        }
    }
}

/// A paragraph, small or large, sparse or dense.
pub(crate) fn draw(rng: &mut Rng, frame: &Frame) -> Drawn {
    let numbers_first = rng.coin();
    let scale = if frame.harder { 1 } else { rng.between(1, frame.size / 128) };
    let pieces = compose(rng, frame);
    let areas = flow(rng, frame, &pieces, scale);
    let mut page = frame.page();
    let ink = [rng.between(170, 235) as u8; 3];
    for (index, (piece, area)) in pieces.iter().zip(&areas).enumerate() {
        page.write(&piece.written(), area.x, area.y, scale, ink);
        if let (Piece::Noun(_), Some(&Piece::Noun(next))) = (piece, pieces.get(index + 1)) {
            let middle = page.patch_at(area.x + area.width / 2, area.y + area.height / 2);
            page.label(middle, Slot::NextWord, next, 1);
        }
    }
    let about = |at: usize| {
        let (Piece::Noun(key), next) = (pieces[at], *pieces.get(at + 1)?) else { return None };
        let what = if matches!(next, Piece::Noun(_)) { "word" } else { "number" };
        let mut evidence = page.touched(areas[at]);
        evidence.extend(page.touched(areas[at + 1]));
        let text = format!("{what} after {} ?", NOUNS[key]);
        let mut ask = Ask::new(Family::Text, text, &next.answer(), evidence);
        (ask.hops, ask.glyph_height) = (1, areas[at].height as u8);
        Some(ask)
    };
    let mut order: Vec<usize> = (0..areas.len().saturating_sub(1)).collect();
    rng.shuffle(&mut order);
    // A stable sort: the kind of the first question is drawn, all else stays in uniform order.
    order.sort_by_key(|&at| matches!(pieces[at + 1], Piece::Number(_)) != numbers_first);
    let first = order.first().copied();
    let mut rest: Vec<usize> = order.into_iter().skip(1).collect();
    rng.shuffle(&mut rest);
    let asks = first.into_iter().chain(rest).filter_map(about).take(QUESTIONS).collect();
    let shown = pieces.iter().filter_map(|piece| match piece {
        Piece::Noun(noun) => Some(NOUNS[*noun]),
        Piece::Number(_) => None,
    });
    let caption: Vec<&str> = ["text"].into_iter().chain(shown.take(11)).collect();
    Drawn { page, asks, caption: caption.join(" "), things: areas.len() }
}

/// Nouns in uniform order, some followed by a number; never two numbers in a row.
fn compose(rng: &mut Rng, frame: &Frame) -> Vec<Piece> {
    let mut nouns: Vec<usize> = (0..NOUNS.len()).collect();
    rng.shuffle(&mut nouns);
    nouns.truncate(if frame.harder { rng.between(28, 32) } else { rng.between(6, 24) });
    let mut followed: Vec<usize> = (0..nouns.len()).collect();
    rng.shuffle(&mut followed);
    followed.truncate(nouns.len() / 4);
    let mut pieces = Vec::new();
    for (index, &noun) in nouns.iter().enumerate() {
        pieces.push(Piece::Noun(noun));
        if followed.contains(&index) {
            pieces.push(Piece::Number(rng.below(100)));
        }
    }
    pieces
}

/// Breaks the text into lines and puts them at a uniform place; what does not fit is not written.
fn flow(rng: &mut Rng, frame: &Frame, pieces: &[Piece], scale: usize) -> Vec<Area> {
    let line = (GLYPH_HEIGHT + rng.between(3, 7)) * scale;
    let left = rng.between(2, 14);
    let (mut x, mut y) = (left, 2);
    let mut areas = Vec::new();
    for piece in pieces {
        let mut area = text_area(&piece.written(), x, y, scale);
        if area.x + area.width + 2 > frame.size {
            (x, y) = (left, y + line);
            area = text_area(&piece.written(), x, y, scale);
        }
        if area.y + area.height + 2 > frame.size {
            break;
        }
        x += area.width + (ADVANCE + 1) * scale;
        areas.push(area);
    }
    let bottom = areas.last().map_or(0, |area| area.y + area.height + 2);
    let down = rng.between(0, frame.size - bottom);
    areas.iter_mut().for_each(|area| area.y += down);
    areas
}
