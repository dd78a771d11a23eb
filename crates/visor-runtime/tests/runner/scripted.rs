//! A model that says what it is told to, and notes what it is asked.

use std::cell::RefCell;
use std::sync::Arc;
use visor_core::cost::{ConnectorShape, CrossShape, DecoderShape, EncoderShape, Flops, ModelShape};
use visor_core::{Ladder, Layout, Padding, PositionScheme};
use visor_processor::{
    Filter, ImageProcessor, ImageTokens, Normalization, Picture, ProcessedPicture, PromptTemplate,
    Tokenizer, word_level,
};
use visor_runtime::{
    Backbone, BackboneError, Cancel, Cancelled, DenseMode, Dtype, Encode, Event, Logits, ModelCard,
    Outcome, Prefill, Remaining, Request, RoutingState, RunError, Runner, Selection, Start, Step,
};

/// What the model says that an encoded picture takes.
pub(crate) const PICTURE_BYTES: u64 = 1000;
pub(crate) const EOS: u32 = 4;
pub(crate) const SPECIAL: [&str; 5] = ["<unk>", "<pad>", "<image>", "<a>", "<eos>"];
pub(crate) const WORDS: [&str; 6] = ["red", "green", "blue", "what", "colour", "?"];

/// Ids of the words, by name.
pub(crate) fn id(word: &str) -> u32 {
    SPECIAL.iter().chain(&WORDS).position(|known| *known == word).unwrap() as u32
}

/// Answers with a fixed list of tokens.
pub(crate) struct Scripted {
    pub(crate) card: ModelCard,
    pub(crate) script: Vec<u32>,
    /// What the runner did, in order.
    pub(crate) log: RefCell<Vec<String>>,
    /// Is called off while the next picture is encoded.
    pub(crate) calls_off: RefCell<Option<Cancel>>,
}

impl Scripted {
    fn note(&self, what: String) {
        self.log.borrow_mut().push(what);
    }

    fn say(&self, step: usize) -> Logits {
        let mut scores = vec![0.0; self.card.vocab];
        match self.script.get(step) {
            Some(&id) if id as usize >= scores.len() => scores[0] = f32::NAN,
            Some(&id) => scores[id as usize] = 1.0,
            None => scores[EOS as usize] = 1.0,
        }
        Logits(scores)
    }
}

impl Backbone for Scripted {
    type Visual = usize;
    type AtDecision = usize;
    type Decoding = usize;

    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn encode_batch(&self, samples: &[Encode<'_>]) -> Vec<Result<usize, BackboneError>> {
        let pictures: usize = samples.iter().map(|sample| sample.pictures.len()).sum();
        self.note(format!("encode {pictures}"));
        if let Some(called_off) = self.calls_off.take() {
            called_off.cancel();
        }
        let encode = |sample: &Encode<'_>| {
            if sample.is_called_off() {
                return Err(BackboneError::Cancelled(Cancelled));
            }
            // White pictures are beyond it.
            let white =
                |picture: &ProcessedPicture| picture.pixels.data().iter().all(|v| *v >= 1.0);
            match sample.pictures.iter().any(white) {
                true => Err(BackboneError::Failed(Arc::new(std::fmt::Error))),
                false => Ok(sample.pictures.len()),
            }
        };
        samples.iter().map(encode).collect()
    }

    fn keep(&self, pictures: usize, _: u64) -> usize {
        pictures
    }

    fn bare(&self, pictures: &usize) -> usize {
        *pictures
    }

    fn visual_bytes(&self, _: &usize) -> u64 {
        PICTURE_BYTES
    }

    fn prefill_to_decision_batch(
        &self,
        samples: &[Prefill<'_, usize>],
    ) -> Vec<Result<usize, BackboneError>> {
        let prefill = |sample: &Prefill<'_, usize>| {
            let Prefill { prompt, start, capacity: room, .. } = sample;
            sample.cancel.check()?;
            let start = match start {
                Start::Budgeted { routing: Some(_), .. } => "routed",
                Start::Budgeted { routing: None, .. } => "budgeted",
                Start::Dense => "dense",
            };
            let pictures = sample.visual.iter().copied().sum();
            let tokens = prompt.len();
            self.note(format!("{start} {tokens} tokens, {pictures} pictures, room {room}"));
            Ok(pictures)
        };
        samples.iter().map(prefill).collect()
    }

    fn selection<'a>(&self, _: &'a usize) -> Option<&'a Selection> {
        None
    }

    fn select(&self, _: &mut usize, patches: usize) -> Result<(), BackboneError> {
        self.note(format!("select {patches}"));
        Ok(())
    }

    fn routing_state(&self, pictures: &usize) -> RoutingState {
        RoutingState { token: Some(vec![*pictures as f32]), visual_mean: None }
    }

    fn prefill_rest_batch(
        &self,
        samples: Vec<Remaining<'_, usize>>,
    ) -> Vec<Result<(Logits, usize), BackboneError>> {
        let rest = |Remaining { schedule, cancel, .. }: Remaining<'_, usize>| {
            cancel.check()?;
            self.note(format!("rest {:?}", schedule.count(visor_core::LayerMode::SelfAttention)));
            Ok((self.say(0), 0))
        };
        samples.into_iter().map(rest).collect()
    }

    fn spared(&self, _: &usize) -> Flops {
        Flops(0)
    }

    fn decode_step_batch(
        &self,
        samples: &mut [Step<'_, usize>],
    ) -> Vec<Result<Logits, BackboneError>> {
        let step = |Step { state, token }: &mut Step<'_, usize>| {
            self.note(format!("step {token}"));
            **state += 1;
            Ok(self.say(**state))
        };
        samples.iter_mut().map(step).collect()
    }
}

pub(crate) fn ladder() -> Ladder {
    let layout = Layout::try_new(4, &[0, 3], &[1, 2]).unwrap();
    let rungs = [("sa0", vec![]), ("sa1", vec![2]), ("sa2", vec![1, 2])]
        .map(|(name, layers)| (name.to_owned(), layers));
    Ladder::try_new(layout, 1, &rungs).unwrap()
}

pub(crate) fn card() -> ModelCard {
    ModelCard {
        name: "scripted".to_owned(),
        ladder: Some(ladder()),
        dense: DenseMode::Available,
        selector: None,
        shape: ModelShape {
            encoder: EncoderShape {
                n_layers: 0,
                d_model: 8,
                d_ffn: 8,
                n_patches: 4,
                patch_values: 12,
                n_attended: 4,
            },
            connector: ConnectorShape::Mlp { d_vision: 8, d_hidden: 8, d_model: 8 },
            decoder: DecoderShape {
                n_layers: 4,
                d_model: 8,
                n_heads: 2,
                n_kv_heads: 1,
                head_dim: 4,
                d_ffn: 16,
                vocab: 11,
                cross: Some(CrossShape { n_kv_heads: 1 }),
            },
        },
        context: 32,
        positions: PositionScheme::STOCK,
        image_token: 2,
        tile_side: 4,
        tile_tokens: ImageTokens { rows: 2, cols: 2 },
        eos: vec![EOS],
        rules: Vec::new(),
        vocab: 11,
        parameters: 0,
        dtype: Dtype::F32,
        padding: Padding::None,
        sha256: None,
        selector_sha256: None,
        default_policy: None,
    }
}

pub(crate) fn runner_with(card: ModelCard, script: &[u32]) -> Runner<Scripted> {
    let tokenizer = Tokenizer::from_bytes(&word_level(&WORDS, &SPECIAL).unwrap()).unwrap();
    let processor = ImageProcessor::Whole {
        size: 4,
        filter: Filter::Bicubic,
        normalization: Normalization::default(),
    };
    let template = PromptTemplate::parse("{image}{question}<a>").unwrap();
    let model = Scripted {
        card,
        script: script.to_vec(),
        log: RefCell::default(),
        calls_off: RefCell::default(),
    };
    Runner::new(model, tokenizer, processor, template)
}

/// A runner whose model says these words and then ends.
pub(crate) fn runner(words: &[&str]) -> Runner<Scripted> {
    runner_with(card(), &words.iter().map(|word| id(word)).collect::<Vec<_>>())
}

pub(crate) fn picture() -> Picture {
    shade(7)
}

pub(crate) fn shade(value: u8) -> Picture {
    Picture::from_rgb(5, 3, vec![value; 45]).unwrap()
}

pub(crate) fn log(runner: &Runner<Scripted>) -> Vec<String> {
    runner.model().log.borrow().clone()
}

pub(crate) fn ask(runner: &Runner<Scripted>, request: Request) -> Result<Outcome, RunError> {
    runner.generate(runner.prepare(request)?).finish()
}

pub(crate) fn events(runner: &Runner<Scripted>, request: Request) -> Vec<Event> {
    let prepared = runner.prepare(request).unwrap();
    runner.generate(prepared).collect::<Result<_, _>>().unwrap()
}

pub(crate) fn giga(flops: Flops) -> f64 {
    flops.giga()
}
