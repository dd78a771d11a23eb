//! The same at every rung and at dense, in every family: goldens as universal checkpoints, whose
//! cross-attention has random weights and open gates.

use crate::equivalence::{PROMPTS, apart, placement, streams};
use crate::support::*;
use visor::{Model, Picture, Prepared, VisorModel};
use visor_core::{LayerMode, Patches, Schedule};
use visor_model::decoder::Pass;
use visor_model::layer::Refinement;
use visor_model::{Decoding, EncodedPictures};
use visor_processor::EncodedPrompt;
use visor_runtime::{Backbone, Cancel, Logits, Prefill, Remaining, Start, Step};

const MORE: [u32; 3] = [5, 9, 11];

/// What a prompt may run at.
struct Level<'a> {
    name: &'a str,
    start: Start<'a>,
    schedule: Schedule,
}

fn levels(model: &Model) -> Vec<Level<'_>> {
    let ladder = model.card().ladder.as_ref().unwrap();
    let start = Start::Budgeted { ladder, routing: None, patches: Patches::All };
    let rung = |id| Level { name: ladder.rung(id).name(), start, schedule: ladder.schedule(id) };
    let schedule = Schedule::dense(ladder.layout().n_layers());
    let dense = Level { name: "dense", start: Start::Dense, schedule };
    ladder.ids().map(rung).chain([dense]).collect()
}

/// A prompt with its encoded pictures.
struct Asked<'a> {
    network: &'a VisorModel,
    prompt: EncodedPrompt,
    visual: Option<EncodedPictures>,
}

impl<'a> Asked<'a> {
    fn new(model: &'a Model, prepared: &Prepared) -> Self {
        let network = runner(model).model();
        let pictures = prepared.pictures();
        let encode = || network.encode(pictures, &Cancel::new()).unwrap();
        let visual = (!pictures.is_empty()).then(encode);
        Self { network, prompt: prepared.prompt().clone(), visual }
    }

    fn all(model: &'a Model) -> Vec<Self> {
        let asked = |pictures| Self::new(model, &model.prepare(question(pictures)).unwrap());
        PROMPTS.map(asked).into()
    }

    /// The prompt, and `MORE` behind it in one pass.
    fn at_once(&self, level: &Level<'_>) -> Vec<f32> {
        let longer = Self {
            network: self.network,
            prompt: self.prompt.continued(&MORE),
            visual: self.visual.clone(),
        };
        longer.prefill(level).0.0
    }

    fn prefill(&self, level: &Level<'_>) -> (Logits, Decoding) {
        let (visual, cancel) = (self.visual.as_ref(), Cancel::new());
        let capacity = self.prompt.n_text() + MORE.len();
        let state = self
            .network
            .prefill_to_decision(&self.prompt, visual, level.start, capacity, &cancel)
            .unwrap();
        self.network.prefill_rest(state, &level.schedule, &cancel).unwrap()
    }

    /// The scores behind the prompt and behind each of `MORE`.
    fn steps(&self, level: &Level<'_>) -> Vec<Logits> {
        let (first, mut state) = self.prefill(level);
        let step = |id| self.network.decode_step(&mut state, id).unwrap();
        [first].into_iter().chain(MORE.map(step)).collect()
    }
}

#[test]
fn decode_steps_equal_a_prefill_of_all_tokens_at_every_level_of_every_family() {
    for name in ALL {
        let copy = universal(name);
        let model = copy.load().unwrap();
        for asked in Asked::all(&model) {
            for level in levels(&model) {
                let steps = asked.steps(&level);
                let at_once = asked.at_once(&level);
                let images = asked.prompt.images();
                assert!(apart(&steps[3].0, &at_once) < 2e-5, "{name}, {}, {images:?}", level.name);
            }
        }
    }
}

#[test]
fn scores_of_a_batch_of_all_levels_are_those_of_its_rows_alone_in_every_family() {
    for name in ALL {
        let copy = universal(name);
        let model = copy.load().unwrap();
        let (asked, levels, cancel) = (Asked::all(&model), levels(&model), Cancel::new());
        let rows: Vec<(&Asked<'_>, &Level<'_>)> =
            asked.iter().flat_map(|asked| levels.iter().map(move |level| (asked, level))).collect();
        let network = runner(&model).model();
        let samples = rows.iter().map(|(asked, level)| Prefill {
            prompt: &asked.prompt,
            visual: asked.visual.iter().collect(),
            start: level.start,
            capacity: asked.prompt.n_text() + MORE.len(),
            cancel: &cancel,
        });
        let states = network.prefill_to_decision_batch(&samples.collect::<Vec<_>>());
        let remaining = states.into_iter().zip(&rows).map(|(state, (_, level))| Remaining {
            state: state.unwrap(),
            schedule: &level.schedule,
            cancel: &cancel,
        });
        let begun = network.prefill_rest_batch(remaining.collect());
        let (first, mut states): (Vec<Logits>, Vec<Decoding>) =
            begun.into_iter().map(Result::unwrap).unzip();
        let mut together = vec![first];
        for token in MORE {
            let mut steps: Vec<_> = states.iter_mut().map(|state| Step { state, token }).collect();
            let scores = network.decode_step_batch(&mut steps);
            together.push(scores.into_iter().map(Result::unwrap).collect());
        }
        for (row, (asked, level)) in rows.iter().enumerate() {
            for (step, alone) in asked.steps(level).iter().enumerate() {
                let distance = apart(&together[step][row].0, &alone.0);
                assert!(distance < 2e-5, "{name}, {}, row {row}, step {step}", level.name);
            }
        }
    }
}

#[test]
fn two_samples_of_one_model_do_not_touch_each_other_in_any_family() {
    for name in ALL {
        let copy = universal(name);
        let model = copy.load().unwrap();
        let (asked, levels) = (Asked::all(&model), levels(&model));
        let [one, other] = [&asked[1], &asked[4]];
        for (level, beside) in levels.iter().zip(levels.iter().rev()) {
            let alone = one.steps(level);
            let (first, mut state) = one.prefill(level);
            let (_, mut second) = other.prefill(beside);
            let mut scores = vec![first];
            for id in MORE {
                other.network.decode_step(&mut second, 7).unwrap();
                scores.push(one.network.decode_step(&mut state, id).unwrap());
            }
            assert_eq!(scores, alone, "{name}, {}", level.name);
        }
    }
}

/// A question about the photograph, and about its negative.
fn two_looks(model: &Model) -> [Prepared; 2] {
    let photo = picture("photo");
    let negative = photo.rgb().iter().map(|level| 255 - level).collect();
    let negative = Picture::from_rgb(photo.width(), photo.height(), negative).unwrap();
    [photo, negative].map(|shown| model.prepare(question(&[]).picture(shown)).unwrap())
}

/// Both streams behind every layer, as they go on: text, then picture.
fn behind_layers(model: &Model, prepared: &Prepared, schedule: &Schedule) -> Vec<[Vec<f32>; 2]> {
    let network = runner(model).model();
    let at = placement(network, prepared.prompt());
    let layers = 0..schedule.modes().len();
    let pass = Pass { layers, schedule, at: &at, refinement: Refinement::Apply };
    let begin = streams(network, prepared);
    let host = |x: burn::tensor::Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
    let both = |text, visual: Option<_>| [host(text), visual.map(host).unwrap()];
    let mut seen = vec![both(begin.text.clone(), begin.visual.clone())];
    let decoder = network.network().decoder();
    decoder
        .run(begin, &pass, None, &mut |_, streams| {
            seen.push(both(streams.text.clone(), streams.visual.clone()));
            Ok(())
        })
        .unwrap();
    seen
}

#[test]
fn only_a_self_attention_layer_changes_the_picture_in_any_family() {
    for name in ALL {
        let copy = universal(name);
        let model = copy.load().unwrap();
        let [prepared, _] = two_looks(&model);
        for Level { name: level, schedule, .. } in levels(&model) {
            let seen = behind_layers(&model, &prepared, &schedule);
            for (layer, mode) in schedule.modes().iter().enumerate() {
                let rests = seen[layer][1] == seen[layer + 1][1];
                assert_eq!(rests, *mode != LayerMode::SelfAttention, "{name}, {level}, {layer}");
            }
        }
    }
}

#[test]
fn text_in_front_of_a_picture_does_not_see_it_and_text_behind_it_does_in_any_family() {
    for name in ALL {
        let copy = universal(name);
        let model = copy.load().unwrap();
        let looks = two_looks(&model);
        let prompt = looks[0].prompt();
        let first = prompt.images()[0].start;
        let before = prompt.text_positions().iter().filter(|at| **at < first).count();
        assert!(0 < before && before < prompt.n_text(), "{name}");
        for Level { name: level, schedule, .. } in levels(&model) {
            let text =
                |prepared| behind_layers(&model, prepared, &schedule).last().unwrap()[0].clone();
            let [one, other] = looks.each_ref().map(text);
            let end = before * (one.len() / prompt.n_text());
            assert_eq!(one[..end], other[..end], "{name}, {level}");
            assert!(apart(&one[end..], &other[end..]) > 1e-3, "{name}, {level}");
        }
    }
}
