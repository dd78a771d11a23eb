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
use visor_runtime::{
    Backbone, GenerationSettings, PictureInput, Prepared, Request, Runner, Selection,
};

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
    /// The share of the box that as many patches cover at random.
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
        let mut grids = Vec::with_capacity(chunk.len());
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
            grids.push(grid(runner, &prepared).ok_or(TrainError::Cut { id: one.id.clone() })?);
            batch.push(prepared);
        }
        let outcomes = runner.answer_batch(batch);
        for ((one, outcome), grid) in chunk.iter().zip(outcomes).zip(grids) {
            let asked = |because| TrainError::Question { id: one.id.clone(), because };
            let chosen = outcome.map_err(asked)?.selection.ok_or(TrainError::NoSelector)?;
            pointed.push(place(one, &chosen, grid));
        }
        tell("where expressions look", pointed.len(), referring.len());
    }
    Ok(pointed)
}

/// Rows and columns of the one tile of a prompt's one picture.
fn grid(runner: &Runner<VisorModel>, prepared: &Prepared) -> Option<[usize; 2]> {
    let tile = runner.model().card().tile_tokens;
    match (prepared.prompt().images(), prepared.pictures()) {
        // One more at the end is a mark of the line's end.
        ([span], [picture])
            if picture.pixels.tiles() == 1
                && (span.tokens() == tile || span.len == tile.rows * tile.cols + 1) =>
        {
            Some([tile.rows, tile.cols])
        }
        _ => None,
    }
}

fn place(one: &Referring, chosen: &Selection, [rows, columns]: [usize; 2]) -> Pointed {
    let (width, height) = one.picture.size();
    let (width, height) = (f64::from(width), f64::from(height));
    let [left, top, right, bottom] = one.bounds;
    let area = (right - left) * (bottom - top);
    let n = rows * columns;
    let edges = |patch: usize| {
        let (row, column) = ((patch / columns) as f64, (patch % columns) as f64);
        let (wide, high) = (width / columns as f64, height / rows as f64);
        [column * wide, row * high, (column + 1.0) * wide, (row + 1.0) * high]
    };
    let within = chosen.patches.iter().copied().filter(|&patch| patch < n);
    let covered: f64 = within
        .map(|patch| {
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
    let k = chosen.patches.len();
    Pointed {
        k,
        coverage: covered / area,
        hit,
        random_coverage: k as f64 / n.max(1) as f64,
        box_share: (area / (width * height)).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ItemPicture;

    #[test]
    fn coverage_is_of_the_box_and_a_hit_is_by_the_middle_of_the_best_patch() {
        let one = Referring {
            id: "1".to_owned(),
            split: "val".to_owned(),
            picture: ItemPicture::Grey { width: 40, height: 20 },
            expression: "the left half".to_owned(),
            bounds: [0.0, 0.0, 20.0, 20.0],
        };
        // Patches of 10 x 10: two rows of four.
        let chosen = |patches: &[usize], best: usize| {
            let mut scores = vec![0.0; 8];
            scores[best] = 1.0;
            Selection { patches: patches.to_vec(), scores, kappa: 1.0 }
        };
        let pointed = place(&one, &chosen(&[0, 1, 2], 1), [2, 4]);
        assert_eq!((pointed.k, pointed.coverage, pointed.hit), (3, 0.5, true));
        assert_eq!((pointed.random_coverage, pointed.box_share), (3.0 / 8.0, 0.5));
        assert!(!place(&one, &chosen(&[6], 6), [2, 4]).hit);
        assert_eq!(place(&one, &chosen(&[6], 6), [2, 4]).coverage, 0.0);
        assert_eq!(place(&one, &chosen(&[0, 1, 4, 5], 0), [2, 4]).coverage, 1.0);
    }
}
