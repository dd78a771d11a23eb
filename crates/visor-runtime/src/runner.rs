//! The runner: a model with everything around it that turns a request into an answer.

use crate::budget::{Offer, PolicyPresence, Resolved};
use crate::card::ModelCard;
use crate::costs::{CostTable, shape_of};
use crate::error::RunError;
use crate::generate::{Generation, answer_batch};
use crate::model::Backbone;
use crate::outcome::Outcome;
use crate::patches::{expect_readers, keys};
use crate::picture_cache::{PictureCache, PictureCacheStats};
use crate::policy::BudgetPolicy;
use crate::prepared_image::{Owner, Shown, State};
use crate::request::{Planned, Prepared, Request, Wording};
use crate::settings::DEFAULT_MAX_NEW_TOKENS;
use crate::timing::timed;
use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use visor_core::cost::{Flops, Prompt};
use visor_core::{BudgetRequest, Patches};
use visor_processor::{
    Arrangement, EncodedPrompt, ImageProcessor, Message, PictureLimits, Scribe, Setting, Template,
    Tokenizer,
};

/// A policy that a runner can own.
type OwnedPolicy = Box<dyn BudgetPolicy + Send + Sync>;

/// A model with its tokenizer, picture preparation, prompt template and, perhaps, a policy.
///
/// Nothing in it changes while it runs: one runner serves any number of requests.
pub struct Runner<M> {
    pub(crate) model: M,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) policy: Option<OwnedPolicy>,
    pub(crate) image_processor: ImageProcessor,
    template: Template,
    pub(crate) limits: PictureLimits,
    /// Encoded pictures that are kept, if any are.
    pub(crate) cache: Option<PictureCache>,
    pub(crate) owner: Owner,
}

impl<M: Backbone> Runner<M> {
    /// A runner without a policy.
    pub fn new(
        model: M,
        tokenizer: Tokenizer,
        image_processor: ImageProcessor,
        template: impl Into<Template>,
    ) -> Self {
        let (template, limits) = (template.into(), PictureLimits::default());
        let (policy, cache, owner) = (None, None, Owner::default());
        Self { model, tokenizer, policy, image_processor, template, limits, cache, owner }
    }

    /// The same with a policy, which decides where the user leaves the budget open.
    #[must_use]
    pub fn with_policy(self, policy: Box<dyn BudgetPolicy + Send + Sync>) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// The same around what becomes of the model.
    ///
    /// # Errors
    /// Of `change`.
    pub fn map_model<E>(self, change: impl FnOnce(M) -> Result<M, E>) -> Result<Self, E> {
        Ok(Self { model: change(self.model)?, ..self })
    }

    /// The same with bounds for the pictures that are decoded.
    #[must_use]
    pub fn with_picture_limits(self, limits: PictureLimits) -> Self {
        Self { limits, ..self }
    }

    /// The same with a cache that keeps encoded pictures in so many bytes: a later request that
    /// shows the same picture, cut in the same way, is spared its preparation and its pass of the
    /// encoder. Requests on all threads share it.
    #[must_use]
    pub fn with_picture_cache(self, bytes: u64) -> Self {
        Self { cache: Some(PictureCache::new(bytes)), ..self }
    }

    /// What the cache of pictures holds, if there is one.
    pub fn picture_cache(&self) -> Option<PictureCacheStats> {
        self.cache.as_ref().map(PictureCache::stats)
    }

    /// What is known about the model.
    pub fn card(&self) -> &ModelCard {
        self.model.card()
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// How pictures are prepared.
    pub fn image_processor(&self) -> &ImageProcessor {
        &self.image_processor
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Does all that needs no tensor: decodes and prepares the pictures, encodes the prompt, holds
    /// it against the context, resolves the budget and predicts what it costs.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn prepare(&self, request: Request) -> Result<Prepared, RunError> {
        self.lay_out(self.plan(request)?)
    }

    /// Does all that needs no pixel: measures the pictures, encodes the prompt, holds it against
    /// the context, resolves the budget and predicts what it costs. [`lay_out`](Self::lay_out) does
    /// what is left of [`prepare`](Self::prepare).
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn plan(&self, request: Request) -> Result<Planned, RunError> {
        let mut spent = Duration::ZERO;
        let mut planned = timed(&mut spent, || self.plan_untimed(request))?;
        planned.prepared.spent = spent;
        Ok(planned)
    }

    /// Runs a request that this runner prepared: an iterator of events that ends with the outcome.
    pub fn generate(&self, prepared: Prepared) -> Generation<'_, M> {
        Generation::new(self, prepared)
    }

    /// Answers several requests together. They may differ in everything: length, pictures, budget,
    /// sampling. All samples run through the layers before the decision at once, then through the
    /// rest at once, each by its own schedule, then decode at once: what has weights runs on the
    /// rows of all samples, each sample attends to its own keys. A picture that several of them
    /// show is encoded once. The answers are those that [`generate`](Self::generate) gives: scores
    /// agree but for rounding, since sums may be taken in another order. A sample that ends early,
    /// fails or is called off leaves the batch, and the others go on.
    ///
    /// One result a request, in their order. All of them are held in memory at once: how many go
    /// together is for the caller to say.
    ///
    /// Costs are those of each request; of a shared picture the first request that shows it has
    /// spent the FLOPs. Measured times are those of the stages of the batch, for as long as the
    /// sample was in it: it waits for the others, so that times of a batch do not add up.
    ///
    /// # Errors
    /// Of a request: see [`RunError`].
    pub fn answer_batch(&self, batch: Vec<Prepared>) -> Vec<Result<Outcome, RunError>> {
        answer_batch(self, batch)
    }

    /// The same request at another budget, below the ceiling that it was prepared with. Nothing is
    /// decoded or encoded anew; the two share the switch that calls them off, and both report the
    /// time that preparing took.
    ///
    /// # Errors
    /// If the budget cannot be had.
    pub fn with_budget(
        &self,
        prepared: &Prepared,
        budget: BudgetRequest,
    ) -> Result<Prepared, RunError> {
        let Prepared { sizes, ceiling, patches, .. } = *prepared;
        let (resolved, costs) = self.resolve(sizes, Some(&budget), ceiling)?;
        expect_readers(self.card(), resolved, patches)?;
        Ok(Prepared { requested: Some(budget), resolved, costs, ..prepared.clone() })
    }

    /// The same request with other patches, as [`with_budget`](Self::with_budget) has it with
    /// another budget.
    ///
    /// # Errors
    /// If the patches cannot be had.
    pub fn with_patches(
        &self,
        prepared: &Prepared,
        patches: Patches,
    ) -> Result<Prepared, RunError> {
        let keys = keys(self.card(), patches, &prepared.prompt)?;
        let sizes = Prompt { keys, ..prepared.sizes };
        let (resolved, costs) =
            self.resolve(sizes, prepared.requested.as_ref(), prepared.ceiling)?;
        expect_readers(self.card(), resolved, patches)?;
        Ok(Prepared { sizes, patches, resolved, costs, ..prepared.clone() })
    }

    fn plan_untimed(&self, request: Request) -> Result<Planned, RunError> {
        let Request {
            wording,
            pictures,
            max_tiles,
            budget,
            ceiling,
            thrift,
            patches,
            settings,
            cancel,
        } = request;
        let card = self.card();
        let setting = Setting { pictures: pictures.len(), max_tiles };
        let (shown, unread) = self.shown(pictures, setting, &cancel)?;
        cancel.check()?;
        let (prompt, unknown_words) = self.encode(&wording, &shown)?;
        let max_new_tokens = room(card, &prompt, settings.max_new_tokens)?;
        let sizes = Prompt {
            n_text: prompt.n_text(),
            n_question: prompt.question().len(),
            n_visual: prompt.n_visual(),
            n_tiles: shown.iter().map(|shown| shown.n_tiles).sum(),
            keys: keys(card, patches, &prompt)?,
        };
        let (resolved, costs) = self.resolve(sizes, budget.as_ref(), ceiling)?;
        expect_readers(self.card(), resolved, patches)?;
        let laid_out = shown.iter().filter(|shown| matches!(shown.state, State::Processed(_)));
        let pixel_bytes =
            laid_out.map(|shown| self.image_processor.pixel_bytes(shown.arrangement)).sum();
        let prepared = Prepared {
            prompt,
            shown: shown.into(),
            pictures: Arc::default(),
            sizes,
            requested: budget,
            ceiling,
            resolved,
            costs,
            unknown_words,
            max_new_tokens,
            thrift,
            patches,
            settings,
            cancel,
            spent: Duration::ZERO,
        };
        Ok(Planned { prepared, unread, setting, pixel_bytes })
    }

    /// Holds a budget against what the model offers, and counts what every level costs.
    fn resolve(
        &self,
        sizes: Prompt,
        budget: Option<&BudgetRequest>,
        ceiling: Option<Flops>,
    ) -> Result<(Resolved, CostTable), RunError> {
        let (card, policy) = (self.card(), self.policy());
        let with_policy = CostTable::new(card, sizes, shape_of(policy));
        let presence = match policy {
            Some(_) => PolicyPresence::Present,
            None => PolicyPresence::Absent,
        };
        let offer = Offer { card, costs: &with_policy, policy: presence };
        let resolved = offer.resolve(budget, ceiling)?;
        // Whoever names a budget does not pay for a policy.
        let costs = match resolved.is_by_policy() {
            true => with_policy,
            false => CostTable::new(card, sizes, None),
        };
        Ok((resolved, costs))
    }

    /// The policy, if there is one.
    pub(crate) fn policy(&self) -> Option<&dyn BudgetPolicy> {
        self.policy.as_deref().map(|policy| policy as &dyn BudgetPolicy)
    }

    /// The prompt, and the words of it that the vocabulary lacks.
    fn encode(
        &self,
        wording: &Wording,
        shown: &[Shown],
    ) -> Result<(EncodedPrompt, Vec<String>), RunError> {
        let card = self.card();
        let scribe = Scribe {
            tokenizer: &self.tokenizer,
            image_token: card.image_token,
            tile: card.tile_tokens,
        };
        let pictures: Vec<Arrangement> = shown.iter().map(|shown| shown.arrangement).collect();
        let (prompt, words) = match wording {
            Wording::Question(question) => (
                scribe.question(&self.template, question, &pictures)?,
                Cow::Borrowed(question.as_str()),
            ),
            Wording::Conversation(messages) => {
                let words: Vec<&str> = messages.iter().flat_map(Message::texts).collect();
                (scribe.conversation(&self.template, messages, &pictures)?, words.join(" ").into())
            }
            Wording::Rendered(prompt) => {
                (scribe.rendered(prompt, &pictures)?, Cow::Borrowed(prompt.as_str()))
            }
        };
        Ok((prompt, self.tokenizer.unknown_words(&words)?))
    }
}

impl<M> std::fmt::Debug for Runner<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("image_processor", &self.image_processor)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// How many tokens the answer may have.
fn room(
    card: &ModelCard,
    prompt: &EncodedPrompt,
    asked: Option<NonZeroUsize>,
) -> Result<usize, RunError> {
    let context = card.context;
    // A prompt that leaves no room for a single token cannot be answered either.
    prompt.check_context(context.saturating_sub(1))?;
    let left = context - prompt.len();
    match asked.map(NonZeroUsize::get) {
        None => Ok(left.min(DEFAULT_MAX_NEW_TOKENS)),
        Some(new) if new <= left => Ok(new),
        Some(new) => {
            Err(RunError::Context { prompt: prompt.len(), visual: prompt.n_visual(), new, context })
        }
    }
}
