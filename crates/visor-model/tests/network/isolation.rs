//! What tokens must not learn from each other.

use crate::support::*;
use burn::tensor::{Int, Tensor, TensorData};
use visor_core::{PositionScheme, Schedule};
use visor_model::decoder::Pass;
use visor_model::layer::{Refinement, Streams};
use visor_model::{Head, Network, Placement, TextToken, TokenMap};

#[test]
fn a_future_token_cannot_change_a_past_logit() {
    let network = network(7);
    for positions in [PositionScheme::STOCK, SCRATCH] {
        for (ids, pictures) in prompts() {
            for way in ways() {
                let mut changed = ids.clone();
                *changed.last_mut().unwrap() = 13;
                let before = slow(&network, &ids, &pictures, way, positions);
                let after = slow(&network, &changed, &pictures, way, positions);
                let last = before.len() - 1;
                assert_eq!(before[..last], after[..last], "{way:?} {ids:?}");
                assert_ne!(before[last], after[last]);
            }
        }
    }
}

#[test]
fn text_does_not_see_a_picture_that_comes_later() {
    let network = network(7);
    let ids = [7, 8, IMAGE, 5, 3];
    for positions in [PositionScheme::STOCK, SCRATCH] {
        for way in ways() {
            let one = slow(&network, &ids, &[picture(1)], way, positions);
            let other = slow(&network, &ids, &[picture(2)], way, positions);
            assert_eq!(one[..2], other[..2], "{way:?}");
            assert!(distance(&one[2], &other[2]) > 1e-3, "{way:?}");
        }
    }
}

#[test]
fn what_runs_on_text_alone_does_not_depend_on_the_pixels() {
    let network = network(7);
    let blind = Schedule::blind(7);
    let ids = [IMAGE, 5, 9, 3];
    let at = placement(&[map(&ids)], SCRATCH);
    let text = |seed| {
        let streams = streams(&network, &ids, &[picture(seed)], Way::Dense);
        values(one_pass(&network, streams, &blind, &at).text)
    };
    assert_eq!(text(1), text(2));
}

#[test]
fn the_visual_stream_does_not_depend_on_a_question_that_follows_it() {
    let network = network(7);
    for positions in [PositionScheme::STOCK, SCRATCH] {
        for way in ways() {
            let visual = |question: &[u32]| {
                let ids = [&[IMAGE], question].concat();
                let at = placement(&[map(&ids)], positions);
                let schedule = way.schedule();
                let pass = Pass {
                    layers: 0..7,
                    schedule: &schedule,
                    at: &at,
                    refinement: Refinement::Apply,
                };
                let mut seen = Vec::new();
                let streams = streams(&network, &ids, &[picture(1)], way);
                network
                    .decoder()
                    .run(streams, &pass, None, &mut |_, streams| {
                        seen.push(values(streams.visual.clone().unwrap()));
                        Ok(())
                    })
                    .unwrap();
                seen
            };
            for (one, other) in visual(&[5, 9, 3]).iter().zip(visual(&[8, 7, 6, 11, 3])) {
                assert_close(one, &other, 1e-5);
            }
        }
    }
}

#[test]
fn patches_see_later_patches_of_their_picture_only_where_the_scheme_says_so() {
    let network = network(7);
    let ids = [IMAGE, IMAGE, 5];
    let first_patch = |second: u64, positions| {
        let at = placement(&[map(&ids)], positions);
        let streams = streams(&network, &ids, &[picture(1), picture(second)], Way::Dense);
        let [_, v, e] = streams.visual.as_ref().unwrap().dims();
        // The last patch of the first picture is changed by hand.
        let bumped = |by: f32| {
            let visual = streams.visual.clone().unwrap();
            let place = [0..1, v / 2 - 1..v / 2, 0..e];
            let patch = visual.clone().slice(place.clone()) + by;
            let visual = Some(visual.slice_assign(place, patch));
            let streams = Streams { text: streams.text.clone(), visual };
            let out = one_pass(&network, streams, &Schedule::dense(7), &at).visual.unwrap();
            values(out.narrow(1, 0, 1))
        };
        (bumped(0.0), bumped(1.0))
    };
    let (before, after) = first_patch(2, PositionScheme::STOCK);
    assert_eq!(before, after);
    let (before, after) = first_patch(2, SCRATCH);
    assert!(distance(&before, &after) > 1e-3);
    // But never those of a later picture.
    assert_eq!(first_patch(2, SCRATCH).0, first_patch(3, SCRATCH).0);
}

#[test]
fn a_row_of_a_batch_equals_the_sample_alone() {
    let network = network(7);
    let samples = [([IMAGE, 5, 9, 11, 3], picture(1)), ([IMAGE, 8, 7, 6, 10], picture(2))];
    for positions in [PositionScheme::STOCK, SCRATCH] {
        for way in ways() {
            let alone = samples.each_ref().map(|(ids, picture)| {
                let pictures = std::slice::from_ref(picture);
                slow(&network, ids, pictures, way, positions).concat()
            });
            let each = samples
                .each_ref()
                .map(|(ids, picture)| streams(&network, ids, std::slice::from_ref(picture), way));
            let text = Tensor::cat(each.iter().map(|s| s.text.clone()).collect(), 0);
            let visual = Tensor::cat(each.iter().flat_map(|s| s.visual.clone()).collect(), 0);
            let maps = samples.each_ref().map(|(ids, _)| map(ids));
            let at = placement(&maps, positions);
            let streams = Streams { text, visual: Some(visual) };
            let batch = one_pass(&network, streams, &way.schedule(), &at);
            let together = logits(&network, batch.text).concat();
            assert_close(&together, &alone.concat(), 1e-5);
        }
    }
}

#[test]
fn two_questions_packed_in_one_sequence_equal_two_prompts() {
    let network = network(7);
    let pictures = [picture(1)];
    let questions: [&[u32]; 2] = [&[5, 9, 3], &[8, 7, 6, 11, 3]];
    for positions in [PositionScheme::STOCK, SCRATCH] {
        for way in ways() {
            let alone: Vec<Vec<f32>> = questions
                .iter()
                .flat_map(|question| {
                    let ids = [&[IMAGE], *question].concat();
                    slow(&network, &ids, &pictures, way, positions)
                })
                .collect();
            // Both begin right behind the picture, and neither sees the other.
            let visual = map(&[IMAGE, 5]).visual;
            let text = questions.iter().enumerate().flat_map(|(segment, question)| {
                let place = move |i| TextToken { position: GRID * GRID + i, segment };
                (0..question.len()).map(place)
            });
            let packed = TokenMap { text: text.collect(), visual };
            let ids = [&[IMAGE], questions[0], questions[1]].concat();
            let at = placement(&[packed], positions);
            let streams = streams(&network, &ids, &pictures, way);
            let together = logits(&network, one_pass(&network, streams, &way.schedule(), &at).text);
            assert_close(&together.concat(), &alone.concat(), 1e-5);
        }
    }
}

#[test]
fn a_patch_that_a_filter_hides_is_not_read_by_cross_attention() {
    let network = network(7);
    let ids = [IMAGE, 5, 9, 3];
    let way = Way::Rung(ladder().cheapest());
    let rotary = config().text.rotary(SCRATCH.rotary);
    // The second text token alone may not read the fifth patch.
    let hide = |_: usize, text: usize, patch: usize| text != 1 || patch != 4;
    let text = |filter, bump: f32| {
        let maps = [map(&ids)];
        let at = Placement::prefill(&maps, rotary, SCRATCH.image_mask, filter, &cpu());
        let streams = streams(&network, &ids, &[picture(1)], way);
        let visual = streams.visual.unwrap();
        let place = [0..1, 4..5, 0..32];
        let patch = visual.clone().slice(place.clone()) + bump;
        let visual = Some(visual.slice_assign(place, patch));
        let streams = Streams { text: streams.text, visual };
        // One layer that reads: later ones would pass on what the neighbours have read.
        let schedule = way.schedule();
        let pass =
            Pass { layers: 1..2, schedule: &schedule, at: &at, refinement: Refinement::Apply };
        let out = network.decoder().run(streams, &pass, None, &mut |_, _| Ok(())).unwrap();
        values(out.text.narrow(1, 1, 1))
    };
    // Self-attention within that layer still brings what the first token has read.
    let none = |_: usize, _: usize, patch: usize| patch != 4;
    assert_eq!(text(Some(&none), 0.0), text(Some(&none), 1.0));
    assert!(distance(&text(None, 0.0), &text(None, 1.0)) > 1e-3);
    assert_ne!(text(Some(&hide), 0.0), text(None, 0.0));
}

#[test]
fn folding_the_gates_changes_no_logit() {
    let folded = network(7).fold_gates();
    for (ids, pictures) in prompts() {
        for way in ways() {
            let plain = slow(&network(7), &ids, &pictures, way, SCRATCH).concat();
            let folded = slow(&folded, &ids, &pictures, way, SCRATCH).concat();
            assert_close(&folded, &plain, 1e-5);
        }
    }
}

#[test]
fn a_closed_gate_leaves_the_text_as_it_was() {
    let (config, extension) = (config(), extension());
    let build = |gate: f32| {
        let network = Network::new(&config, Some(&extension), Head::Tied, &cpu());
        visor_model::weights::fill(network, &cpu(), &mut |name, shape| {
            Ok(if name.ends_with("gate") { vec![gate] } else { value(7, name, shape) })
        })
        .unwrap()
    };
    let ids: Tensor<2, Int> = Tensor::from_data(TensorData::new(vec![5_i64, 9, 3], [1, 3]), &cpu());
    let way = Way::Rung(ladder().cheapest());
    let closed = slow(&build(0.0), &[IMAGE, 5, 9, 3], &[picture(1)], way, SCRATCH).concat();
    let network = build(0.0);
    let at = placement(&[map(&[IMAGE, 5, 9, 3])], SCRATCH);
    let text = network.decoder().embed(ids);
    let streams = Streams { text, visual: None };
    let blind = one_pass(&network, streams, &Schedule::blind(7), &at);
    assert_close(&closed, &logits(&network, blind.text).concat(), 1e-6);
}
