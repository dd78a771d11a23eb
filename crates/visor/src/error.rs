//! Why a model cannot be loaded or a question not be answered.

use crate::memory::TooLittleMemory;
use crate::model_ref::ModelRefError;
use crate::policy_ref::PolicyRefError;
use crate::preprocessor::PreprocessorError;
use crate::verify::ReferenceError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;
use visor_checkpoint::CheckpointError;
use visor_checkpoint::hub::HubError;
use visor_model::ModelError;
use visor_policy::PolicyFileError;
use visor_processor::{ChatTemplateError, PictureError, TemplateError, TokenizerError};
use visor_runtime::{DeviceError, Dtype, RunError};

/// Why a model cannot be loaded or a question not be answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such model.
    #[error(transparent)]
    ModelRef(#[from] ModelRefError),
    /// The model cannot be had from the hub.
    #[error(transparent)]
    Hub(Box<HubError>),
    /// There is no such policy.
    #[error(transparent)]
    PolicyRef(#[from] PolicyRefError),
    /// The policy's files are missing or damaged, or it was trained for another model.
    #[error("the policy `{policy}` cannot be used")]
    Policy {
        /// Its name.
        policy: String,
        /// What is wrong with it.
        #[source]
        source: Box<PolicyFileError>,
    },
    /// Other budgets for a model whose policy was trained for those that it has.
    #[error(
        "the policy `{policy}` chooses from the budgets that it was trained for: load the model \
         without a policy to give it others"
    )]
    PairsBesidePolicy {
        /// The policy.
        policy: String,
    },
    /// Thrift beside a budget that was asked for.
    #[error(
        "thrift says how a policy weighs cost when it chooses the budget, and the budget is \
         `{budget}`: ask for `auto`, or leave out --thrift"
    )]
    ThriftBesideBudget {
        /// The budget.
        budget: String,
    },
    /// Thrift where no policy chooses.
    #[error(
        "thrift says how a policy weighs cost when it chooses the budget, and this model has no \
         policy: name a budget, or a ceiling with --max-gflops, and leave out --thrift"
    )]
    ThriftWithoutPolicy,
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The weights do not fit.
    #[error(
        "the weights of `{model}` do not fit into memory in {dtype}: free some, or load them in fewer \
         bytes (`--dtype int8`)"
    )]
    Memory {
        /// The model.
        model: String,
        /// The number format.
        dtype: Dtype,
        /// What there is.
        source: TooLittleMemory,
    },
    /// The checkpoint's files are missing, damaged or from another checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No network can be made of them.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file is missing that says how to ask the model.
    #[error("`{model}` has no `{file}`, which says {says}")]
    MissingFile {
        /// The model.
        model: String,
        /// The file.
        file: &'static str,
        /// What it is for.
        says: &'static str,
    },
    /// The tokenizer does not load.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tokenizer belongs to another model.
    #[error(
        "the tokenizer has {tokenizer} tokens and the model an embedding for {model}: they are \
         from different checkpoints"
    )]
    Vocabulary {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Rows of the embedding table.
        model: usize,
    },
    /// Pictures cannot be prepared as the checkpoint says.
    #[error(transparent)]
    Preprocessor(#[from] PreprocessorError),
    /// The prompt template cannot be used.
    #[error("`prompt_template.txt` cannot be used: {0}")]
    Template(#[from] TemplateError),
    /// The prompt template or chat template is no text.
    #[error("`{file}` is not UTF-8 text")]
    TemplateText {
        /// The file.
        file: &'static str,
        /// Where it is not.
        #[source]
        source: std::str::Utf8Error,
    },
    /// There are several chat templates, and none of them is the one to use.
    #[error(
        "`{file}` has the chat templates {names} and none named `default`: give that name to the one \
         that shall be used"
    )]
    NamedTemplates {
        /// The file.
        file: &'static str,
        /// What they are named.
        names: String,
    },
    /// The chat template cannot be used.
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
    /// The tokenizer does not know the token that stands for a picture.
    #[error(
        "config.json says that token {expected} stands for a picture, and the tokenizer reads \
         `{marker}` as {got:?}: they are from different checkpoints"
    )]
    ImageToken {
        /// The mark of a picture.
        marker: String,
        /// The id by `config.json`.
        expected: u32,
        /// What the tokenizer makes of the mark.
        got: Vec<u32>,
    },
    /// A picture file cannot be opened or read.
    #[error("cannot read the picture `{}`: {source}", path.display())]
    PictureFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A picture file is larger than any real one.
    #[error("the picture `{}` has more than {limit} bytes: at most {limit} are read", path.display())]
    PictureTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A picture file holds no picture.
    #[error("cannot read the picture `{}`: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: PictureError,
    },
    /// There is nothing to compare with.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The request failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<HubError> for Error {
    /// Boxed: it is larger than all others.
    fn from(error: HubError) -> Self {
        Self::Hub(Box::new(error))
    }
}
