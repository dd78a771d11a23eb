//! A tiny network that does, at marked words, what a test wants: panics, or waits.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use visor::{Flops, Model, ModelRef, Picture, VisorModel, fixture};
use visor_model::{AtDecision, Decoding, EncodedPictures};
use visor_processor::PromptTemplate;
use visor_runtime::{
    Backbone, BackboneError, Encode, GenerationSettings, Logits, ModelCard, PictureInput, Prefill,
    Remaining, Request, RoutingState, Runner, Selection, Step,
};
use visor_serve::engine::{Engine, EngineError, EngineOptions, Ticket, Update};

/// Nothing takes this long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Panics in prefill over a prompt with this word, whatever else is in the pass.
pub(crate) const PANICS_IN_PREFILL: &str = "circle";
/// Panics in the second decode step.
pub(crate) const PANICS_IN_DECODE: &str = "square";
/// Waits in prefill until the test says so.
pub(crate) const WAITS: &str = "count";

pub(crate) struct Faulty {
    inner: Arc<Model>,
    ids: [u32; 3],
    gate: Mutex<mpsc::Receiver<()>>,
    /// Samples of each decode step.
    pub(crate) steps: Mutex<Vec<usize>>,
    /// No decode step goes on while a test holds this.
    pub(crate) hold: Mutex<()>,
}

pub(crate) struct Marked<T> {
    inner: T,
    /// Decode steps until it panics.
    fuse: Option<usize>,
}

impl Faulty {
    fn network(&self) -> &VisorModel {
        self.inner.runner().model()
    }

    fn shows(&self, prompt: &[u32], what: usize) -> bool {
        prompt.contains(&self.ids[what])
    }
}

impl Backbone for Faulty {
    type Visual = EncodedPictures;
    type AtDecision = Marked<AtDecision>;
    type Decoding = Marked<Decoding>;

    fn card(&self) -> &ModelCard {
        self.network().card()
    }

    fn encode_batch(&self, samples: &[Encode<'_>]) -> Vec<Result<EncodedPictures, BackboneError>> {
        self.network().encode_batch(samples)
    }

    fn keep(&self, visual: EncodedPictures, room: u64) -> EncodedPictures {
        self.network().keep(visual, room)
    }

    fn bare(&self, visual: &EncodedPictures) -> EncodedPictures {
        self.network().bare(visual)
    }

    fn visual_bytes(&self, visual: &EncodedPictures) -> u64 {
        self.network().visual_bytes(visual)
    }

    fn prefill_to_decision_batch(
        &self,
        samples: &[Prefill<'_, EncodedPictures>],
    ) -> Vec<Result<Marked<AtDecision>, BackboneError>> {
        for Prefill { prompt, .. } in samples {
            assert!(!self.shows(prompt.text_ids(), 0), "a word that the network cannot bear");
            if self.shows(prompt.text_ids(), 2) {
                let _ = self.gate.lock().unwrap().recv_timeout(LONG);
            }
        }
        let fuses = samples.iter().map(|s| self.shows(s.prompt.text_ids(), 1).then_some(2));
        let reached = self.network().prefill_to_decision_batch(samples).into_iter();
        reached.zip(fuses).map(|(inner, fuse)| Ok(Marked { inner: inner?, fuse })).collect()
    }

    fn selection<'a>(&self, state: &'a Marked<AtDecision>) -> Option<&'a Selection> {
        self.network().selection(&state.inner)
    }

    fn select(&self, state: &mut Marked<AtDecision>, patches: usize) -> Result<(), BackboneError> {
        self.network().select(&mut state.inner, patches)
    }

    fn routing_state(&self, state: &Marked<AtDecision>) -> RoutingState {
        self.network().routing_state(&state.inner)
    }

    fn prefill_rest_batch(
        &self,
        samples: Vec<Remaining<'_, Marked<AtDecision>>>,
    ) -> Vec<Result<(Logits, Marked<Decoding>), BackboneError>> {
        let fuses: Vec<_> = samples.iter().map(|sample| sample.state.fuse).collect();
        let inner = samples.into_iter().map(|Remaining { state, schedule, cancel }| Remaining {
            state: state.inner,
            schedule,
            cancel,
        });
        let reached = self.network().prefill_rest_batch(inner.collect()).into_iter();
        let marked = |(reached, fuse): (Result<(Logits, Decoding), BackboneError>, _)| {
            reached.map(|(logits, inner)| (logits, Marked { inner, fuse }))
        };
        reached.zip(fuses).map(marked).collect()
    }

    fn spared(&self, state: &Marked<Decoding>) -> Flops {
        self.network().spared(&state.inner)
    }

    fn decode_step_batch(
        &self,
        samples: &mut [Step<'_, Marked<Decoding>>],
    ) -> Vec<Result<Logits, BackboneError>> {
        drop(self.hold.lock().unwrap());
        self.steps.lock().unwrap().push(samples.len());
        for Step { state, .. } in samples.iter_mut() {
            state.fuse = state.fuse.map(|left| left - 1);
            assert_ne!(state.fuse, Some(0), "a step that the network cannot bear");
        }
        let steps =
            samples.iter_mut().map(|step| Step { state: &mut step.state.inner, token: step.token });
        self.network().decode_step_batch(&mut steps.collect::<Vec<_>>())
    }
}

/// A tiny model with random weights.
pub(crate) fn model() -> Arc<Model> {
    let folder = std::env::temp_dir().join(format!(
        "visor-engine-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    fixture::universal(&folder, 1).unwrap();
    let model = Model::load(&ModelRef::Folder(folder.clone()), &Default::default()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    Arc::new(model)
}

/// A runner of the network that does what tests want, and what opens its gate.
pub(crate) fn faulty() -> (Arc<Runner<Faulty>>, mpsc::Sender<()>) {
    let inner = model();
    let tokenizer = inner.runner().tokenizer().clone();
    let id = |word: &str| tokenizer.encode(word).unwrap()[0];
    let ids = [PANICS_IN_PREFILL, PANICS_IN_DECODE, WAITS].map(id);
    let (open, gate) = mpsc::channel();
    let processor = inner.runner().image_processor().clone();
    let template = PromptTemplate::parse("{image}{question}<a>").unwrap();
    let network = Faulty {
        inner,
        ids,
        gate: Mutex::new(gate),
        steps: Mutex::default(),
        hold: Mutex::default(),
    };
    let runner = Runner::new(network, tokenizer, processor, template);
    (Arc::new(runner.with_picture_cache(1 << 20)), open)
}

pub(crate) fn engine<S: visor_serve::engine::Serves>(served: &Arc<S>) -> Engine {
    Engine::start(served.clone(), EngineOptions::default()).unwrap()
}

/// A request for so many tokens at most, drawn so hot that most answers have as many and all differ.
pub(crate) fn request(question: &str, shade: Option<u8>, seed: u64, tokens: usize) -> Request {
    let picture = |shade: u8| {
        let rgb = (0..20 * 16 * 3_u32).map(|i| (i * u32::from(shade) + i / 7) as u8).collect();
        PictureInput::Decoded(Picture::from_rgb(20, 16, rgb).unwrap())
    };
    let sampling = visor::Sampling::Random {
        temperature: visor::Temperature::new(3.0).unwrap(),
        top_p: None,
        top_k: None,
        seed,
    };
    let max_new_tokens = std::num::NonZeroUsize::new(tokens);
    Request {
        pictures: shade.into_iter().map(picture).collect(),
        settings: GenerationSettings { max_new_tokens, sampling, ..Default::default() },
        ..Request::new(question)
    }
}

/// The answer of a ticket, and the text as it came.
pub(crate) fn finish(mut ticket: Ticket) -> Result<(visor::Answer, String), EngineError> {
    let mut streamed = String::new();
    while let Some(update) = ticket.wait() {
        match update? {
            Update::Event(visor::Event::Token { text, .. }) => streamed.push_str(&text),
            Update::Event(visor::Event::Finished(answer)) => return Ok((*answer, streamed)),
            Update::Event(_) | Update::Started { .. } => {}
        }
    }
    Err(EngineError::Ended)
}

/// Waits until a request has left the queue.
pub(crate) fn begun(ticket: &mut Ticket) {
    assert!(matches!(ticket.wait(), Some(Ok(Update::Started { .. }))));
}

/// Waits until nothing is queued or worked on: an answer is there a little before its request ends.
pub(crate) fn idle(engine: &Engine) {
    while !engine.is_idle() {
        std::thread::yield_now();
    }
}
