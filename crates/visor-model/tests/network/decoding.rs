//! Caches, decisions and what they must not change.

use crate::support::*;
use visor_core::{Patches, PositionScheme, Schedule};
use visor_model::ModelError;
use visor_model::cache::LayerCache;
use visor_model::decoder::Pass;
use visor_model::layer::Refinement;
use visor_processor::{Arrangement, Pixels, TileGrid};
use visor_runtime::{Backbone, BackboneError, Cancel, Start};

const NEW: usize = 5;

#[test]
fn decoding_with_caches_equals_recomputing_without_at_every_level() {
    for positions in [PositionScheme::STOCK, SCRATCH] {
        let model = model(positions, 7);
        for (ids, pictures) in prompts() {
            for way in ways() {
                let capacity = prompt(&ids).n_text() + NEW;
                let (mut logits, mut state) = prefill(&model, &ids, &pictures, way, capacity);
                let mut so_far = ids.clone();
                for _ in 0..NEW {
                    let slow = slow(model.network(), &so_far, &pictures, way, positions);
                    let slow = slow.last().unwrap();
                    assert_close(&logits, slow, 1e-5);
                    assert_eq!(best(&logits), best(slow), "{way:?} {so_far:?}");
                    // An image token that is generated is an ordinary embedding, but not here.
                    let next = best(&logits) + u32::from(best(&logits) == IMAGE);
                    so_far.push(next);
                    logits = model.decode_step(&mut state, next).unwrap().0;
                }
            }
        }
    }
}

#[test]
fn the_layers_before_and_after_the_decision_equal_one_pass() {
    let network = network(7);
    for (ids, pictures) in prompts() {
        let at = placement(&[map(&ids)], SCRATCH);
        for way in ways() {
            let schedule = way.schedule();
            let whole = one_pass(&network, streams(&network, &ids, &pictures, way), &schedule, &at);
            let mut halves = streams(&network, &ids, &pictures, way);
            for layers in [0..2, 2..7] {
                let pass =
                    Pass { layers, schedule: &schedule, at: &at, refinement: Refinement::Apply };
                halves = network.decoder().run(halves, &pass, None, &mut |_, _| Ok(())).unwrap();
            }
            assert_eq!(values(halves.text), values(whole.text), "{way:?}");
        }
    }
}

#[test]
fn one_encoded_picture_serves_any_number_of_questions() {
    let (model, cancel, ladder) = (model(SCRATCH, 7), Cancel::new(), ladder());
    let pictures = [picture(1)];
    let visual = model.encode(&pictures, &cancel).unwrap();
    for ids in [[IMAGE, 5, 9, 3], [IMAGE, 8, 7, 6]] {
        for way in ways() {
            let (alone, _) = prefill(&model, &ids, &pictures, way, 8);
            let start = way.start(&ladder);
            let state =
                model.prefill_to_decision(&prompt(&ids), Some(&visual), start, 8, &cancel).unwrap();
            let (shared, _) = model.prefill_rest(state, &way.schedule(), &cancel).unwrap();
            assert_eq!(shared.0, alone);
        }
    }
}

#[test]
fn the_tiles_of_a_picture_are_one_sequence() {
    let model = model(SCRATCH, 7);
    let tiles = [1, 2, 3].map(picture);
    let mut cut = tiles[0].clone();
    cut.pixels = Pixels::concat(tiles.each_ref().map(|tile| &tile.pixels)).unwrap();
    cut.arrangement = Arrangement::Marked { grid: Some(TileGrid { rows: 1, cols: 2 }) };
    let (ids, pictures) = (vec![7, IMAGE, IMAGE, IMAGE, 5, 3], [cut]);
    for way in ways() {
        let (logits, _) = prefill(&model, &ids, &pictures, way, 8);
        let whole = slow(model.network(), &ids, &pictures, way, SCRATCH);
        assert_close(&logits, whole.last().unwrap(), 1e-5);
        let apart = slow(model.network(), &ids, &tiles, way, SCRATCH);
        let same = distance(&logits, apart.last().unwrap()) < 1e-5;
        assert_eq!(same, matches!(way, Way::Dense), "{way:?}");
    }
}

#[test]
fn a_full_cache_is_an_error_and_not_a_shift() {
    let model = model(SCRATCH, 7);
    let (ids, pictures) = (vec![IMAGE, 5, 9, 3], vec![picture(1)]);
    for way in ways() {
        let (_, mut state) = prefill(&model, &ids, &pictures, way, 4);
        model.decode_step(&mut state, 5).unwrap();
        let error = model.decode_step(&mut state, 5).unwrap_err().to_string();
        assert!(error.contains("the cache holds"), "{error}");
    }
    let schedule = Schedule::blind(7);
    let mut caches = LayerCache::for_schedule(&schedule, 2, 0);
    let at = placement(&[map(&[5, 9, 3])], SCRATCH);
    let pass = Pass { layers: 0..7, schedule: &schedule, at: &at, refinement: Refinement::Apply };
    let streams = streams(model.network(), &[5, 9, 3], &[], Way::Dense);
    let run = model.network().decoder().run(streams, &pass, Some(&mut caches), &mut |_, _| Ok(()));
    assert!(matches!(run, Err(ModelError::CacheFull { capacity: 2, wanted: 3 })));
}

#[test]
fn a_schedule_that_contradicts_the_layers_that_have_run_is_an_error() {
    let (model, cancel, ladder) = (model(SCRATCH, 7), Cancel::new(), ladder());
    let budgeted = Start::Budgeted { ladder: &ladder, routing: None, patches: Patches::All };
    for (start, schedule) in [
        (budgeted, Schedule::dense(7)),
        (budgeted, Schedule::blind(7)),
        (budgeted, Schedule::dense(3)),
    ] {
        let state = model.prefill_to_decision(&prompt(&[5, 3]), None, start, 4, &cancel).unwrap();
        let error = model.prefill_rest(state, &schedule, &cancel).unwrap_err();
        assert!(matches!(error, BackboneError::Schedule { done: 2 }), "{error}");
    }
}

#[test]
fn pictures_that_are_not_the_prompts_are_an_error() {
    let (model, cancel) = (model(SCRATCH, 7), Cancel::new());
    let visual = model.encode(&[picture(1)], &cancel).unwrap();
    for (ids, visual) in [
        (vec![5, 3], Some(&visual)),
        (vec![IMAGE, 5], None),
        (vec![IMAGE, IMAGE, 5], Some(&visual)),
    ] {
        let error =
            model.prefill_to_decision(&prompt(&ids), visual, Start::Dense, 9, &cancel).unwrap_err();
        assert!(error.to_string().contains("visual tokens"), "{error}");
    }
    let outside = prompt(&[VOCAB as u32]);
    let error = model.prefill_to_decision(&outside, None, Start::Dense, 9, &cancel).unwrap_err();
    assert!(error.to_string().contains("outside the vocabulary"), "{error}");
}

#[test]
fn a_cancelled_request_stops_at_the_next_layer() {
    let (model, cancel) = (model(SCRATCH, 7), Cancel::new());
    let pictures = [picture(1)];
    let visual = model.encode(&pictures, &cancel).unwrap();
    let ladder = ladder();
    let start = Start::Budgeted { ladder: &ladder, routing: None, patches: Patches::All };
    let prompt = prompt(&[IMAGE, 5, 3]);
    let state = model.prefill_to_decision(&prompt, Some(&visual), start, 9, &cancel).unwrap();
    cancel.cancel();
    let schedule = ladder.schedule(ladder.largest());
    let is_cancelled = |error| matches!(error, BackboneError::Cancelled(_));
    assert!(is_cancelled(model.prefill_rest(state, &schedule, &cancel).unwrap_err()));
    assert!(is_cancelled(model.encode(&pictures, &cancel).unwrap_err()));
    let again = model.prefill_to_decision(&prompt, Some(&visual), start, 9, &cancel);
    assert!(is_cancelled(again.unwrap_err()));
}
