//! A prompt as the model takes it: ids of the text, and where the pictures stand between them.
//!
//! Text and visual tokens travel apart, but each keeps the position that it has in the dense prompt,
//! in which every picture is written out as its visual tokens: text keeps the gap that a picture
//! leaves. Positions are made here once and never inferred from a cache's length, so that layers
//! which see text alone, text and pictures, or both joined (VISOR, arXiv 2603.23495, equations 1 to
//! 3) agree on where everything stands.

use crate::chat::Role;
use crate::tokenizer::TokenizerError;
use std::ops::Range;

/// How many visual tokens one picture (or one tile with a place of its own) gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTokens {
    /// Rows of visual tokens.
    pub rows: usize,
    /// Visual tokens in a row.
    pub cols: usize,
}

/// The place of one picture in the dense prompt: `len` positions from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSpan {
    /// Position of the first visual token.
    pub start: usize,
    /// Visual tokens: `rows * cols`.
    pub len: usize,
    /// Rows of visual tokens.
    pub rows: usize,
    /// Visual tokens in a row.
    pub cols: usize,
}

impl ImageSpan {
    /// The position behind the last visual token.
    pub fn end(&self) -> usize {
        self.start + self.len
    }

    /// Its visual tokens.
    pub fn tokens(&self) -> ImageTokens {
        ImageTokens { rows: self.rows, cols: self.cols }
    }

    /// Row and column of the picture's `index`-th visual token, counted from 0.
    pub fn row_col(&self, index: usize) -> (usize, usize) {
        (index / self.cols, index % self.cols)
    }
}

/// A prompt that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The question has no words.
    #[error("the question is empty: expected at least one word")]
    EmptyQuestion,
    /// The prompt has no token at all.
    #[error("the prompt is empty: expected at least one text token")]
    EmptyPrompt,
    /// Pictures and their places in the prompt do not match.
    #[error("the prompt has {markers} image markers for {pictures} pictures: expected one each")]
    ImageCount {
        /// Image markers in the prompt.
        markers: usize,
        /// Pictures given.
        pictures: usize,
    },
    /// A written-out prompt has a run of image tokens of another length than its picture.
    #[error(
        "picture {picture} gives {expected} visual tokens, the prompt has {found} in its place"
    )]
    ImageTokens {
        /// Index of the picture, from 0.
        picture: usize,
        /// Tokens that the picture gives.
        expected: usize,
        /// Image tokens in the prompt.
        found: usize,
    },
    /// A picture without visual tokens.
    #[error("picture {picture} has {rows}x{cols} visual tokens: expected at least one")]
    NoVisualTokens {
        /// Index of the picture, from 0.
        picture: usize,
        /// Rows of visual tokens.
        rows: usize,
        /// Visual tokens in a row.
        cols: usize,
    },
    /// The prompt is longer than the model's context.
    #[error("the prompt has {tokens} tokens, of which {visual} are visual: expected at most {max}")]
    TooLong {
        /// Tokens of the dense prompt; `usize::MAX` where they cannot be counted.
        tokens: usize,
        /// Visual tokens among them.
        visual: usize,
        /// The limit.
        max: usize,
    },
    /// A user's text contains a token that steers the model.
    #[error("the question contains `{token}`, which is reserved: leave it out")]
    Reserved {
        /// The token, as the vocabulary writes it.
        token: String,
    },
    /// A user's text contains what marks the place of a picture.
    #[error(
        "{} contains `{marker}` at letter {at}, which is reserved for the places of pictures: leave \
         it out, a picture is shown beside the words", whose(*message, *messages)
    )]
    Marker {
        /// What marks the place.
        marker: String,
        /// Which message it is in, counted from 1.
        message: usize,
        /// How many messages there are.
        messages: usize,
        /// Where in the message's words, in letters, counted from 1.
        at: usize,
    },
    /// The template has no place for pictures.
    #[error("{pictures} pictures for a prompt template that has no place for any")]
    NoImagePlace {
        /// Pictures given.
        pictures: usize,
    },
    /// The tokenizer lacks the token that stands for a picture.
    #[error(
        "the tokenizer has no token with the id {id}, which config.json says stands for a picture: \
         they are from different checkpoints"
    )]
    NoImageToken {
        /// The id.
        id: u32,
    },
    /// A conversation for a model that is asked single questions.
    #[error(
        "this model is asked one question at a time: expected one message of the user, its \
         pictures before its words or behind them and none in between"
    )]
    NoConversation,
    /// Nobody asked anything last.
    #[error(
        "the last message is {}: expected one of the user, which is then answered",
        role.map_or_else(|| "missing".to_owned(), |role| format!("of the {role}"))
    )]
    LastMessage {
        /// Whose it is; `None` without any message.
        role: Option<Role>,
    },
    /// The checkpoint's chat template fails, or refuses the conversation.
    #[error("the chat template of this model fails: {0}")]
    ChatTemplate(#[source] Box<minijinja::Error>),
    /// A conversation to learn from in which the last word is not the assistant's.
    #[error("there is no answer to learn: expected the last message to be the assistant's")]
    NoAnswer,
    /// An answer without words.
    #[error("an answer is empty: expected at least one word")]
    EmptyAnswer,
    /// The chat template does not write an answer where it asked for one.
    #[error(
        "the chat template of this model does not write an answer behind the prompt for it: there \
         is nothing that it could learn to say"
    )]
    AnswerElsewhere,
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// What users call a message.
fn whose(message: usize, messages: usize) -> String {
    match messages {
        1 => "the question".to_owned(),
        _ => format!("message {message} of {messages}"),
    }
}

/// A tokenised prompt with explicit positions. It has at least one text token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPrompt {
    text_ids: Vec<u32>,
    text_positions: Vec<usize>,
    images: Vec<ImageSpan>,
    len: usize,
    question: Range<usize>,
}

impl EncodedPrompt {
    /// From ids that hold one `image_token` a picture: each is replaced by the picture's tokens.
    ///
    /// # Errors
    ///
    /// [`PromptError::ImageCount`] unless `ids` holds as many markers as there are `images`,
    /// [`PromptError::NoVisualTokens`] for a picture of none, [`PromptError::EmptyPrompt`] for a
    /// prompt without text.
    pub fn from_ids(
        ids: &[u32],
        image_token: u32,
        images: &[ImageTokens],
    ) -> Result<Self, PromptError> {
        let markers = ids.iter().filter(|id| **id == image_token).count();
        if markers != images.len() {
            return Err(PromptError::ImageCount { markers, pictures: images.len() });
        }
        let mut prompt = Self::empty();
        let mut images = images.iter();
        for &id in ids {
            if id != image_token {
                prompt.push_text(id);
            } else if let Some(&image) = images.next() {
                prompt.push_image(image)?;
            }
        }
        prompt.finish()
    }

    /// From ids in which each picture, or each tile with a place of its own, already stands as its
    /// `rows * cols` image tokens.
    ///
    /// # Errors
    ///
    /// As [`from_ids`](Self::from_ids), and [`PromptError::ImageTokens`] where a run of image tokens
    /// ends early. `ImageCount` counts the image tokens that no picture is left for as one marker.
    pub fn from_expanded(
        ids: &[u32],
        image_token: u32,
        images: &[ImageTokens],
    ) -> Result<Self, PromptError> {
        let mut prompt = Self::empty();
        let mut rest = ids;
        let mut remaining = images.iter();
        while let Some((&id, tail)) = rest.split_first() {
            if id != image_token {
                prompt.push_text(id);
                rest = tail;
                continue;
            }
            let picture = prompt.images.len();
            let Some(&image) = remaining.next() else {
                return Err(PromptError::ImageCount {
                    markers: picture + 1,
                    pictures: images.len(),
                });
            };
            let expected = prompt.push_image(image)?;
            let found = rest.iter().take(expected).take_while(|id| **id == image_token).count();
            if found != expected {
                return Err(PromptError::ImageTokens { picture, expected, found });
            }
            rest = &rest[expected..];
        }
        let markers = prompt.images.len();
        if markers != images.len() {
            return Err(PromptError::ImageCount { markers, pictures: images.len() });
        }
        prompt.finish()
    }

    /// The same prompt with the ids of an answer behind it. Whatever they are, they are text: a
    /// marker that a model writes is no picture.
    #[must_use]
    pub fn continued(&self, ids: &[u32]) -> Self {
        let mut prompt = self.clone();
        ids.iter().for_each(|&id| prompt.push_text(id));
        prompt
    }

    /// Whether this is another prompt and more text or pictures behind it.
    pub(crate) fn goes_on_from(&self, other: &Self) -> bool {
        let Self { text_ids, text_positions, images, .. } = other;
        self.text_ids.starts_with(text_ids)
            && self.text_positions.starts_with(text_positions)
            && self.images.starts_with(images)
    }

    fn empty() -> Self {
        Self {
            text_ids: Vec::new(),
            text_positions: Vec::new(),
            images: Vec::new(),
            len: 0,
            question: 0..0,
        }
    }

    fn push_text(&mut self, id: u32) {
        self.text_ids.push(id);
        self.text_positions.push(self.len);
        // Ids lie in memory, so that their number fits; the total was checked with each picture.
        self.len = self.len.saturating_add(1);
    }

    /// The picture's number of tokens.
    fn push_image(&mut self, image: ImageTokens) -> Result<usize, PromptError> {
        let ImageTokens { rows, cols } = image;
        if rows == 0 || cols == 0 {
            return Err(PromptError::NoVisualTokens { picture: self.images.len(), rows, cols });
        }
        let len = rows.checked_mul(cols).filter(|len| self.len.checked_add(*len).is_some());
        let Some(len) = len else {
            let (tokens, max) = (usize::MAX, usize::MAX - 1);
            return Err(PromptError::TooLong { tokens, visual: usize::MAX, max });
        };
        self.images.push(ImageSpan { start: self.len, len, rows, cols });
        self.len += len;
        Ok(len)
    }

    fn finish(self) -> Result<Self, PromptError> {
        let question = 0..self.text_ids.len();
        if question.is_empty() {
            Err(PromptError::EmptyPrompt)
        } else {
            Ok(Self { question, ..self })
        }
    }

    /// The same where the text tokens `question` alone are what the user asks last, the words of a
    /// template around them left out.
    ///
    /// # Panics
    /// If the range is empty or beyond the text.
    #[must_use]
    pub fn with_question(self, question: Range<usize>) -> Self {
        assert!(
            !question.is_empty() && question.end <= self.text_ids.len(),
            "{question:?} is no part of {} text tokens",
            self.text_ids.len()
        );
        Self { question, ..self }
    }

    /// Which of the text tokens are what the user asks last. All of them where nothing else is
    /// known.
    pub fn question(&self) -> Range<usize> {
        self.question.clone()
    }

    /// Ids of the text tokens, in order.
    pub fn text_ids(&self) -> &[u32] {
        &self.text_ids
    }

    /// Ids of the dense prompt, every visual token as the id that stands for a picture.
    pub fn dense_ids(&self, image_token: u32) -> Vec<u32> {
        let mut ids = vec![image_token; self.len];
        for (&position, &id) in self.text_positions.iter().zip(&self.text_ids) {
            ids[position] = id;
        }
        ids
    }

    /// The position of each text token in the dense prompt, ascending.
    pub fn text_positions(&self) -> &[usize] {
        &self.text_positions
    }

    /// The places of the pictures, in order.
    pub fn images(&self) -> &[ImageSpan] {
        &self.images
    }

    /// Number of text tokens.
    pub fn n_text(&self) -> usize {
        self.text_ids.len()
    }

    /// Number of visual tokens of all pictures.
    pub fn n_visual(&self) -> usize {
        self.len - self.text_ids.len()
    }

    /// Positions of all visual tokens, picture by picture.
    pub fn visual_positions(&self) -> impl Iterator<Item = usize> {
        self.images.iter().flat_map(|span| span.start..span.end())
    }

    /// How many visual tokens stand before the `index`-th text token: what cross-attention may read
    /// from there. `None` beyond the text.
    pub fn visual_before(&self, index: usize) -> Option<usize> {
        self.text_positions.get(index).map(|position| position - index)
    }

    /// Tokens of the dense prompt, text and visual: at least 1. The routing token and the first
    /// generated token stand at this position.
    #[expect(clippy::len_without_is_empty, reason = "a prompt is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Checks the dense prompt's length against a model's context, in tokens.
    ///
    /// # Errors
    ///
    /// [`PromptError::TooLong`] with both numbers.
    pub fn check_context(&self, max: usize) -> Result<(), PromptError> {
        if self.len > max {
            return Err(PromptError::TooLong { tokens: self.len, visual: self.n_visual(), max });
        }
        Ok(())
    }
}
