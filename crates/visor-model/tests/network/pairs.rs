//! Pairs of a rung and a number of patches: chosen at the decision, read behind it.

use super::support::*;
use std::num::NonZeroUsize;
use visor_core::cost::{Decode, Keys, Prompt};
use visor_core::{Ladder, Pair, Patches};
use visor_model::VisorModel;
use visor_model::counter::count;
use visor_model::decoder::Pass;
use visor_model::layer::Refinement;
use visor_processor::ProcessedPicture;
use visor_runtime::{Backbone, Cancel, Logits, Start};

/// Every rung with three patches beside it.
fn paired() -> (VisorModel, Ladder) {
    let patches = NonZeroUsize::new(3).unwrap();
    let pair = |rung: &visor_core::Rung| Pair { rung: rung.name().to_owned(), patches };
    let pairs: Vec<Pair> = ladder().rungs().iter().map(pair).collect();
    let model = selecting_model(7).with_pairs(&pairs).unwrap();
    let ladder = model.card().ladder.clone().unwrap();
    (model, ladder)
}

fn with_pictures() -> impl Iterator<Item = (Vec<u32>, Vec<ProcessedPicture>)> {
    prompts().into_iter().filter(|(_, pictures)| !pictures.is_empty())
}

#[test]
fn a_pair_reads_every_patch_before_its_decision_and_the_chosen_ones_behind_it() {
    let ((model, ladder), cancel) = (paired(), Cancel::new());
    let (network, decision) = (model.network(), ladder.decision_layer().0);
    for (ids, pictures) in with_pictures() {
        let visual = model.encode(&pictures, &cancel).unwrap();
        for rung in ladder.ids().filter(|rung| ladder.rung(*rung).patches().is_some()) {
            let schedule = ladder.schedule(rung);
            let start = Start::Budgeted { ladder: &ladder, routing: None, patches: Patches::All };
            let prompt = prompt(&ids);
            let mut state =
                model.prefill_to_decision(&prompt, Some(&visual), start, 20, &cancel).unwrap();
            assert!(model.selection(&state).is_none());
            model.select(&mut state, 3).unwrap();
            let chosen = model.selection(&state).unwrap().patches.clone();
            let (Logits(got), mut decoding) =
                model.prefill_rest(state, &schedule, &cancel).unwrap();

            let reference = |ids: &[u32]| {
                let (all, active) = (self::ladder(), ladder.rung(rung).active());
                let plain = all.ids().find(|id| all.rung(*id).active() == active).unwrap();
                let streams = streams(network, ids, &pictures, Way::Rung(plain));
                let whole = placement(&[map(ids)], SCRATCH);
                let narrow = whole.clone().with_patches(&chosen, &cpu());
                let run = |streams, layers, at| {
                    let pass =
                        Pass { layers, schedule: &schedule, at, refinement: Refinement::Apply };
                    network.decoder().run(streams, &pass, None, &mut |_, _| Ok(())).unwrap()
                };
                let streams = run(streams, 0..decision, &whole);
                let streams = run(streams, decision..schedule.modes().len(), &narrow);
                logits(network, streams.text).pop().unwrap()
            };
            assert_close(&got, &reference(&ids), 1e-5);
            // A step reads the caches as they were filled: whole before the decision.
            let Logits(step) = model.decode_step(&mut decoding, 8).unwrap();
            assert_close(&step, &reference(&[ids.clone(), vec![8]].concat()), 1e-5);
        }
    }
}

#[test]
fn a_pair_chooses_the_patches_that_the_same_number_chooses_for_all_looks() {
    let ((model, ladder), cancel) = (paired(), Cancel::new());
    for (ids, pictures) in with_pictures() {
        let visual = model.encode(&pictures, &cancel).unwrap();
        let chosen = |patches| {
            let start = Start::Budgeted { ladder: &ladder, routing: None, patches };
            let mut state = model
                .prefill_to_decision(&prompt(&ids), Some(&visual), start, 20, &cancel)
                .unwrap();
            if patches == Patches::All {
                model.select(&mut state, 3).unwrap();
            }
            model.selection(&state).unwrap().clone()
        };
        let three = Patches::Count(NonZeroUsize::new(3).unwrap());
        assert_eq!(chosen(Patches::All), chosen(three));
    }
}

#[test]
fn a_pair_executes_what_the_formula_says() {
    let ((model, ladder), cancel) = (paired(), Cancel::new());
    let card = model.card();
    let from = ladder.decision_layer().0;
    for (ids, pictures) in with_pictures() {
        let prompt = prompt(&ids).with_question(1..3);
        let visual = model.encode(&pictures, &cancel).unwrap();
        for rung in ladder.ids().filter(|rung| ladder.rung(*rung).patches().is_some()) {
            let schedule = ladder.schedule(rung);
            let start = Start::Budgeted { ladder: &ladder, routing: None, patches: Patches::All };
            let (mut decoding, flops) = count(|| {
                let mut state =
                    model.prefill_to_decision(&prompt, Some(&visual), start, 9, &cancel).unwrap();
                model.select(&mut state, 3).unwrap();
                model.prefill_rest(state, &schedule, &cancel).unwrap().1
            });
            let keys =
                Keys::Selected { n_keys: 3, from, selector: Some(card.selector.unwrap().shape) };
            let (n_text, n_visual) = (prompt.n_text(), prompt.n_visual());
            let sizes = Prompt { n_text, n_question: 2, n_visual, n_tiles: pictures.len(), keys };
            let formula = card.shape.scopes(&schedule, sizes, None);
            assert_flops(flops, formula.lm_prefill + sizes.selection(), &format!("{ids:?}"));
            let (_, flops) = count(|| model.decode_step(&mut decoding, 5).unwrap());
            let at = Decode { context: n_text + 1, n_visual, looks: sizes.looks() };
            assert_flops(flops, card.shape.decoder.decode_step(&schedule, at), "a step");
        }
    }
}

#[test]
fn a_model_without_selector_has_no_pairs() {
    let pair = Pair { rung: "sa0".to_owned(), patches: NonZeroUsize::MIN };
    let error = model(SCRATCH, 7).with_pairs(&[pair]).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no patch selector"), "{error}");
    assert!(model(SCRATCH, 7).with_pairs(&[]).is_ok());
}

#[test]
fn a_pair_leaves_what_is_kept_of_a_picture_alone_and_reads_its_own_patches() {
    let ((model, ladder), cancel) = (paired(), Cancel::new());
    let (ids, pictures) = with_pictures().find(|(_, pictures)| pictures.len() == 1).unwrap();
    let prompt = prompt(&ids);
    let kept = model.keep(model.encode(&pictures, &cancel).unwrap(), 1 << 24);
    let alone = model.encode(&pictures, &cancel).unwrap();
    let answer = |visual: &_, pair: bool| {
        let start = Start::Budgeted { ladder: &ladder, routing: None, patches: Patches::All };
        let mut state =
            model.prefill_to_decision(&prompt, Some(visual), start, 20, &cancel).unwrap();
        if pair {
            model.select(&mut state, 3).unwrap();
        }
        let schedule = ladder.schedule(ladder.cheapest());
        let (Logits(logits), _) = model.prefill_rest(state, &schedule, &cancel).unwrap();
        logits.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
    };
    // Whole, pair, whole, pair: neither leaves anything that changes the other.
    for pair in [false, true, false, true] {
        assert_eq!(answer(&kept, pair), answer(&alone, pair), "{pair}");
    }
    assert_ne!(answer(&kept, true), answer(&kept, false));
}
