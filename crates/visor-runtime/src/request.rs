//! A request, and what is known about it before any tensor exists.

use crate::budget::{Decided, Level, Resolved};
use crate::cancel::Cancel;
use crate::costs::CostTable;
use crate::prepared_image::{PreparedImage, Shown};
use crate::preparing::Unread;
use crate::settings::GenerationSettings;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use visor_core::cost::{Flops, Prompt};
use visor_core::{BudgetRequest, Patches, Thrift};
use visor_processor::{Arrangement, EncodedPrompt, Message, Picture, ProcessedPicture, Setting};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wording {
    /// A question, put into the model's prompt template. Special tokens in it are refused.
    Question(String),
    /// A conversation, put into the model's chat template. Special tokens in it are refused.
    Conversation(Vec<Message>),
    /// A prompt that is rendered already, with one image token a picture; nothing is added.
    Rendered(String),
}

/// A picture as it is handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum PictureInput {
    /// The bytes of a PNG, JPEG, WebP, BMP or GIF file.
    Bytes(Vec<u8>),
    /// A decoded picture.
    Decoded(Picture),
    /// A picture that the same runner has encoded before.
    Prepared(PreparedImage),
}

/// One question about any number of pictures.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub wording: Wording,
    /// The pictures, in the order in which the prompt refers to them.
    pub pictures: Vec<PictureInput>,
    /// Most tiles that a picture is cut into; `None` is as many as the checkpoint makes.
    pub max_tiles: Option<NonZeroUsize>,
    /// The budget; `None` is the policy's choice, or the largest rung where there is no policy.
    pub budget: Option<BudgetRequest>,
    /// Most FLOPs of end-to-end cold prefill.
    pub ceiling: Option<Flops>,
    /// How much cost weighs where a policy chooses; `None` is the policy's own.
    pub thrift: Option<Thrift>,
    /// What cross-attention may read of the pictures.
    pub patches: Patches,
    /// How the answer is generated.
    pub settings: GenerationSettings,
    /// Calls the request off.
    pub cancel: Cancel,
}

impl Request {
    /// A question at the default budget, without pictures.
    pub fn new(question: impl Into<String>) -> Self {
        Self {
            wording: Wording::Question(question.into()),
            pictures: Vec::new(),
            max_tiles: None,
            budget: None,
            ceiling: None,
            thrift: None,
            patches: Patches::All,
            settings: GenerationSettings::default(),
            cancel: Cancel::new(),
        }
    }
}

/// A request whose prompt is encoded and whose budget is resolved, from the sizes of its pictures
/// alone: none of those that are to be encoded is decoded yet.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Without any pixels.
    pub(crate) prepared: Prepared,
    /// The pictures that are to be laid out, each with its place among all of the request's.
    pub(crate) unread: Unread,
    pub(crate) setting: Setting,
    pub(crate) pixel_bytes: u64,
}

impl Planned {
    /// Bytes that the pixels of its pictures take from when they are laid out until they are
    /// encoded. None where every picture is encoded already.
    pub fn pixel_bytes(&self) -> u64 {
        self.pixel_bytes
    }

    /// As [`Prepared::kv_bytes`].
    pub fn kv_bytes(&self) -> u64 {
        self.prepared.kv_bytes()
    }
}

/// A request with its pictures and prompt prepared and its budget resolved: what is left to do
/// needs the model.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) prompt: EncodedPrompt,
    /// All pictures in the order of the prompt.
    pub(crate) shown: Arc<[Shown]>,
    /// Those among them that are to be encoded, until they are.
    pub(crate) pictures: Arc<[ProcessedPicture]>,
    pub(crate) sizes: Prompt,
    pub(crate) requested: Option<BudgetRequest>,
    pub(crate) ceiling: Option<Flops>,
    pub(crate) resolved: Resolved,
    pub(crate) costs: CostTable,
    pub(crate) unknown_words: Vec<String>,
    pub(crate) max_new_tokens: usize,
    pub(crate) thrift: Option<Thrift>,
    pub(crate) patches: Patches,
    pub(crate) settings: GenerationSettings,
    pub(crate) cancel: Cancel,
    pub(crate) spent: Duration,
}

impl Prepared {
    /// The prompt.
    pub fn prompt(&self) -> &EncodedPrompt {
        &self.prompt
    }

    /// The pictures that are to be encoded, as the model takes them: all of the request's, in their
    /// order, but for those that a cache or a [`PreparedImage`] holds encoded.
    pub fn pictures(&self) -> &[ProcessedPicture] {
        &self.pictures
    }

    /// How the tiles of each picture lie, all of them in the order of the prompt.
    pub fn arrangements(&self) -> impl ExactSizeIterator<Item = Arrangement> {
        self.shown.iter().map(|shown| shown.arrangement)
    }

    /// Words of the question that the model's vocabulary lacks: it does not see them.
    pub fn unknown_words(&self) -> &[String] {
        &self.unknown_words
    }

    /// What every level would cost for this prompt; where the selector says how many patches are
    /// read, with as many as it may choose.
    pub fn costs(&self) -> &CostTable {
        &self.costs
    }

    /// What the request will run at; `None` while that is the policy's to say.
    pub fn decided(&self) -> Option<Decided> {
        match self.resolved {
            Resolved::Decided { level, basis } => Some(Decided::new(&self.costs, level, basis)),
            Resolved::ByPolicy { .. } => None,
        }
    }

    /// The dearest level that the request can come to run at.
    pub fn dearest(&self) -> Level {
        match self.resolved {
            Resolved::Decided { level, .. } => level,
            Resolved::ByPolicy { highest } => Level::Rung(highest),
        }
    }

    /// Bytes of keys and values that the request can come to hold: at whichever level it may run,
    /// with as many tokens as its answer may have.
    pub fn kv_bytes(&self) -> u64 {
        let costs = &self.costs;
        let prompt = match self.dearest() {
            Level::Dense => costs.dense.kv_bytes,
            Level::Rung(highest) => {
                let allowed = &costs.rungs[..=highest.index()];
                allowed.iter().map(|cost| cost.kv_bytes).max().unwrap_or_default()
            }
        };
        // The last token of an answer is never fed back.
        prompt + costs.kv_bytes_of_answer(self.max_new_tokens.saturating_sub(1))
    }

    /// Most tokens of the answer.
    pub fn max_new_tokens(&self) -> usize {
        self.max_new_tokens
    }

    /// The switch that calls the request off.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}
