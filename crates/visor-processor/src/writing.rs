//! From what is asked to an encoded prompt: words around it, pictures written out, ids.
//!
//! A checkpoint says how it is asked: by a plain template for one question, or by the chat template
//! that it was trained with. In either, every picture's marker is replaced by what its tiles become
//! before the text is tokenised as a whole, since a tokenizer may merge across where pieces meet.

use crate::chat::{Message, Part, Role};
use crate::chat_template::ChatTemplate;
use crate::prompt::{EncodedPrompt, ImageTokens, PromptError};
use crate::template::{PromptTemplate, first_surplus};
use crate::tiles::Arrangement;
use crate::tokenizer::Tokenizer;

/// How a model is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Template {
    /// One question, as small models trained on generated tasks are asked.
    Plain(PromptTemplate),
    /// Conversations.
    Chat(Box<ChatTemplate>),
}

impl From<PromptTemplate> for Template {
    fn from(template: PromptTemplate) -> Self {
        Self::Plain(template)
    }
}

impl From<ChatTemplate> for Template {
    fn from(template: ChatTemplate) -> Self {
        Self::Chat(Box::new(template))
    }
}

/// What a model's prompts are made of besides words.
#[derive(Clone, Copy, Debug)]
pub struct Scribe<'a> {
    /// Text to ids.
    pub tokenizer: &'a Tokenizer,
    /// The id that stands for a picture.
    pub image_token: u32,
    /// Visual tokens of one tile.
    pub tile: ImageTokens,
}

impl Scribe<'_> {
    /// A question about pictures that stand before it.
    ///
    /// # Errors
    ///
    /// [`PromptError`]: an empty question, or one with a token that steers the model.
    pub fn question(
        &self,
        template: &Template,
        question: &str,
        pictures: &[Arrangement],
    ) -> Result<EncodedPrompt, PromptError> {
        match template {
            Template::Plain(plain) => {
                let places = self.places(pictures);
                plain.encode(self.tokenizer, self.image_token, question, &places)
            }
            Template::Chat(_) if question.trim().is_empty() => Err(PromptError::EmptyQuestion),
            Template::Chat(_) => {
                let message = Message::question(question, pictures.len());
                self.conversation(template, &[message], pictures)
            }
        }
    }

    /// A conversation whose last message is the user's; its pictures stand where it says.
    ///
    /// # Errors
    ///
    /// [`PromptError`]: no message, a last one that is not the user's, another number of pictures,
    /// words with a token that steers the model, a template that fails, or more than one message or
    /// pictures between words for a model that is asked single questions.
    pub fn conversation(
        &self,
        template: &Template,
        messages: &[Message],
        pictures: &[Arrangement],
    ) -> Result<EncodedPrompt, PromptError> {
        let markers = messages.iter().map(Message::pictures).sum();
        if markers != pictures.len() {
            return Err(PromptError::ImageCount { markers, pictures: pictures.len() });
        }
        match messages.last() {
            Some(Message { role: Role::User, .. }) => {}
            last => return Err(PromptError::LastMessage { role: last.map(|last| last.role) }),
        }
        let chat = match template {
            Template::Chat(chat) => chat,
            Template::Plain(plain) => {
                let question = single_question(messages).ok_or(PromptError::NoConversation)?;
                let places = self.places(pictures);
                return plain.encode(self.tokenizer, self.image_token, &question, &places);
            }
        };
        let text = self.expanded(&chat.render(messages)?, pictures)?;
        // The template's own special tokens are those around words that are none.
        let neutral: Vec<Message> =
            messages.iter().map(|message| message.with_texts("x")).collect();
        let own = self.tokenizer.encode(&self.expanded(&chat.render(&neutral)?, pictures)?)?;
        let ids = self.tokenizer.encode(&text)?;
        if let Some(id) = first_surplus(&self.control(&ids), &self.control(&own)) {
            let token = self.tokenizer.id_to_token(id).unwrap_or_else(|| id.to_string());
            return Err(PromptError::Reserved { token });
        }
        EncodedPrompt::from_expanded(&ids, self.image_token, &self.places(pictures))
    }

    /// A prompt that is rendered already, with one marker a picture: special tokens count as such.
    ///
    /// # Errors
    ///
    /// [`PromptError::ImageCount`] for another number of pictures than markers; and as
    /// [`EncodedPrompt::from_expanded`].
    pub fn rendered(
        &self,
        prompt: &str,
        pictures: &[Arrangement],
    ) -> Result<EncodedPrompt, PromptError> {
        let ids = self.tokenizer.encode(&self.expanded(prompt, pictures)?)?;
        EncodedPrompt::from_expanded(&ids, self.image_token, &self.places(pictures))
    }

    fn places(&self, pictures: &[Arrangement]) -> Vec<ImageTokens> {
        pictures.iter().flat_map(|picture| picture.places(self.tile)).collect()
    }

    /// The text with every marker replaced by its picture, written out.
    fn expanded(&self, prompt: &str, pictures: &[Arrangement]) -> Result<String, PromptError> {
        let Some(marker) = self.tokenizer.id_to_token(self.image_token) else {
            return Err(PromptError::NoImageToken { id: self.image_token });
        };
        let pieces: Vec<&str> = prompt.split(marker.as_str()).collect();
        let markers = pieces.len() - 1;
        if markers != pictures.len() {
            return Err(PromptError::ImageCount { markers, pictures: pictures.len() });
        }
        let written = pictures.iter().map(|picture| picture.written(&marker, self.tile));
        let written = written.chain([String::new()]);
        Ok(pieces.into_iter().zip(written).flat_map(|(piece, w)| [piece.to_owned(), w]).collect())
    }

    /// The ids that steer the model, those that stand for pictures included.
    fn control(&self, ids: &[u32]) -> Vec<u32> {
        ids.iter().copied().filter(|id| self.steers(*id)).collect()
    }

    /// Whether an id steers the model or stands for a picture.
    pub(crate) fn steers(&self, id: u32) -> bool {
        id == self.image_token || self.tokenizer.is_control(id)
    }
}

/// The words of one message of the user, whose pictures stand before them or behind them: the
/// template says where they are shown. Between words a picture means something there.
fn single_question(messages: &[Message]) -> Option<String> {
    let [message @ Message { role: Role::User, parts }] = messages else { return None };
    let is_word = |part: &Part| matches!(part, Part::Text(text) if !text.trim().is_empty());
    let first = parts.iter().position(is_word).unwrap_or(0);
    let behind = parts.iter().rposition(is_word).map_or(0, |last| last + 1);
    let between = parts.get(first..behind).is_some_and(|words| words.contains(&Part::Image));
    (!between).then(|| message.texts().collect::<Vec<_>>().join(" "))
}
