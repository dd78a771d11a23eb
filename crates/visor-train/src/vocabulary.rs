//! The closed vocabulary of a generated world: special tokens, then the suite's words.

use crate::error::TrainError;
use std::collections::BTreeMap;
use visor_tasks::Suite;

/// Stands for every word that is not in the vocabulary.
pub const UNKNOWN: &str = "<unk>";
/// Fills up rows of a batch.
pub const PAD: &str = "<pad>";
/// Marks a picture in a prompt.
pub const IMAGE: &str = "<image>";
/// Stands between question and answer: the generation prompt.
pub const ANSWER: &str = "<a>";
/// Ends an answer.
pub const END: &str = "<eos>";

/// Words to token ids.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    ids: BTreeMap<String, u32>,
}

impl Vocabulary {
    /// The vocabulary of a suite.
    pub fn new(suite: &Suite) -> Self {
        let special = Self::special().map(str::to_owned);
        let own = suite.vocabulary().into_iter().map(str::to_owned);
        let words: Vec<String> = special.into_iter().chain(own).collect();
        let ids = words.iter().enumerate().map(|(id, word)| (word.clone(), id as u32)).collect();
        Self { words, ids }
    }

    /// The special tokens, in the order of their ids.
    pub fn special() -> [&'static str; 5] {
        [UNKNOWN, PAD, IMAGE, ANSWER, END]
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are no tokens, which never happens.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// All tokens in the order of their ids.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The id of a word.
    ///
    /// # Errors
    /// [`TrainError::UnknownWord`].
    pub fn id(&self, word: &str) -> Result<u32, TrainError> {
        let id = self.ids.get(word).copied();
        id.ok_or_else(|| TrainError::UnknownWord { word: word.to_owned() })
    }

    /// The ids of a text whose words are separated by spaces.
    ///
    /// # Errors
    /// [`TrainError::UnknownWord`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        text.split_whitespace().map(|word| self.id(word)).collect()
    }
}
