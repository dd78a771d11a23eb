//! A question about pictures, put together step by step.

use crate::error::Error;
use crate::policy::PolicyInfo;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use visor_core::cost::Flops;
use visor_core::{BudgetRequest, Patches, Thrift};
use visor_processor::{Message, Picture};
use visor_runtime::{
    Cancel, GenerationSettings, PictureInput, PolicyError, PreparedImage, Request, RunError,
    Wording,
};

/// Larger picture files are not read.
pub const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// A question about any number of pictures, with the budget for its answer.
#[derive(Clone, Debug)]
pub struct Question {
    request: Request,
    sources: Vec<PictureSource>,
}

#[derive(Clone, Debug)]
enum PictureSource {
    Given(PictureInput),
    File(PathBuf),
}

impl Question {
    /// A question in the user's words, at the default budget.
    pub fn new(text: impl Into<String>) -> Self {
        Self { request: Request::new(text), sources: Vec::new() }
    }

    /// A prompt that is rendered already, with one image token a picture; nothing is added to it
    /// and special tokens count as such.
    pub fn rendered(prompt: impl Into<String>) -> Self {
        let request = Request { wording: Wording::Rendered(prompt.into()), ..Request::new("") };
        Self { request, sources: Vec::new() }
    }

    /// A conversation that ends with what the user asks. Its pictures are those that are added, in
    /// the order in which its messages show them.
    pub fn conversation(messages: Vec<Message>) -> Self {
        let request = Request { wording: Wording::Conversation(messages), ..Request::new("") };
        Self { request, sources: Vec::new() }
    }

    /// Bounds how many tiles a picture is cut into where the model cuts pictures; 1 is not at all.
    #[must_use]
    pub fn max_tiles(mut self, max_tiles: NonZeroUsize) -> Self {
        self.request.max_tiles = Some(max_tiles);
        self
    }

    /// Adds a decoded picture behind those that are there.
    #[must_use]
    pub fn picture(self, picture: Picture) -> Self {
        self.with(PictureSource::Given(PictureInput::Decoded(picture)))
    }

    /// Adds the bytes of a PNG, JPEG, WebP, BMP or GIF file.
    #[must_use]
    pub fn picture_bytes(self, bytes: Vec<u8>) -> Self {
        self.with(PictureSource::Given(PictureInput::Bytes(bytes)))
    }

    /// Adds a picture that the model to be asked has encoded before.
    #[must_use]
    pub fn prepared_image(self, image: PreparedImage) -> Self {
        self.with(PictureSource::Given(PictureInput::Prepared(image)))
    }

    /// Adds a picture file, which is read when the question is asked.
    #[must_use]
    pub fn picture_file(self, path: impl AsRef<Path>) -> Self {
        self.with(PictureSource::File(path.as_ref().to_owned()))
    }

    /// Asks for a budget: a rung, `dense`, `auto`, or the dearest below a ceiling.
    #[must_use]
    pub fn budget(mut self, budget: BudgetRequest) -> Self {
        self.request.budget = Some(budget);
        self
    }

    /// Sets a ceiling on the FLOPs of everything before the first token. Without a budget of its
    /// own the model's policy chooses among the rungs that cost no more; where there is no policy
    /// the question gets the largest of them.
    #[must_use]
    pub fn ceiling(mut self, ceiling: Flops) -> Self {
        self.request.ceiling = Some(ceiling);
        self
    }

    /// Says how much cost weighs where a policy chooses the budget, in place of the policy's own
    /// thrift. Beside a budget of its own, or without a policy, it is an error.
    #[must_use]
    pub fn thrift(mut self, thrift: Thrift) -> Self {
        self.request.thrift = Some(thrift);
        self
    }

    /// Says what cross-attention may read of the pictures: everything, as many patches as the
    /// model's selector finds enough, or a number of them.
    #[must_use]
    pub fn patches(mut self, patches: Patches) -> Self {
        self.request.patches = patches;
        self
    }

    /// Says how the answer is generated.
    #[must_use]
    pub fn settings(mut self, settings: GenerationSettings) -> Self {
        self.request.settings = settings;
        self
    }

    /// Ties the question to a switch that calls it off.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.request.cancel = cancel;
        self
    }

    fn with(mut self, source: PictureSource) -> Self {
        self.sources.push(source);
        self
    }

    /// A thrift that nothing would weigh is an error and not a wish that is passed over.
    pub(crate) fn expect_use_of_thrift(&self, policy: Option<&PolicyInfo>) -> Result<(), Error> {
        if self.request.thrift.is_none() {
            return Ok(());
        }
        match (&self.request.budget, policy) {
            (None | Some(BudgetRequest::Auto), Some(policy)) => match policy.default_thrift {
                Some(_) => Ok(()),
                None => {
                    let objective = policy.objective.word();
                    Err(RunError::from(PolicyError::NoThrift { objective }).into())
                }
            },
            (None, None) => Err(Error::ThriftWithoutPolicy),
            // That there is no policy is said where the budget is resolved, with what there is.
            (Some(BudgetRequest::Auto), None) => Ok(()),
            (Some(budget), _) => Err(Error::ThriftBesideBudget { budget: budget.to_string() }),
        }
    }

    /// Reads the picture files and hands the request to `prepare`, whose errors about a picture
    /// then name its file.
    pub(crate) fn into_request<T>(
        self,
        prepare: impl FnOnce(Request) -> Result<T, RunError>,
    ) -> Result<T, Error> {
        let Self { mut request, sources } = self;
        let mut paths = Vec::with_capacity(sources.len());
        for source in sources {
            let (input, path) = match source {
                PictureSource::Given(input) => (input, None),
                PictureSource::File(path) => (PictureInput::Bytes(read(&path)?), Some(path)),
            };
            request.pictures.push(input);
            paths.push(path);
        }
        prepare(request).map_err(|error| match error {
            RunError::Picture { index, source } => match paths.get(index).cloned().flatten() {
                Some(path) => Error::Picture { path, source },
                None => RunError::Picture { index, source }.into(),
            },
            other => other.into(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::PictureFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_PICTURE_BYTES {
        return Err(Error::PictureTooLarge { path: path.to_owned(), limit: MAX_PICTURE_BYTES });
    }
    Ok(bytes)
}
