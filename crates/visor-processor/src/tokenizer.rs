//! Text to ids and back: a thin layer over the tokenizer that a checkpoint brings.
//!
//! Nothing is added, cut or padded: what a prompt holds is decided by its template alone.

use std::collections::HashSet;
use std::ops::Range;

use tokenizers::models::ModelWrapper;
use tokenizers::{
    DecodeStream, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
};

use crate::shield::shielded;

/// A tokenizer that does not load, or fails on a text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file is not a tokenizer.
    #[error("the tokenizer does not load: expected the content of a tokenizer.json")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A text could not be turned into ids.
    #[error("the text cannot be tokenised")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Ids could not be turned into text.
    #[error("the token ids cannot be turned into text")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What becomes of the ends of a text that is tokenised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing is added.
    AsWritten,
    /// What the tokenizer itself begins and ends texts by is added.
    Completed,
}

/// A checkpoint's tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Ids that steer the model and that no user's text may produce. The unknown token is not one.
    control: HashSet<u32>,
    unknown: Option<u32>,
}

impl Tokenizer {
    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Load`] where the bytes are no tokenizer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        // The library panics on broken syntax in some places, and on some damaged tables.
        serde_json::from_slice::<serde_json::Value>(bytes)
            .map_err(|error| TokenizerError::Load(error.into()))?;
        let mut inner = shielded(|| tokenizers::Tokenizer::from_bytes(bytes))
            .unwrap_or_else(|| Err("a table in it is damaged".into()))
            .map_err(TokenizerError::Load)?;
        // Training setups leave these in the file; a prompt must be neither cut nor filled silently.
        inner.with_truncation(None).map_err(TokenizerError::Load)?;
        inner.with_padding(None);

        let unknown = match inner.get_model() {
            ModelWrapper::WordLevel(words) => inner.token_to_id(&words.unk_token),
            ModelWrapper::BPE(_) | ModelWrapper::WordPiece(_) | ModelWrapper::Unigram(_) => None,
        };
        let control = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(id, token)| token.special && Some(*id) != unknown)
            .map(|(id, _)| id)
            .collect();
        Ok(Self { inner, control, unknown })
    }

    /// The ids of a text. Special tokens written out in it become their ids; none is added.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Encode`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_with(text, Ends::AsWritten)
    }

    /// The ids of a text as the tokenizer itself completes it, with what it begins and ends texts by.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Encode`].
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_with(text, Ends::Completed)
    }

    /// The ids of a text whose ends are as said.
    pub(crate) fn encode_with(&self, text: &str, ends: Ends) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, ends == Ends::Completed);
        Ok(encoding.map_err(TokenizerError::Encode)?.get_ids().to_vec())
    }

    /// Which tokens of `text`, by index, the bytes of `part` are in.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Encode`].
    pub fn tokens_of(
        &self,
        text: &str,
        part: Range<usize>,
    ) -> Result<Range<usize>, TokenizerError> {
        self.tokens_with(text, Ends::AsWritten, part)
    }

    /// The same among the tokens of [`encode_with`](Self::encode_with).
    pub(crate) fn tokens_with(
        &self,
        text: &str,
        ends: Ends,
        part: Range<usize>,
    ) -> Result<Range<usize>, TokenizerError> {
        let encoding = self.inner.encode(text, ends == Ends::Completed);
        let encoding = encoding.map_err(TokenizerError::Encode)?;
        // What was added stands at no place of the text.
        let inside = |&(start, end): &(usize, usize)| start < part.end && end > part.start;
        let offsets = encoding.get_offsets();
        let first = offsets.iter().position(inside).unwrap_or(0);
        let last = offsets.iter().rposition(inside).map_or(first, |last| last + 1);
        Ok(first..last)
    }

    /// The text of ids, with or without the special ones. Ids beyond the vocabulary are left out.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Decode`].
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        self.inner.decode(ids, skip_special).map_err(TokenizerError::Decode)
    }

    /// Decodes ids one at a time, for answers that appear while they are generated.
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream { inner: self.inner.decode_stream(skip_special) }
    }

    /// The id of a token as the vocabulary writes it.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as the vocabulary writes it.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of tokens, special ones included. A model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The words of a text that a closed vocabulary lacks, as typed, in order, each once whatever
    /// its case. Always empty for tokenizers that can spell any word.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Encode`].
    pub fn unknown_words(&self, text: &str) -> Result<Vec<String>, TokenizerError> {
        let Some(unknown) = self.unknown else { return Ok(Vec::new()) };
        let encoding = self.inner.encode(text, false).map_err(TokenizerError::Encode)?;
        let mut seen = HashSet::new();
        let places = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(places
            .filter(|(id, _)| **id == unknown)
            .filter_map(|(_, &(start, end))| text.get(start..end))
            .filter(|word| seen.insert(word.to_lowercase()))
            .map(str::to_owned)
            .collect())
    }

    /// Whether an id steers the model (the end of an answer, a picture's place) rather than being
    /// part of a text.
    pub fn is_control(&self, id: u32) -> bool {
        self.control.contains(&id)
    }
}

/// Text that grows with every generated id.
pub struct TextStream<'a> {
    inner: DecodeStream<
        'a,
        ModelWrapper,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >,
}

impl TextStream<'_> {
    /// The text that `id` adds; `None` while the id completes no character, or is special and left
    /// out.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Decode`].
    pub fn push(&mut self, id: u32) -> Result<Option<String>, TokenizerError> {
        self.inner.step(id).map_err(TokenizerError::Decode)
    }
}

impl std::fmt::Debug for TextStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextStream").finish_non_exhaustive()
    }
}
