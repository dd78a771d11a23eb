//! How an answer is generated.

use crate::sampler::Sampling;
use crate::stop::StopString;
use std::num::NonZeroUsize;

/// Most tokens of an answer where nothing else is asked for and the context has room.
pub const DEFAULT_MAX_NEW_TOKENS: usize = 256;

/// How an answer is generated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationSettings {
    /// Most tokens of the answer. More than the context has room for is an error. `None`:
    /// [`DEFAULT_MAX_NEW_TOKENS`], or what the context has room for if that is less.
    pub max_new_tokens: Option<NonZeroUsize>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Text that ends the answer.
    pub stop: Vec<StopString>,
}
