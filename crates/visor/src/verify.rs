//! Parity: what a model computes, held against what another program recorded, seam by seam.
//!
//! A reference is a folder with `cases.json`, which says what was asked, and a safetensors file a
//! case with what came of it: tiles, token ids, activations, greedy answers.

mod measure;
mod reference;
mod report;

pub use reference::ReferenceError;
pub use report::{Difference, Parity, SeamParity};

use crate::error::Error;
use crate::model::Model;
use measure::{Recorded, close, exact};
use reference::{ANSWER, Case, Reference};
use report::Found;
use std::collections::BTreeSet;
use std::path::Path;
use visor_model::Activation;
use visor_processor::{EncodedPrompt, Picture, Setting};
use visor_runtime::{Backbone, Cancel, Logits, Prepared, Start};

impl Model {
    /// Runs every case of a reference and compares every seam that was recorded; the report names
    /// the recordings that are of no seam. `images` is the folder with the pictures; without it they
    /// are looked for beside the reference.
    ///
    /// # Errors
    /// If the reference or a picture cannot be read, a seam was recorded in a format that cannot be
    /// compared, or a case cannot be run. Differences are no error: they are in the report.
    pub fn verify(&self, reference: &Path, images: Option<&Path>) -> Result<Parity, Error> {
        let reference = Reference::open(reference, images)?;
        let answer_length = reference.answer_length()?;
        let (mut found, mut not_compared) = (Vec::new(), BTreeSet::new());
        for name in reference.cases() {
            let mut case = reference.read(name)?;
            let seams = self.verify_case(&mut case, answer_length)?;
            found.extend(seams.into_iter().map(|(seam, difference)| Found {
                case: name.to_owned(),
                seam,
                difference,
            }));
            not_compared.extend(case.left());
        }
        let not_compared = not_compared.into_iter().collect();
        Ok(Parity::new(self.card(), &reference.origin, found, not_compared))
    }

    /// Compares what it takes from a case, whose answer has so many tokens unless an end token ends
    /// it.
    fn verify_case(
        &self,
        case: &mut Case,
        answer_length: usize,
    ) -> Result<Vec<(String, Difference)>, Error> {
        let prepared = self.prepare(case.question())?;
        let network = self.runner().model();
        let mut found = Vec::new();
        let mut compare = |seam: &str, difference: Option<Difference>| {
            found.extend(difference.map(|difference| (seam.to_owned(), difference)));
        };
        let tiles = self.tiles(&case.pictures, case.setting());
        let tile = [3, self.card().tile_side, self.card().tile_side];
        let recorded = case.bytes("tiles_u8")?;
        compare("tiles_u8", recorded.map(|all| exact(&tiles, &tile, &all)));
        let pixels = || prepared.pictures().iter().flat_map(|picture| picture.pixels.data());
        let recorded = case.floats("pixel_values")?;
        compare("pixel_values", recorded.map(|all| close(pixels().copied(), &tile, &all)));
        let ids = prepared.prompt().dense_ids(self.card().image_token);
        compare("input_ids", case.ids("input_ids")?.map(|recorded| exact(&ids, &[], &recorded)));
        let seams = network.seams(prepared.pictures(), prepared.prompt()).map_err(run_error)?;
        for Activation { name, values, width } in &seams {
            let recorded = case.seam(name, &seams)?;
            compare(name, recorded.map(|all| close(values.iter().copied(), &[*width], &all)));
        }
        if let Some(recorded) = case.ids(ANSWER)? {
            let (cached, steps) = self.greedy(&prepared, &recorded.values)?;
            let scores = [self.card().vocab];
            if let (Some(first), Some(all)) = (steps.first(), case.floats("first_logits")?) {
                compare("first_logits", Some(close(first.iter().copied(), &scores, &all)));
            }
            if let Some(all) = case.floats("step_logits")? {
                compare("step_logits", Some(close(steps.concat(), &scores, &all)));
            }
            compare(ANSWER, Some(self.answer(&cached, &recorded, answer_length)));
            let again = self.greedy_without_cache(&prepared, recorded.values.len())?;
            compare("generated_ids, no cache", Some(exact(&again, &[], &recorded)));
        }
        Ok(found)
    }

    /// How far an answer is from the recorded one, which must be a whole one.
    fn answer(&self, got: &[u32], recorded: &Recorded<u32>, length: usize) -> Difference {
        let ended = recorded.values.last().is_some_and(|id| self.card().eos.contains(id));
        match ended || recorded.values.len() >= length {
            true => exact(got, &[], recorded),
            false => Difference::Shape { recorded: recorded.shape.clone(), expected: vec![length] },
        }
    }

    /// The levels of all tiles, `[tiles, 3, side, side]`.
    fn tiles(&self, pictures: &[Picture], setting: Setting) -> Vec<u8> {
        let tiles = |picture| self.runner().image_processor().tiles(picture, setting).0;
        let planes = |tile: Picture| {
            let plane = |channel: usize| tile.rgb().iter().skip(channel).step_by(3);
            (0..3).flat_map(plane).copied().collect::<Vec<u8>>()
        };
        pictures.iter().flat_map(tiles).flat_map(planes).collect()
    }

    /// The likeliest tokens, each behind those that were recorded before it, one step at a time over
    /// caches, and the scores of each step: where one token differs the steps behind it still compare.
    /// An end token does not end them.
    fn greedy(
        &self,
        prepared: &Prepared,
        recorded: &[u32],
    ) -> Result<(Vec<u32>, Vec<Vec<f32>>), Error> {
        let network = self.runner().model();
        let capacity = prepared.prompt().n_text() + recorded.len();
        let (logits, mut state) = self.prefill(prepared, prepared.prompt(), capacity)?;
        let (mut ids, mut steps) = (Vec::new(), vec![logits.0]);
        while let Some(scores) = steps.last() {
            let before = recorded.get(..ids.len()).unwrap_or_default();
            ids.push(self.likeliest(&Logits(scores.clone()), prepared, before));
            let Some(&id) = recorded.get(ids.len() - 1).filter(|_| ids.len() < recorded.len())
            else {
                break;
            };
            steps.push(network.decode_step(&mut state, id).map_err(run_error)?.0);
        }
        Ok((ids, steps))
    }

    /// The same with every step as a prefill of all tokens before it.
    fn greedy_without_cache(&self, prepared: &Prepared, n: usize) -> Result<Vec<u32>, Error> {
        let mut answer = Vec::new();
        for _ in 0..n {
            let prompt = prepared.prompt().continued(&answer);
            let (logits, _) = self.prefill(prepared, &prompt, prompt.n_text())?;
            let id = self.likeliest(&logits, prepared, &answer);
            answer.push(id);
        }
        Ok(answer)
    }

    /// The likeliest token behind an answer, by the rules of the model.
    fn likeliest(&self, logits: &Logits, prepared: &Prepared, answer: &[u32]) -> u32 {
        likeliest(&self.card().ruled(logits, prepared.prompt(), answer).0)
    }

    fn prefill(
        &self,
        prepared: &Prepared,
        prompt: &EncodedPrompt,
        capacity: usize,
    ) -> Result<(Logits, <visor_model::VisorModel as Backbone>::Decoding), Error> {
        let (network, cancel) = (self.runner().model(), Cancel::new());
        let visual = match prepared.pictures() {
            [] => None,
            pictures => Some(network.encode(pictures, &cancel).map_err(run_error)?),
        };
        let schedule = visor_core::Schedule::dense(self.card().shape.decoder.n_layers);
        let state = network
            .prefill_to_decision(prompt, visual.as_ref(), Start::Dense, capacity, &cancel)
            .map_err(run_error)?;
        network.prefill_rest(state, &schedule, &cancel).map_err(run_error)
    }
}

fn run_error(error: visor_runtime::BackboneError) -> Error {
    visor_runtime::RunError::from(error).into()
}

/// The first of the largest scores.
fn likeliest(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best as u32
}
