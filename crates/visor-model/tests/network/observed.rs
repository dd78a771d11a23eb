//! A pass that is looked into computes what every pass computes, and hides what it says it hides.

use crate::support::*;
use std::collections::BTreeSet;
use visor_core::{LayerIdx, LayerMode, PositionScheme};
use visor_model::{Dropped, EncodedPictures, Observed, VisorModel, Watch};
use visor_processor::{EncodedPrompt, ProcessedPicture};
use visor_runtime::{Backbone, Cancel};

const N_LAYERS: usize = 7;

/// A prompt with what stands behind it.
struct Case {
    prompt: EncodedPrompt,
    visual: Option<EncodedPictures>,
    answer: Vec<u32>,
}

impl Case {
    fn new(model: &VisorModel, ids: &[u32], pictures: &[ProcessedPicture], answer: &[u32]) -> Self {
        let encode = || model.encode(pictures, &Cancel::new()).unwrap();
        let visual = (!pictures.is_empty()).then(encode);
        Self { prompt: prompt(ids), visual, answer: answer.to_vec() }
    }

    fn observed<'a>(&'a self, way: visor_model::Way<'a>, dropped: &'a Dropped) -> Observed<'a> {
        let visual = self.visual.iter().collect();
        Observed { prompt: &self.prompt, visual, answer: &self.answer, way, dropped }
    }
}

fn way_of(ladder: &visor_core::Ladder, way: Way) -> visor_model::Way<'_> {
    match way {
        Way::Rung(rung) => visor_model::Way::Rung(ladder, rung),
        Way::Dense => visor_model::Way::Dense,
    }
}

/// Scores of each sample, row by row.
fn scores(model: &VisorModel, samples: &[Observed<'_>], watch: Watch) -> Vec<Vec<Vec<f32>>> {
    let all = model.observe(samples, watch, &mut |_, _| Ok(())).unwrap();
    all.into_iter().map(|rows| rows.into_iter().map(|row| row.0).collect()).collect()
}

#[test]
fn an_observed_pass_gives_the_logits_of_the_normal_one() {
    let (ladder, nothing) = (ladder(), Dropped::new());
    for positions in [PositionScheme::STOCK, SCRATCH] {
        let model = model(positions, 7);
        for way in ways() {
            for (ids, pictures) in prompts() {
                let case = Case::new(&model, &ids, &pictures, &[8, 6]);
                let sample = [case.observed(way_of(&ladder, way), &nothing)];
                let seen = scores(&model, &sample, Watch::Attention).remove(0);
                let (normal, mut decoding) = prefill(&model, &ids, &pictures, way, 16);
                assert_close(&seen[0], &normal, 1e-5);
                for (token, seen) in case.answer.iter().zip(&seen[1..]) {
                    let normal = model.decode_step(&mut decoding, *token).unwrap();
                    assert_close(seen, &normal.0, 1e-5);
                }
            }
        }
    }
}

#[test]
fn without_an_answer_an_observed_pass_is_a_prefill_to_the_bit() {
    let (ladder, nothing, model) = (ladder(), Dropped::new(), model(SCRATCH, 7));
    for way in ways() {
        for (ids, pictures) in prompts() {
            let case = Case::new(&model, &ids, &pictures, &[]);
            let sample = [case.observed(way_of(&ladder, way), &nothing)];
            let (normal, _) = prefill(&model, &ids, &pictures, way, case.prompt.n_text());
            for watch in [Watch::Attention, Watch::Streams] {
                assert_eq!(scores(&model, &sample, watch), [[normal.clone()]], "{way:?}");
            }
        }
    }
}

#[test]
fn samples_of_different_ways_are_observed_together_as_alone() {
    let (ladder, nothing, model) = (ladder(), Dropped::new(), model(SCRATCH, 7));
    let cases: Vec<Case> =
        prompts().iter().map(|(ids, pictures)| Case::new(&model, ids, pictures, &[8])).collect();
    let samples: Vec<Observed<'_>> = cases
        .iter()
        .zip(ways())
        .map(|(case, way)| case.observed(way_of(&ladder, way), &nothing))
        .collect();
    let together = scores(&model, &samples, Watch::Streams);
    for (sample, together) in samples.into_iter().zip(together) {
        let alone = scores(&model, &[sample], Watch::Streams).remove(0);
        for (alone, together) in alone.iter().zip(&together) {
            assert_close(together, alone, 1e-5);
        }
    }
}

#[test]
fn attention_weights_of_every_row_add_up_to_one() {
    let (ladder, nothing, model) = (ladder(), Dropped::new(), model(SCRATCH, 7));
    for way in ways() {
        for (ids, pictures) in prompts() {
            let case = Case::new(&model, &ids, &pictures, &[8, 6]);
            let (n_text, n_visual) = (case.prompt.n_text() + 2, case.prompt.n_visual());
            let sample = [case.observed(way_of(&ladder, way), &nothing)];
            let mut layers = 0;
            let witness = &mut |_, views: &[visor_model::LayerView<'_>]| {
                let view = &views[0];
                let own = view.seen.own.clone().unwrap();
                let rows = match view.mode {
                    LayerMode::SelfAttention => n_visual + n_text,
                    LayerMode::TextOnly | LayerMode::CrossAttention => n_text,
                };
                assert_eq!(own.dims(), [1, 4, rows, rows]);
                assert_close(&values(own.sum_dim(3)), &vec![1.0; 4 * rows], 1e-5);
                assert_eq!(view.seen.cross.is_some(), view.mode == LayerMode::CrossAttention);
                if let Some(cross) = view.seen.cross.clone() {
                    assert_eq!(cross.dims(), [1, 4, n_text, 1 + n_visual]);
                    assert_close(&values(cross.sum_dim(3)), &vec![1.0; 4 * n_text], 1e-5);
                }
                layers += 1;
                Ok(())
            };
            model.observe(&sample, Watch::Attention, witness).unwrap();
            assert_eq!(layers, N_LAYERS);
        }
    }
}

#[test]
fn with_the_picture_dropped_everywhere_no_picture_changes_an_answer() {
    let (ladder, model) = (ladder(), model(SCRATCH, 7));
    let everywhere: Dropped = (0..N_LAYERS).map(LayerIdx).collect();
    // The picture stands first: no text before it that it could have read.
    let ids = [IMAGE, 5, 9, 11, 3];
    let cases = [1, 2].map(|seed| Case::new(&model, &ids, &[picture(seed)], &[8]));
    for way in ways() {
        let of = |dropped: &Dropped| {
            let score = |case: &Case| {
                let sample = [case.observed(way_of(&ladder, way), dropped)];
                scores(&model, &sample, Watch::Streams).remove(0)
            };
            cases.each_ref().map(score)
        };
        let [one, other] = of(&everywhere);
        assert_eq!(one, other, "{way:?}");
        let [one, other] = of(&BTreeSet::new());
        assert_ne!(one, other, "{way:?}");
    }
}

#[test]
fn a_dropped_layer_of_a_rung_runs_on_the_text_alone_and_its_picture_rests() {
    let (ladder, model) = (ladder(), model(SCRATCH, 7));
    let case = Case::new(&model, &[IMAGE, 5, 9, 11, 3], &[picture(1)], &[]);
    let dropped: Dropped = [LayerIdx(3), LayerIdx(4)].into();
    let sample = [case.observed(visor_model::Way::Rung(&ladder, ladder.largest()), &dropped)];
    let mut modes = Vec::new();
    let mut pictures = Vec::new();
    let witness = &mut |_, views: &[visor_model::LayerView<'_>]| {
        modes.push(views[0].mode);
        pictures.push(values(views[0].streams.visual.clone().unwrap()));
        Ok(())
    };
    model.observe(&sample, Watch::Streams, witness).unwrap();
    use LayerMode::{CrossAttention, SelfAttention, TextOnly};
    let expected = [
        TextOnly,
        CrossAttention,
        SelfAttention,
        TextOnly,
        TextOnly,
        SelfAttention,
        CrossAttention,
    ];
    assert_eq!(modes, expected);
    assert_ne!(pictures[1], pictures[2]);
    assert_eq!(pictures[2], pictures[4]);
    assert_ne!(pictures[4], pictures[5]);
}
