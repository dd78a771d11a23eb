//! Whether the patches that an expression chooses lie where it refers to: how much of the box they
//! cover, and whether the best one is in it.
//!
//! A selector never sees a box. What would come of choosing at random stands beside it.

use crate::data::benchmarks::Referring;
use crate::error::TrainError;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use visor_core::{BudgetRequest, Patches};
use visor_model::VisorModel;
use visor_processor::{ImageTokens, Panel};
use visor_runtime::{GenerationSettings, PictureInput, Prepared, Request, Runner, Selection};

/// Expressions that are asked together.
const BATCH: usize = 16;

/// Where the patches of one expression lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointed {
    /// Patches that were chosen.
    pub k: usize,
    /// The share of the box's area that they cover.
    pub coverage: f64,
    /// Whether the middle of the best patch is in the box.
    pub hit: bool,
    /// The share of the box that as many patches cover at random; a token that ends a line is none.
    pub random_coverage: f64,
    /// The share of the picture that is the box: how often a random point is in it.
    pub box_share: f64,
}

/// Asks every expression at the cheapest rung which patches it chooses. Pictures are taken whole,
/// as one tile.
///
/// # Errors
/// [`TrainError::NoLadder`], [`TrainError::NoSelector`], [`TrainError::Cut`] where a picture is not
/// taken whole, if a question cannot be asked, or [`TrainError::AnalysisStopped`].
pub fn pointing(
    runner: &Runner<VisorModel>,
    referring: &[Referring],
    patches: Patches,
    stop: &AtomicBool,
    tell: super::Tell<'_>,
) -> Result<Vec<Pointed>, TrainError> {
    let card = runner.card();
    let ladder = card.ladder.as_ref().ok_or(TrainError::NoLadder)?;
    if card.selector.is_none() {
        return Err(TrainError::NoSelector);
    }
    let rung = ladder.rung(ladder.cheapest()).name().to_owned();
    let mut pointed = Vec::with_capacity(referring.len());
    for chunk in referring.chunks(BATCH) {
        if stop.load(Ordering::Relaxed) {
            return Err(TrainError::AnalysisStopped);
        }
        let mut batch = Vec::with_capacity(chunk.len());
        let mut panels = Vec::with_capacity(chunk.len());
        for one in chunk {
            let request = Request {
                pictures: vec![PictureInput::Decoded(one.picture.pixels()?)],
                max_tiles: Some(NonZeroUsize::MIN),
                budget: Some(BudgetRequest::Rung(rung.clone())),
                patches,
                settings: GenerationSettings {
                    max_new_tokens: Some(NonZeroUsize::MIN),
                    ..GenerationSettings::default()
                },
                ..Request::new(one.expression.clone())
            };
            let asked = |because| TrainError::Question { id: one.id.clone(), because };
            let prepared = runner.prepare(request).map_err(asked)?;
            let panel = panel(&prepared, card.tile_tokens);
            panels.push(panel.ok_or(TrainError::Cut { id: one.id.clone() })?);
            batch.push(prepared);
        }
        let outcomes = runner.answer_batch(batch);
        for ((one, outcome), panel) in chunk.iter().zip(outcomes).zip(&panels) {
            let asked = |because| TrainError::Question { id: one.id.clone(), because };
            let chosen = outcome.map_err(asked)?.selection.ok_or(TrainError::NoSelector)?;
            pointed.push(place(one, &chosen, panel));
        }
        tell("where expressions look", pointed.len(), referring.len());
    }
    Ok(pointed)
}

/// The grid of the one tile of a prompt's one picture.
fn panel(prepared: &Prepared, tile: ImageTokens) -> Option<Panel> {
    let mut arrangements = prepared.arrangements();
    let (only, None) = (arrangements.next()?, arrangements.next()) else { return None };
    if only.tiles() == 1 { only.panels(tile).pop() } else { None }
}

fn place(one: &Referring, chosen: &Selection, panel: &Panel) -> Pointed {
    let (width, height) = one.picture.size();
    let frame = panel.cover.frame(width, height);
    let [left, top, right, bottom] = one.bounds;
    let area = (right - left) * (bottom - top);
    let n = panel.tokens.len();
    let (wide, high) =
        (f64::from(frame.width) / panel.cols as f64, f64::from(frame.height) / panel.rows as f64);
    // Left, top, right and bottom in the picture's pixels; on a ground around it they lie beyond.
    let edges = |patch: usize| {
        let (row, column) = ((patch / panel.cols) as f64, (patch % panel.cols) as f64);
        let (x, y) = (column * wide - f64::from(frame.left), row * high - f64::from(frame.top));
        [x, y, x + wide, y + high]
    };
    // What ends a line is no part of the picture.
    let within: Vec<usize> = chosen.patches.iter().copied().filter(|&patch| patch < n).collect();
    let covered: f64 = within
        .iter()
        .map(|&patch| {
            let [l, t, r, b] = edges(patch);
            (r.min(right) - l.max(left)).max(0.0) * (b.min(bottom) - t.max(top)).max(0.0)
        })
        .sum();
    let best = (0..n.min(chosen.scores.len()))
        .max_by(|&a, &b| chosen.scores[a].total_cmp(&chosen.scores[b]).then(b.cmp(&a)));
    let hit = best.is_some_and(|patch| {
        let [l, t, r, b] = edges(patch);
        let (x, y) = (f64::midpoint(l, r), f64::midpoint(t, b));
        left <= x && x < right && top <= y && y < bottom
    });
    Pointed {
        k: chosen.patches.len(),
        coverage: covered / area,
        hit,
        random_coverage: within.len() as f64 / n.max(1) as f64,
        box_share: (area / (f64::from(width) * f64::from(height))).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ItemPicture;
    use visor_processor::Arrangement;

    /// A box on a picture of 40 x 20 pixels.
    fn referring(bounds: [f64; 4]) -> Referring {
        Referring {
            id: "1".to_owned(),
            split: "val".to_owned(),
            picture: ItemPicture::Grey { width: 40, height: 20 },
            expression: "the left half".to_owned(),
            bounds,
        }
    }

    fn chosen(patches: &[usize], best: usize) -> Selection {
        let mut scores = vec![0.0; 17];
        scores[best] = 1.0;
        Selection { patches: patches.to_vec(), scores, kappa: 1.0 }
    }

    #[test]
    fn coverage_is_of_the_box_and_a_hit_is_by_the_middle_of_the_best_patch() {
        let one = referring([0.0, 0.0, 20.0, 20.0]);
        // Patches of 10 x 10: two rows of four.
        let whole = &Arrangement::Whole.panels(ImageTokens { rows: 2, cols: 4 })[0];
        let pointed = place(&one, &chosen(&[0, 1, 2], 1), whole);
        assert_eq!((pointed.k, pointed.coverage, pointed.hit), (3, 0.5, true));
        assert_eq!((pointed.random_coverage, pointed.box_share), (3.0 / 8.0, 0.5));
        assert!(!place(&one, &chosen(&[6], 6), whole).hit);
        assert_eq!(place(&one, &chosen(&[6], 6), whole).coverage, 0.0);
        assert_eq!(place(&one, &chosen(&[0, 1, 4, 5], 0), whole).coverage, 1.0);
    }

    #[test]
    fn on_a_padded_picture_patches_lie_where_the_square_around_it_has_them() {
        // A square of 40 x 40 in patches of 10 x 10; the picture is its rows 10 to 30.
        let lined = &Arrangement::Lined.panels(ImageTokens { rows: 4, cols: 4 })[0];
        let one = referring([0.0, 0.0, 10.0, 10.0]);
        let pointed = place(&one, &chosen(&[4], 4), lined);
        assert_eq!((pointed.coverage, pointed.hit), (1.0, true));
        let ground = place(&one, &chosen(&[0], 0), lined);
        assert_eq!((ground.coverage, ground.hit), (0.0, false));
        // All 16 and what ends the line.
        let all: Vec<usize> = (0..17).collect();
        let pointed = place(&one, &chosen(&all, 16), lined);
        assert_eq!((pointed.k, pointed.coverage, pointed.random_coverage), (17, 1.0, 1.0));
        assert_eq!(pointed.box_share, 1.0 / 8.0);
    }
}
