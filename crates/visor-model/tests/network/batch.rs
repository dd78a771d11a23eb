//! A batch equals its samples alone: the stages of a model.

use crate::support::*;
use burn::tensor::Tensor;
use visor_core::cost::Flops;
use visor_core::{Ladder, Patches, Schedule};
use visor_model::counter::count;
use visor_model::init::Noise;
use visor_model::{EncodedPictures, VisorModel};
use visor_processor::{Arrangement, EncodedPrompt, TileGrid};
use visor_runtime::{
    Backbone, BackboneError, Cancel, Encode, Logits, Prefill, Remaining, RoutingToken, Start, Step,
};

/// Steps after the first token.
const STEPS: usize = 3;

/// A sample of the tests.
pub(crate) struct Case {
    prompt: EncodedPrompt,
    visual: Option<EncodedPictures>,
    way: Way,
    routing: Option<RoutingToken>,
    /// Text tokens that the caches hold beyond the prompt's.
    room: usize,
    cancel: Cancel,
}

impl Case {
    fn new(model: &VisorModel, ids: &[u32], way: Way) -> Self {
        let pictures: Vec<_> =
            (1..).zip(ids.iter().filter(|id| **id == IMAGE)).map(|(i, _)| picture(i)).collect();
        let cancel = Cancel::new();
        let visual = (!pictures.is_empty()).then(|| model.encode(&pictures, &cancel).unwrap());
        Self { prompt: prompt(ids), visual, way, routing: None, room: STEPS, cancel }
    }

    fn prefill<'a>(&'a self, ladder: &'a Ladder) -> Prefill<'a, EncodedPictures> {
        let start = match self.way {
            Way::Rung(_) => {
                Start::Budgeted { ladder, routing: self.routing.as_ref(), patches: Patches::All }
            }
            Way::Dense => Start::Dense,
        };
        let capacity = self.prompt.n_text() + self.room;
        let visual = self.visual.iter().collect();
        Prefill { prompt: &self.prompt, visual, start, capacity, cancel: &self.cancel }
    }
}

/// Every prompt at every level, rungs with a routing token and without.
pub(crate) fn cases(model: &VisorModel) -> Vec<Case> {
    let routing = Some(RoutingToken(value(3, "routing", &[32])));
    let mut cases = Vec::new();
    for (ids, _) in prompts() {
        for way in ways() {
            cases.push(Case::new(model, &ids, way));
            if let Way::Rung(_) = way {
                cases.push(Case { routing: routing.clone(), ..Case::new(model, &ids, way) });
            }
        }
    }
    cases
}

/// All stages of some samples together, the best token taken at every step: the logits of each.
pub(crate) fn run(model: &VisorModel, cases: &[&Case]) -> Vec<Vec<Logits>> {
    let ladder = ladder();
    let prefills: Vec<_> = cases.iter().map(|case| case.prefill(&ladder)).collect();
    let states = model.prefill_to_decision_batch(&prefills);
    let schedules: Vec<Schedule> = cases.iter().map(|case| case.way.schedule()).collect();
    let remaining = states.into_iter().zip(&schedules).zip(cases);
    let remaining = remaining.map(|((state, schedule), case)| {
        let (state, cancel) = (state.unwrap(), &case.cancel);
        Remaining { state, schedule, cancel }
    });
    let first = model.prefill_rest_batch(remaining.collect());
    let (mut all, mut states): (Vec<_>, Vec<_>) = first
        .into_iter()
        .map(|first| first.unwrap())
        .map(|(logits, state)| (vec![logits], state))
        .unzip();
    for _ in 0..STEPS {
        let last = all.iter().map(|logits| best(&logits.last().unwrap().0));
        let mut steps: Vec<_> =
            states.iter_mut().zip(last).map(|(state, token)| Step { state, token }).collect();
        for (all, logits) in all.iter_mut().zip(model.decode_step_batch(&mut steps)) {
            all.push(logits.unwrap());
        }
    }
    all
}

#[track_caller]
pub(crate) fn assert_same(together: &[Logits], alone: &[Logits], tolerance: f32) {
    assert_eq!(together.len(), alone.len());
    for (Logits(together), Logits(alone)) in together.iter().zip(alone) {
        assert_close(together, alone, tolerance);
        assert_eq!(best(together), best(alone));
    }
}

/// A shuffled order, cut into batches of one to eight.
fn partition(n: usize, noise: &mut Noise) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..n).collect();
    (1..n).rev().for_each(|i| order.swap(i, noise.below(i + 1)));
    let mut batches = Vec::new();
    while !order.is_empty() {
        let size = (1 + noise.below(8)).min(order.len());
        batches.push(order.split_off(order.len() - size));
    }
    batches
}

#[test]
fn samples_of_any_lengths_and_rungs_in_any_batch_equal_the_samples_alone() {
    for positions in [visor_core::PositionScheme::STOCK, SCRATCH] {
        let model = model(positions, 7);
        let cases = cases(&model);
        let alone: Vec<_> = cases.iter().map(|case| run(&model, &[case]).remove(0)).collect();
        let mut noise = Noise::new(1, "partitions");
        for batch in (0..6).flat_map(|_| partition(cases.len(), &mut noise)) {
            let samples: Vec<&Case> = batch.iter().map(|&index| &cases[index]).collect();
            for (together, &index) in run(&model, &samples).iter().zip(&batch) {
                assert_same(together, &alone[index], 1e-5);
            }
        }
    }
}

#[test]
fn a_batch_executes_exactly_what_its_samples_execute() {
    let model = model(SCRATCH, 7);
    let cases = cases(&model);
    let alone: Flops = cases.iter().map(|case| count(|| run(&model, &[case])).1).sum();
    let all: Vec<&Case> = cases.iter().collect();
    let (_, together) = count(|| run(&model, &all));
    assert_flops(together, alone, "a batch");
}

#[test]
fn the_routing_states_of_a_batch_are_those_of_its_samples() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let cases = cases(&model);
    let state = |cases: &[&Case]| {
        let prefills: Vec<_> = cases.iter().map(|case| case.prefill(&ladder)).collect();
        let states = model.prefill_to_decision_batch(&prefills);
        states.iter().map(|state| model.routing_state(state.as_ref().unwrap())).collect::<Vec<_>>()
    };
    let all: Vec<&Case> = cases.iter().collect();
    for (case, together) in cases.iter().zip(state(&all)) {
        let alone = state(&[case]).remove(0);
        for (together, alone) in
            [(together.token, alone.token), (together.visual_mean, alone.visual_mean)]
        {
            assert_close(&together.unwrap_or_default(), &alone.unwrap_or_default(), 1e-5);
        }
    }
}

#[test]
fn a_prompt_that_cannot_run_fails_alone() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let way = Way::Rung(ladder.largest());
    let case = |ids: &[u32]| Case::new(&model, ids, way);
    let sound = case(&[IMAGE, 5, 9, 3]);
    let called_off = case(&[IMAGE, 5]);
    called_off.cancel.cancel();
    let cramped = case(&[IMAGE, 5, 9, 11]);
    let pictureless = Case { visual: None, ..case(&[IMAGE, 5, 9]) };
    let foreign = Case { prompt: prompt(&[VOCAB as u32]), ..case(&[5]) };
    let narrow = Case { routing: Some(RoutingToken(vec![0.0; 3])), ..case(&[5]) };
    let cases = [&called_off, &sound, &cramped, &pictureless, &sound, &foreign, &narrow];
    let mut prefills: Vec<_> = cases.iter().map(|case| case.prefill(&ladder)).collect();
    prefills[2].capacity = 2;
    let results = model.prefill_to_decision_batch(&prefills);
    let expected = [
        Some("cancelled"),
        None,
        Some("the cache holds 2 positions and 3 are needed"),
        Some("visual tokens"),
        None,
        Some("outside the vocabulary"),
        Some("the routing token has 3 values"),
    ];
    let mut sound_ones = Vec::new();
    for (result, expected) in results.into_iter().zip(expected) {
        match (result, expected) {
            (Ok(state), None) => sound_ones.push(state),
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (result, expected) => panic!("{result:?}, expected {expected:?}"),
        }
    }
    // A schedule of another prefix is the failure of one sample, too.
    let (right, wrong) = (way.schedule(), Schedule::dense(7));
    let remaining = sound_ones.into_iter().zip([&wrong, &right]);
    let remaining = remaining
        .map(|(state, schedule)| Remaining { state, schedule, cancel: &sound.cancel })
        .collect();
    let mut results = model.prefill_rest_batch(remaining);
    let (logits, _) = results.pop().unwrap().unwrap();
    assert_same(&[logits], &run(&model, &[&sound])[0][..1], 1e-5);
    let refused = results.pop().unwrap().unwrap_err();
    assert!(matches!(refused, BackboneError::Schedule { done: 2 }), "{refused}");
}

#[test]
fn a_full_cache_or_an_unknown_token_ends_one_sample_of_a_step_and_changes_no_other() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let way = Way::Rung(ladder.largest());
    let sound = Case::new(&model, &[IMAGE, 5, 9, 3], way);
    let full = Case { room: 0, ..Case::new(&model, &[IMAGE, 8, 7], way) };
    let mut states: Vec<_> = [&sound, &full, &sound, &sound]
        .map(|case| {
            let Case { prompt, visual, cancel, room, .. } = case;
            let capacity = prompt.n_text() + room;
            let start = way.start(&ladder);
            let visual = visual.as_ref();
            let state = model.prefill_to_decision(prompt, visual, start, capacity, cancel).unwrap();
            model.prefill_rest(state, &way.schedule(), cancel).unwrap().1
        })
        .into();
    let mut alone = states.pop().unwrap();
    for token in [5, 9] {
        let alone = model.decode_step(&mut alone, token).unwrap();
        let tokens = [token, token, VOCAB as u32];
        let mut steps: Vec<_> =
            states.iter_mut().zip(tokens).map(|(state, token)| Step { state, token }).collect();
        let results = model.decode_step_batch(&mut steps);
        let [Ok(logits), Err(full), Err(unknown)] = results.as_slice() else {
            panic!("{results:?}")
        };
        assert_same(std::slice::from_ref(logits), &[alone], 1e-5);
        assert!(full.to_string().contains("the cache holds 2 positions and 3"), "{full}");
        assert!(unknown.to_string().contains("outside the vocabulary"), "{unknown}");
    }
}

#[test]
fn a_pass_stops_between_layers_once_everyone_has_called_it_off() {
    let (model, ladder) = (model(SCRATCH, 7), ladder());
    let case = |way| Case::new(&model, &[IMAGE, 5, 9, 3], way);
    let way = Way::Rung(ladder.largest());
    let (one, other) = (case(way), case(way));
    let prefill = || {
        let states =
            model.prefill_to_decision_batch(&[one.prefill(&ladder), other.prefill(&ladder)]);
        states.into_iter().map(|state| state.unwrap()).collect::<Vec<_>>()
    };
    let schedule = way.schedule();
    let rest = |states: Vec<_>| {
        let remaining = states.into_iter().zip([&one, &other]).map(|(state, case)| Remaining {
            state,
            schedule: &schedule,
            cancel: &case.cancel,
        });
        model.prefill_rest_batch(remaining.collect())
    };
    let (before, again) = (prefill(), prefill());
    one.cancel.cancel();
    let (results, whole) = count(|| rest(before));
    assert!(matches!(results[0], Err(BackboneError::Cancelled(_))));
    assert_same(
        &[results[1].as_ref().unwrap().0.clone()],
        &run(&model, &[&case(way)])[0][..1],
        1e-5,
    );
    other.cancel.cancel();
    let (results, part) = count(|| rest(again));
    assert!(results.iter().all(|result| matches!(result, Err(BackboneError::Cancelled(_)))));
    assert!(part * 3 < whole, "{part} of {whole}");
}

/// What pictures are encoded to, `[N, E]` of each place, one after another.
fn values(encoded: &EncodedPictures) -> Vec<f32> {
    let values = |x: &Tensor<3>| x.clone().into_data().try_to_vec::<f32>().unwrap();
    encoded.pictures().iter().flat_map(values).collect()
}

#[test]
fn pictures_of_many_samples_encoded_together_equal_each_alone() {
    let (model, cancel) = (model(SCRATCH, 7), Cancel::new());
    // More tiles than run at once, and samples across two batches.
    let wide = self::model(SCRATCH, 7);
    let patches = wide.network().vision().n_patches();
    let wide = wide.with_encoder_batch(4 * patches);
    let counts = [1, 2, 3, 5];
    let mut seeds = 1..;
    let pictures: Vec<Vec<_>> =
        counts.map(|n| seeds.by_ref().take(n).map(picture).collect()).into();
    let sample = |pictures| Encode { pictures, owners: vec![&cancel] };
    let samples: Vec<_> = pictures.iter().map(|pictures| sample(pictures)).collect();
    for (together, pictures) in wide.encode_batch(&samples).into_iter().zip(&pictures) {
        let together = together.unwrap();
        let alone = pictures.iter().map(|one| model.encode(std::slice::from_ref(one), &cancel));
        let alone: Vec<f32> = alone.flat_map(|one| values(&one.unwrap())).collect();
        assert_eq!(together.pictures().len(), pictures.len());
        assert_close(&values(&together), &alone, 1e-6);
    }
}

#[test]
fn a_sample_that_cannot_be_encoded_or_is_called_off_leaves_the_others_unharmed() {
    let (model, cancel, off) = (model(SCRATCH, 7), Cancel::new(), Cancel::new());
    off.cancel();
    let (whole, mut torn) = ([picture(1)], [picture(2)]);
    torn[0].arrangement = Arrangement::Marked { grid: Some(TileGrid { rows: 1, cols: 2 }) };
    let sample = |pictures, owners| Encode { pictures, owners };
    let results = model.encode_batch(&[
        sample(&torn, vec![&cancel]),
        sample(&whole, vec![&off]),
        sample(&whole, vec![&off, &cancel]),
        sample(&[], vec![&cancel]),
    ]);
    let [torn, called_off, wanted, empty] = results.try_into().unwrap();
    assert!(torn.unwrap_err().to_string().contains("was not prepared whole"));
    assert!(matches!(called_off.unwrap_err(), BackboneError::Cancelled(_)));
    assert_eq!(values(&wanted.unwrap()), values(&model.encode(&whole, &cancel).unwrap()));
    assert!(empty.is_err());
}
