//! What a sample is between the stages: types that forget what is no longer needed.

use super::kept::{Keeping, KeptPicture};
use super::pass::Pending;
use crate::cache::LayerCache;
use crate::layer::Streams;
use crate::placement::{Memory, Placement};
use burn::tensor::{Device, Tensor};
use std::ops::Range;
use visor_core::cost::Flops;
use visor_core::{LayerMode, Padding, Schedule};
use visor_runtime::{BackboneError, Cancel, Selection};

/// Encoded pictures: of each `[places, N, E]`, without conditional position. Where they are kept for
/// other prompts, what the layers make of them stays with them.
#[derive(Clone, Debug)]
pub struct EncodedPictures {
    pictures: Vec<Tensor<3>>,
    /// `None` where the pictures are not kept for other prompts.
    kept: Option<KeptPicture>,
}

impl EncodedPictures {
    pub(super) fn new(pictures: Vec<Tensor<3>>) -> Self {
        Self { pictures, kept: None }
    }

    /// The same with room for what layers make of them.
    pub(super) fn keeping(self, room: u64) -> Self {
        Self { kept: Some(self.kept.unwrap_or_else(|| KeptPicture::new(room))), ..self }
    }

    /// The visual tokens of each picture, `[places, N, E]`: a place is a run of tokens in the prompt.
    pub fn pictures(&self) -> &[Tensor<3>] {
        &self.pictures
    }

    /// The visual tokens of each picture as one sequence, place after place, `[1, V, E]`.
    pub fn sequences(&self) -> impl Iterator<Item = Tensor<3>> + '_ {
        self.pictures.iter().map(|picture| {
            let [places, tokens, e] = picture.dims();
            picture.clone().reshape([1, places * tokens, e])
        })
    }

    /// What is kept of them, if anything is.
    pub(super) fn kept(&self) -> Option<&KeptPicture> {
        self.kept.as_ref()
    }
}

/// A sample that has reached the decision layer.
#[derive(Debug)]
pub struct AtDecision {
    /// Without the routing token.
    pub(super) streams: Streams,
    /// State of the routing token, `[1, 1, E]`.
    pub(super) routing: Option<Tensor<3>>,
    pub(super) prompt: Placed,
}

/// A prompt in prefill, without its streams.
#[derive(Debug)]
pub(super) struct Placed {
    /// Where the tokens stand, the routing token left out.
    pub(super) at: Placement,
    /// One cache a layer that has run.
    pub(super) caches: Vec<LayerCache>,
    /// By what these layers have run.
    pub(super) prefix: Schedule,
    pub(super) room: Room,
    /// What cross-attention reads; `None` where it is everything.
    pub(super) selection: Option<Selection>,
    /// What a choice at the decision layer is made from, where one may be made there.
    pub(super) asked: Option<Asked>,
    /// What layers made of the prompt's picture before, and what is to be kept of it; `None` where
    /// nothing is.
    pub(super) kept: Option<Keeping>,
}

/// What patches are chosen from: states in front of the first layer that reads.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The question, `[1, L, E]`.
    pub(super) question: Tensor<3>,
    /// The picture, `[1, V, E]`.
    pub(super) visual: Tensor<3>,
}

impl Placed {
    /// From `layer` on, cross-attention reads what was chosen.
    pub(super) fn select(&mut self, layer: usize, selection: Selection, device: &Device) {
        self.at = self.at.clone().with_patches(&selection.patches, device);
        self.selection = Some(selection);
        if let (Some(kept), Some(patches)) = (&mut self.kept, self.at.patches()) {
            kept.choose(layer, patches, &mut self.caches);
        }
    }
}

/// A sample that generates: caches and a position, no picture.
#[derive(Debug)]
pub struct Decoding {
    pub(super) caches: Vec<LayerCache>,
    pub(super) schedule: Schedule,
    /// Where the next token stands in the dense prompt.
    pub(super) position: usize,
    /// FLOPs that prefill did not execute, because keys and values were there.
    pub(super) spared: Flops,
}

impl Decoding {
    /// Bytes of keys and values that it holds.
    pub fn kv_bytes(&self) -> u64 {
        self.caches.iter().map(LayerCache::bytes).sum()
    }

    /// What layers of the text, and of picture and text, have memory for when one token more has
    /// come: all of a kind have taken the same rows.
    pub(super) fn memory_of_step(&self) -> [Memory; 2] {
        let modes = self.schedule.modes().iter().zip(&self.caches);
        let of = |joint: bool| {
            let mut kind =
                modes.clone().filter(|(mode, _)| (**mode == LayerMode::SelfAttention) == joint);
            kind.next().map(|(_, cache)| cache.own().memory_of_step())
        };
        let nothing = Memory { keys: 1, room: 1 };
        [of(false), of(true)].map(|memory| memory.unwrap_or(nothing))
    }

    /// In front of all layers with a new token, `[1, 1, E]`.
    pub(super) fn pending<'a>(
        &'a mut self,
        text: Tensor<3>,
        at: &'a Placement,
        cancel: &'a Cancel,
    ) -> Pending<'a> {
        let Self { caches, schedule, .. } = self;
        let (streams, layers) = (Streams { text, visual: None }, 0..caches.len());
        Pending { streams, layers, schedule, at, caches, kept: None, cancel }
    }
}

/// What caches must hold, and where the answer begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) n_text: usize,
    pub(super) n_visual: usize,
    pub(super) next_position: usize,
}

/// A prompt in front of the first layer.
pub(super) struct Begun<'a> {
    pub(super) prompt: Placed,
    pub(super) decision: usize,
    /// Where the tokens stand with the routing token, if there is one.
    pub(super) routed: Option<Placement>,
    /// What is to be chosen on the way, if anything is.
    pub(super) choice: Option<Choice>,
    pub(super) cancel: &'a Cancel,
}

/// A choice of patches that is still to be made.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The layer in front of which it is made: the first that reads.
    pub(super) layer: usize,
    /// How many.
    pub(super) number: Number,
    /// Which text tokens are the question.
    pub(super) question: Range<usize>,
}

/// How many patches a question chooses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// As many as the selector says.
    BySelector,
    /// So many.
    Fixed(usize),
    /// That is decided with the rung, at the decision layer.
    WithRung,
    /// So many, at random.
    Drawn {
        /// How many.
        count: usize,
        /// Which draw.
        draw: u64,
    },
}

impl Begun<'_> {
    /// The layers in front of the choice; all before the decision where nothing is to be chosen.
    pub(super) fn before_choice(&self) -> Range<usize> {
        0..self.choice.as_ref().map_or(self.decision, |choice| choice.layer)
    }

    /// The layers between the choice and the decision.
    pub(super) fn behind_choice(&self) -> Range<usize> {
        self.before_choice().end..self.decision
    }

    pub(super) fn pending(&mut self, streams: Streams, layers: Range<usize>) -> Pending<'_> {
        let Placed { at, caches, prefix: schedule, kept, .. } = &mut self.prompt;
        let at = self.routed.as_ref().unwrap_or(at);
        Pending { streams, layers, schedule, at, caches, kept: kept.as_mut(), cancel: self.cancel }
    }

    /// From here on, cross-attention reads what was chosen.
    pub(super) fn select(&mut self, selection: Selection, device: &Device) {
        let routed = self.routed.take();
        self.routed = routed.map(|at| at.with_patches(&selection.patches, device));
        let layer = self.before_choice().end;
        self.prompt.select(layer, selection, device);
    }

    /// Takes the routing token out of the text.
    pub(super) fn settle(self, Streams { text, visual }: Streams) -> AtDecision {
        let (text, routing) = match self.routed.map(|at| at.text) {
            None => (text, None),
            Some(at) => {
                let last = at.filled().asking - 1;
                let routing = text.clone().narrow(1, last, 1); // [1, 1, E]
                let text = match at.padding() {
                    Padding::None => text.narrow(1, 0, last),
                    // Its row fills up the text from here on.
                    Padding::Steps => text,
                };
                (text, Some(routing))
            }
        };
        AtDecision { streams: Streams { text, visual }, routing, prompt: self.prompt }
    }
}

/// A decided prompt in front of its remaining layers.
pub(super) struct Resumed<'a> {
    prompt: Placed,
    layers: Range<usize>,
    schedule: &'a Schedule,
    cancel: &'a Cancel,
}

impl<'a> Resumed<'a> {
    /// Holds the schedule against the layers that have run. `caches` are those of the whole
    /// schedule, empty.
    pub(super) fn new(
        mut prompt: Placed,
        schedule: &'a Schedule,
        caches: Vec<LayerCache>,
        cancel: &'a Cancel,
    ) -> Result<Self, BackboneError> {
        let (done, n_layers) = (prompt.caches.len(), prompt.prefix.modes().len());
        let modes = schedule.modes();
        if modes.len() != n_layers || modes[..done] != prompt.prefix.modes()[..done] {
            return Err(BackboneError::Schedule { done });
        }
        prompt.caches.extend(caches.into_iter().skip(done));
        if let Some(kept) = &mut prompt.kept {
            kept.hand_out(schedule, done..n_layers, &mut prompt.caches)?;
        }
        Ok(Self { prompt, layers: done..n_layers, schedule, cancel })
    }

    pub(super) fn pending(&mut self, streams: Streams) -> Pending<'_> {
        let Self { prompt: Placed { at, caches, kept, .. }, layers, schedule, cancel } = self;
        let (layers, kept) = (layers.clone(), kept.as_mut());
        Pending { streams, layers, schedule, at, caches, kept, cancel }
    }

    /// The row of the text's last token.
    pub(super) fn last_row(&self) -> usize {
        self.prompt.at.text.filled().asking - 1
    }

    /// Behind the last layer: what decodes holds caches and no picture.
    pub(super) fn decoding(self) -> Decoding {
        let Placed { caches, room, kept, .. } = self.prompt;
        let spared = kept.as_ref().map_or(Flops(0), |kept| kept.spared(self.schedule));
        if let Some(kept) = kept {
            kept.take_in(self.schedule, &caches);
        }
        let schedule = self.schedule.clone();
        Decoding { caches, schedule, position: room.next_position, spared }
    }
}
