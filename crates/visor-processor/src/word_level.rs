//! A tokenizer for a closed vocabulary: one id a word, for checkpoints trained on generated tasks.

use std::collections::HashSet;

use tokenizers::AddedToken;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;

use crate::tokenizer::{Tokenizer, TokenizerError};

/// Stands for every word that a closed vocabulary lacks.
pub const UNKNOWN_TOKEN: &str = "<unk>";

/// Words that do not make a vocabulary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// [`UNKNOWN_TOKEN`] is not among the special tokens.
    #[error(
        "the special tokens lack {UNKNOWN_TOKEN}, which stands for words outside the vocabulary"
    )]
    NoUnknown,
    /// The same word twice: an id would have two meanings.
    #[error("`{word}` is in the vocabulary twice")]
    Duplicate {
        /// The word.
        word: String,
    },
    /// No text could produce this word.
    #[error(
        "`{word}` can never be read: expected one lowercase word without white space, or one \
         punctuation mark"
    )]
    Unreadable {
        /// The word.
        word: String,
    },
    /// The tokenizer library refused the vocabulary.
    #[error("the vocabulary makes no tokenizer")]
    Tokenizer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Builds the content of a `tokenizer.json` with one id a word.
///
/// Ids are the special tokens' in the order given, then the words'. Text is lowercased, split at
/// white space, and punctuation marks stand alone; special tokens are recognised whole, in their own
/// case; what is left over becomes [`UNKNOWN_TOKEN`]. Decoding joins words by single spaces.
///
/// # Errors
///
/// [`VocabularyError`]: `special` must hold [`UNKNOWN_TOKEN`], nothing may occur twice, and every
/// word must be one that reading a text can give.
pub fn word_level(words: &[&str], special: &[&str]) -> Result<Vec<u8>, VocabularyError> {
    if !special.contains(&UNKNOWN_TOKEN) {
        return Err(VocabularyError::NoUnknown);
    }
    let mut seen = HashSet::new();
    let tokens = || special.iter().chain(words).copied();
    if let Some(word) = tokens().find(|word| !seen.insert(*word)) {
        return Err(VocabularyError::Duplicate { word: word.to_owned() });
    }

    let model = WordLevel::builder()
        .vocab(tokens().map(str::to_owned).zip(0..).collect())
        .unk_token(UNKNOWN_TOKEN.to_owned())
        .build()
        .map_err(VocabularyError::Tokenizer)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Lowercase)).map_err(VocabularyError::Tokenizer)?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        WhitespaceSplit.into(),
        Punctuation::default().into(),
    ])));
    tokenizer
        .add_special_tokens(special.iter().map(|token| AddedToken::from(*token, true)))
        .map_err(VocabularyError::Tokenizer)?;
    let bytes = tokenizer.to_string(true).map_err(VocabularyError::Tokenizer)?.into_bytes();

    check_readable(&bytes, tokens())?;
    Ok(bytes)
}

/// Reads every token back: what lowercasing or splitting would change could never be produced.
fn check_readable<'a>(
    bytes: &[u8],
    tokens: impl Iterator<Item = &'a str>,
) -> Result<(), VocabularyError> {
    let refused = |error: TokenizerError| VocabularyError::Tokenizer(error.into());
    let tokenizer = Tokenizer::from_bytes(bytes).map_err(refused)?;
    for (id, token) in (0_u32..).zip(tokens) {
        if tokenizer.encode(token).map_err(refused)? != [id] {
            return Err(VocabularyError::Unreadable { word: token.to_owned() });
        }
    }
    Ok(())
}
