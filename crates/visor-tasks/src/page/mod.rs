//! Families whose pictures are pages: marks at any pixel, across the borders of patches.

mod attribute;
mod canvas;
mod chart;
mod exist;
mod needle;
mod relation;
#[cfg(test)]
mod solver;
mod table;
mod text;
mod things;
mod trace;

use crate::rng::Rng;
use crate::sample::{Ask, QUESTIONS};
use crate::{Family, Sample};
use canvas::Page;
use things::Thing;

/// The families whose pictures are pages.
pub(crate) const ON_PAGES: [Family; 8] = [
    Family::Exist,
    Family::Attribute,
    Family::Relation,
    Family::Needle,
    Family::Text,
    Family::Table,
    Family::Chart,
    Family::Trace,
];

/// How often further questions of a scene are tried before fewer must do.
const TRIALS: usize = 24;

/// The measures of a page, and whether it is to be harder than any in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) size: usize,
    pub(crate) patch: usize,
    pub(crate) harder: bool,
}

impl Frame {
    /// An empty page of these measures.
    fn page(&self) -> Page {
        Page::new(self.size, self.patch)
    }
}

/// A page with its questions, the first one first.
pub(crate) struct Drawn {
    page: Page,
    asks: Vec<Ask>,
    caption: String,
    /// How many things there are to look at: objects, glyphs, words, cells, bars or wires.
    things: usize,
}

/// Adds a question that is there and not yet asked, while the picture may carry more.
fn keep(asks: &mut Vec<Ask>, ask: Option<Ask>) {
    let room = asks.len() < QUESTIONS;
    let new = |ask: &Ask| asks.iter().all(|earlier| earlier.text != ask.text);
    if let Some(ask) = ask.filter(|ask| room && new(ask)) {
        asks.push(ask);
    }
}

/// The first question and further ones of all three families about free-standing objects.
fn further(rng: &mut Rng, frame: &Frame, list: &[Thing], first: Ask) -> Vec<Ask> {
    let mut asks = vec![first];
    for _ in 0..TRIALS {
        let ask = match rng.below(3) {
            0 => exist::another(rng, frame, list),
            1 => attribute::another(rng, frame, list),
            _ => relation::another(rng, frame, list),
        };
        keep(&mut asks, ask);
    }
    asks
}

/// Draws one sample from a stream of random numbers; `None` where the page is another split's, or too
/// bare for a second question, or the family is not drawn on pages.
pub(crate) fn sample(
    family: Family,
    frame: &Frame,
    mut rng: Rng,
    owns: impl Fn(u64) -> bool,
) -> Option<Sample> {
    let Drawn { page, asks, caption, things } = match family {
        Family::Exist => exist::draw(&mut rng, frame),
        Family::Attribute => attribute::draw(&mut rng, frame),
        Family::Relation => relation::draw(&mut rng, frame),
        Family::Needle => needle::draw(&mut rng, frame),
        Family::Text => text::draw(&mut rng, frame),
        Family::Table => table::draw(&mut rng, frame),
        Family::Chart => chart::draw(&mut rng, frame),
        Family::Trace => trace::draw(&mut rng, frame),
        _ => return None,
    };
    if asks.len() < 2 || !owns(page.fingerprint()) {
        return None;
    }
    let patches = page.patches();
    Some(Sample {
        picture: page.paint(&mut rng),
        questions: asks.into_iter().map(|ask| ask.question(patches, things)).collect(),
        caption,
        grounding: page.grounding(),
    })
}
