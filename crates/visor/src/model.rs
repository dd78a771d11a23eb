//! A model that is loaded and answers questions.

use crate::error::Error;
use crate::info::{self, PictureSize};
use crate::memory;
use crate::model_ref::ModelRef;
use crate::policy::{self, PolicyInfo};
use crate::policy_ref::PolicyRef;
use crate::preparation::Preparation;
use crate::question::Question;
use crate::remark::Remark;
use visor_checkpoint::{Manifest, SelectorTraining, Watch};
use visor_core::Pair;
use visor_model::{LoadReport, VisorModel};
use visor_policy::Policy;
use visor_processor::{PictureLimits, Setting};
use visor_runtime::{
    Cancel, CostTable, DeviceRequest, Dtype, Generation, ModelCard, Outcome, PictureCacheStats,
    PictureInput, Planned, Prepared, PreparedImage, Runner, device,
};

/// Where and how a model is loaded, and with which policy. The default is the processor, in single
/// precision, with the model's own policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    device: DeviceRequest,
    dtype: Dtype,
    policy: PolicyRef,
    picture_cache: Option<u64>,
    picture_limits: PictureLimits,
    warm_up: WarmUp,
}

/// What is run of a model while it is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WarmUp {
    /// Nothing.
    #[default]
    Nothing,
    /// Every rung, dense and the policy, on questions of several lengths: a device that compiles
    /// and tunes its kernels then does so before anybody waits for an answer. The processor has
    /// nothing to compile.
    EveryWay,
}

impl LoadOptions {
    /// Chooses the device.
    #[must_use]
    pub fn device(self, device: DeviceRequest) -> Self {
        Self { device, ..self }
    }

    /// Chooses the number format that the matrices of the model are held in.
    #[must_use]
    pub fn dtype(self, dtype: Dtype) -> Self {
        Self { dtype, ..self }
    }

    /// Chooses the policy, which decides where a question leaves its budget open. With
    /// [`PolicyRef::None`] nothing of a policy is read: enough for questions that name a budget.
    #[must_use]
    pub fn policy(self, policy: PolicyRef) -> Self {
        Self { policy, ..self }
    }

    /// Keeps encoded pictures in so many bytes of memory: a later question about one of them costs
    /// no pass of the encoder. Without it nothing is kept.
    #[must_use]
    pub fn picture_cache(self, bytes: u64) -> Self {
        Self { picture_cache: Some(bytes), ..self }
    }

    /// Runs what is asked for before the model is handed out.
    #[must_use]
    pub fn warm_up(self, warm_up: WarmUp) -> Self {
        Self { warm_up, ..self }
    }

    /// Bounds the pictures that are decoded.
    #[must_use]
    pub fn picture_limits(self, picture_limits: PictureLimits) -> Self {
        Self { picture_limits, ..self }
    }
}

/// A loaded model. Answering changes nothing in it: one model serves any number of questions.
#[derive(Debug)]
pub struct Model {
    runner: Runner<VisorModel>,
    report: LoadReport,
    options: LoadOptions,
    policy: Option<PolicyInfo>,
    selector_training: Option<SelectorTraining>,
    unknown_fields: Vec<String>,
    remarks: Vec<Remark>,
}

impl Model {
    /// Loads a model and its policy.
    ///
    /// # Errors
    /// If there is no such model, device or policy, if the files of the checkpoint or the policy
    /// are missing, damaged, contradict each other or need what is not supported, or if the policy
    /// was trained for another model.
    pub fn load(model: &ModelRef, options: &LoadOptions) -> Result<Self, Error> {
        Self::read(model, options, None)
    }

    /// The same, telling `watch` how many bytes of the weights have been verified and loaded: for
    /// those who show how far it is.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_watched(
        model: &ModelRef,
        options: &LoadOptions,
        watch: Watch,
    ) -> Result<Self, Error> {
        Self::read(model, options, Some(watch))
    }

    fn read(model: &ModelRef, options: &LoadOptions, watch: Option<Watch>) -> Result<Self, Error> {
        device::check_dtype(options.device, options.dtype)?;
        let checkpoint = model.checkpoint()?;
        let checkpoint = match watch {
            None => checkpoint,
            Some(watch) => checkpoint.watched(watch),
        };
        let Preparation { tokenizer, image_processor, template, blueprint, remarks } =
            Preparation::read(model)?;
        let device = device::open_for(options.device, options.dtype)?;
        // Before the large files: what is wrong with a policy is said at once.
        let default = checkpoint.manifest().and_then(|manifest| manifest.default_policy.as_deref());
        let read = |source: &_| Policy::load(source, &device);
        let policy = policy::load(&options.policy, model, default, read)?;
        if options.device == DeviceRequest::Cpu {
            let needed = checkpoint.weights()?.parameters() * options.dtype.bytes() as u64;
            memory::expect_free(needed).map_err(|source| Error::Memory {
                model: model.to_string(),
                dtype: options.dtype,
                source,
            })?;
        }
        let (network, report) = VisorModel::load_as(&checkpoint, options.dtype, &device)?;
        let network = network.for_running();
        let network = match model.own_name() {
            Some(name) => network.named(name),
            None => network,
        };
        let card = visor_runtime::Backbone::card(&network);
        let policy =
            policy.map(|policy| policy.bind(card, &report.verified.digests)).transpose()?;
        let pairs = policy.as_ref().map_or(&[][..], |(_, info)| &info.pairs);
        let network = network.with_pairs(pairs)?;
        let runner = Runner::new(network, tokenizer, image_processor, template)
            .with_picture_limits(options.picture_limits);
        let (runner, policy) = match policy {
            None => (runner, None),
            Some((router, info)) => (runner.with_policy(Box::new(router)), Some(info)),
        };
        if options.warm_up == WarmUp::EveryWay {
            runner.warm_up(&Cancel::new())?;
        }
        let runner = match options.picture_cache {
            Some(bytes) => runner.with_picture_cache(bytes),
            None => runner,
        };
        let (options, unknown_fields) = (options.clone(), blueprint.unknown_fields);
        let selector_training = checkpoint.manifest().and_then(Manifest::selector_training);
        Ok(Self { runner, report, options, policy, selector_training, unknown_fields, remarks })
    }

    /// The same with these pairs of a rung and a number of patches among its budgets, in place of
    /// any that it had. A policy chooses from the budgets that it was trained for, so the model
    /// must have been loaded with [`PolicyRef::None`].
    ///
    /// # Errors
    /// If the model has no selector, a pair is of no rung of its ladder, or a policy was loaded.
    pub fn with_pairs(self, pairs: &[Pair]) -> Result<Self, Error> {
        if let Some(policy) = &self.policy {
            return Err(Error::PairsBesidePolicy { policy: policy.name.clone() });
        }
        let runner = self.runner.map_model(|model| model.with_pairs(pairs))?;
        Ok(Self { runner, ..self })
    }

    /// Answers a question.
    ///
    /// # Errors
    /// If a picture or the question cannot be read, the budget cannot be had, or the question was
    /// called off.
    pub fn ask(&self, question: Question) -> Result<Outcome, Error> {
        Ok(self.stream(question)?.finish()?)
    }

    /// Answers a question piece by piece: an iterator of [`Event`](crate::Event)s, the last of
    /// which holds the whole answer.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn stream(&self, question: Question) -> Result<Generation<'_, VisorModel>, Error> {
        Ok(self.generate(self.prepare(question)?))
    }

    /// Does all that needs no network: reads pictures and words, resolves the budget, predicts
    /// what it costs.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn prepare(&self, question: Question) -> Result<Prepared, Error> {
        question.expect_use_of_thrift(self.policy())?;
        question.into_request(|request| self.runner.prepare(request))
    }

    /// Does as much of [`prepare`](Self::prepare) as needs no pixel: pictures are measured, and
    /// none is decoded.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), but for what only shows when a picture is decoded.
    pub fn plan(&self, question: Question) -> Result<Planned, Error> {
        question.expect_use_of_thrift(self.policy())?;
        question.into_request(|request| self.runner.plan(request))
    }

    /// Decodes the pictures of a question that this model has planned: what is left of
    /// [`prepare`](Self::prepare).
    ///
    /// # Errors
    /// If a picture cannot be read, or the question was called off.
    pub fn lay_out(&self, planned: Planned) -> Result<Prepared, Error> {
        Ok(self.runner.lay_out(planned)?)
    }

    /// Encodes a picture once, for any number of questions that show it in the same setting: so
    /// many pictures, in so many tiles at most. It is asked about with
    /// [`Question::prepared_image`](crate::Question::prepared_image).
    ///
    /// # Errors
    /// If the picture cannot be read, the network fails, or it was called off.
    pub fn prepare_image(
        &self,
        picture: &PictureInput,
        setting: Setting,
        cancel: &Cancel,
    ) -> Result<PreparedImage, Error> {
        Ok(self.runner.prepare_image(picture, setting, cancel)?)
    }

    /// What the cache of encoded pictures holds, if there is one.
    pub fn picture_cache(&self) -> Option<PictureCacheStats> {
        self.runner.picture_cache()
    }

    /// Answers a question that this model prepared.
    pub fn generate(&self, prepared: Prepared) -> Generation<'_, VisorModel> {
        self.runner.generate(prepared)
    }

    /// What every budget costs for a prompt of so many text tokens about pictures of these sizes.
    pub fn costs(&self, text_tokens: usize, pictures: &[PictureSize]) -> CostTable {
        info::costs(self.card(), self.runner.image_processor(), text_tokens, pictures, None)
    }

    /// What answers: the network behind its traits, for those who run its stages themselves.
    pub fn runner(&self) -> &Runner<VisorModel> {
        &self.runner
    }

    /// Sizes, budgets, names.
    pub fn card(&self) -> &ModelCard {
        self.runner.card()
    }

    /// The policy that decides where a question leaves its budget open, if one was loaded.
    pub fn policy(&self) -> Option<&PolicyInfo> {
        self.policy.as_ref()
    }

    /// What has become of its selector's weights; `None` without one.
    pub fn selector_training(&self) -> Option<SelectorTraining> {
        self.selector_training
    }

    /// What became of the checkpoint's files.
    pub fn load_report(&self) -> &LoadReport {
        &self.report
    }

    /// Fields of `config.json` that nothing here knows: they may ask for what is not done.
    pub fn unknown_fields(&self) -> &[String] {
        &self.unknown_fields
    }

    /// What its other small files ask for that is not done.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Where and how the model was loaded.
    pub fn options(&self) -> (DeviceRequest, Dtype) {
        (self.options.device, self.options.dtype)
    }
}
