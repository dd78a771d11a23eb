//! What layers have made of a picture before: reused, it answers as what is made anew, and runs the
//! text alone.

use super::support::*;
use std::num::NonZeroUsize;
use visor_core::cost::{DecoderShape, Flops};
use visor_core::{Ladder, LayerMode, Patches, Schedule};
use visor_model::counter::count;
use visor_model::{EncodedPictures, VisorModel};
use visor_runtime::{Backbone, Cancel, Logits, Start, Step};

const ROOM: u64 = 1 << 24;
const TOLERANCE: f32 = 1e-5;

/// Scores behind the prompt and behind one more token, and the FLOPs of the prefill.
fn ask(
    model: &VisorModel,
    visual: &EncodedPictures,
    ids: &[u32],
    start: Start<'_>,
    schedule: &Schedule,
) -> (Vec<f32>, Flops, Flops) {
    let cancel = Cancel::new();
    let ((Logits(mut scores), mut decoding), executed) = count(|| {
        let state =
            model.prefill_to_decision(&prompt(ids), Some(visual), start, 20, &cancel).unwrap();
        model.prefill_rest(state, schedule, &cancel).unwrap()
    });
    let spared = model.spared(&decoding);
    let mut step = [Step { state: &mut decoding, token: 5 }];
    let Logits(next) = model.decode_step_batch(&mut step).pop().unwrap().unwrap();
    scores.extend(next);
    (scores, executed, spared)
}

/// Prompts about one picture: in front of the question, and behind a word.
fn texts() -> [Vec<u32>; 4] {
    [
        vec![IMAGE, 5, 9, 11, 3],
        vec![IMAGE, 6, 3],
        vec![7, IMAGE, 5, 9, 3],
        vec![7, IMAGE, 8, 8, 9, 10, 11, 12, 13, 3],
    ]
}

fn encoded(model: &VisorModel) -> EncodedPictures {
    model.encode(&[picture(1)], &Cancel::new()).unwrap()
}

#[test]
fn whatever_was_asked_before_the_scores_are_those_of_a_picture_that_nobody_kept() {
    for positions in [SCRATCH, visor_core::PositionScheme::STOCK] {
        let (model, ladder) = (model(positions, 7), ladder());
        let alone = encoded(&model);
        let kept = model.keep(encoded(&model), ROOM);
        for round in 0..2 {
            for way in ways().into_iter().chain(ways().into_iter().rev()) {
                for ids in texts() {
                    let (start, schedule) = (way.start(&ladder), way.schedule());
                    let (got, executed, spared) = ask(&model, &kept, &ids, start, &schedule);
                    let (wanted, whole, none) = ask(&model, &alone, &ids, start, &schedule);
                    assert_close(&got, &wanted, TOLERANCE);
                    assert_flops(executed + spared, whole, &format!("{round} {way:?} {ids:?}"));
                    assert_eq!(none, Flops(0));
                }
            }
        }
    }
}

#[test]
fn a_second_question_runs_its_text_alone_at_every_rung_and_at_dense() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    for way in ways() {
        let kept = model.keep(encoded(&model), ROOM);
        let (start, schedule) = (way.start(&ladder), way.schedule());
        ask(&model, &kept, &texts()[0], start, &schedule);
        let second = &texts()[1];
        let (_, executed, _) = ask(&model, &kept, second, start, &schedule);
        let shape = model.card().shape.decoder;
        let (n_text, n_visual) = (second.len() - 1, GRID * GRID);
        let layer = |mode: &LayerMode| text_of_layer(&shape, *mode, n_text, n_visual);
        let position = match way {
            Way::Rung(_) => shape.conditional_position(n_visual),
            Way::Dense => Flops(0),
        };
        let text = schedule.modes().iter().map(layer).sum::<Flops>() + position + shape.head();
        assert_flops(executed, text, &format!("{way:?}"));
    }
}

/// What the text alone costs in a layer.
fn text_of_layer(shape: &DecoderShape, mode: LayerMode, n_text: usize, n_visual: usize) -> Flops {
    let own = shape.projections(n_text) + shape.ffn(n_text);
    let read = match mode {
        LayerMode::TextOnly => shape.attention(n_text, n_text),
        LayerMode::CrossAttention => {
            shape.attention(n_text, n_text)
                + shape.cross_queries(n_text)
                + shape.attention(n_text, n_visual + 1)
        }
        LayerMode::SelfAttention => shape.attention(n_text, n_text + n_visual),
    };
    own + read
}

#[test]
fn a_higher_rung_finds_the_layers_that_a_lower_one_has_refined() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let shape = model.card().shape.decoder;
    let mut found = 0;
    for (low, high) in ladder.ids().zip(ladder.ids().skip(1)) {
        let (low, high) = (ladder.schedule(low), ladder.schedule(high));
        let first = |schedule: &Schedule| {
            schedule.modes().iter().position(|mode| *mode == LayerMode::SelfAttention)
        };
        if first(&low).is_none() || first(&low) != first(&high) {
            continue;
        }
        found += 1;
        let kept = model.keep(encoded(&model), ROOM);
        let start = Way::Rung(ladder.cheapest()).start(&ladder);
        let ids = &texts()[0];
        ask(&model, &kept, ids, start, &low);
        let (_, _, spared) = ask(&model, &kept, ids, start, &high);
        let (n_text, n_visual) = (ids.len() - 1, GRID * GRID);
        let layer = shape.layer(n_text + n_visual) - shape.layer_beside(n_text, n_visual);
        assert!(spared >= layer, "{spared} of at least {layer}");
    }
    assert!(found > 0, "two rungs that begin alike");
}

#[test]
fn chosen_patches_are_gathered_from_keys_that_are_there() {
    let model = selecting_model(7);
    let ladder: Ladder = ladder();
    let alone = encoded(&model);
    let (start_all, schedule) =
        (Way::Rung(ladder.cheapest()).start(&ladder), ladder.schedule(ladder.cheapest()));
    for patches in [Patches::Auto, Patches::Count(NonZeroUsize::new(4).unwrap())] {
        let kept = model.keep(encoded(&model), ROOM);
        let start = Start::Budgeted { ladder: &ladder, routing: None, patches };
        for ids in texts() {
            let (_, _, fresh) = ask(&model, &kept, &ids, start, &schedule);
            ask(&model, &kept, &ids, start_all, &schedule);
            let (got, executed, spared) = ask(&model, &kept, &ids, start, &schedule);
            let (wanted, whole, _) = ask(&model, &alone, &ids, start, &schedule);
            assert_close(&got, &wanted, TOLERANCE);
            assert_flops(executed + spared, whole, &format!("{patches:?} {ids:?}"));
            assert!(spared > Flops(0) && spared >= fresh);
        }
    }
}

#[test]
fn the_selectors_keys_of_a_picture_are_made_once_for_all_questions() {
    let (model, ladder) = (selecting_model(7), ladder());
    let kept = model.keep(encoded(&model), ROOM);
    let schedule = ladder.schedule(ladder.cheapest());
    let shape = model.card().selector.unwrap().shape;
    let n_visual = GRID * GRID;
    // Chosen patches leave no keys of layers behind that others could use.
    let start = Start::Budgeted { ladder: &ladder, routing: None, patches: Patches::Auto };
    for (question, made) in texts().iter().zip([Flops(0), shape.keys(n_visual)]) {
        let (_, _, spared) = ask(&model, &kept, question, start, &schedule);
        assert_eq!(spared, made);
    }
}

#[test]
fn nothing_is_kept_beyond_the_room_and_answers_stay_the_same() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let alone = encoded(&model);
    let bare = model.visual_bytes(&alone);
    for room in [0, bare, bare + 100, bare + 3000, bare + 10_000] {
        let kept = model.keep(encoded(&model), room);
        for way in ways() {
            for ids in texts() {
                let (start, schedule) = (way.start(&ladder), way.schedule());
                let (got, _, _) = ask(&model, &kept, &ids, start, &schedule);
                let (wanted, _, _) = ask(&model, &alone, &ids, start, &schedule);
                assert_close(&got, &wanted, TOLERANCE);
                let bytes = model.visual_bytes(&kept);
                assert!(bytes <= room.max(bare), "{bytes} of {room}");
            }
        }
    }
}

#[test]
fn a_question_that_is_called_off_on_the_way_leaves_nothing_half_made_for_the_next() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let alone = encoded(&model);
    for way in ways() {
        let kept = model.keep(encoded(&model), ROOM);
        let (start, schedule) = (way.start(&ladder), way.schedule());
        let cancel = Cancel::new();
        let first = prompt(&texts()[0]);
        let state = model.prefill_to_decision(&first, Some(&kept), start, 20, &cancel).unwrap();
        cancel.cancel();
        model.prefill_rest(state, &schedule, &cancel).unwrap_err();
        for ids in [&texts()[0], &texts()[1]] {
            let (got, executed, spared) = ask(&model, &kept, ids, start, &schedule);
            let (wanted, whole, _) = ask(&model, &alone, ids, start, &schedule);
            assert_close(&got, &wanted, TOLERANCE);
            assert_flops(executed + spared, whole, &format!("{way:?} {ids:?}"));
        }
    }
}
