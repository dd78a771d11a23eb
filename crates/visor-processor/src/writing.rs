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
use std::ops::Range;

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
    /// [`PromptError`]: an empty question, or one with a token that steers the model or marks the
    /// place of a picture.
    pub fn question(
        &self,
        template: &Template,
        question: &str,
        pictures: &[Arrangement],
    ) -> Result<EncodedPrompt, PromptError> {
        match template {
            Template::Plain(plain) => {
                self.check_words(&[Message::question(question, 0)])?;
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

    /// A conversation whose last message is the user's; its pictures stand where it says. What is
    /// asked last ([`EncodedPrompt::question`]) runs from the first to the last word of that
    /// message: words around the tiles of a picture between them are within. It is the whole prompt
    /// where the template does not write these words out.
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
        self.check_words(messages)?;
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
        let own = self.expanded(&chat.render(&neutral)?, pictures)?;
        let own = self.tokenizer.encode_with(&own, chat.ends_of(&own))?;
        let ends = chat.ends_of(&text);
        let ids = self.tokenizer.encode_with(&text, ends)?;
        if let Some(id) = first_surplus(&self.control(&ids), &self.control(&own)) {
            let token = self.tokenizer.id_to_token(id).unwrap_or_else(|| id.to_string());
            return Err(PromptError::Reserved { token });
        }
        let prompt = EncodedPrompt::from_expanded(&ids, self.image_token, &self.places(pictures))?;
        let other = self.expanded(&chat.render(&with_other_words_last(messages))?, pictures)?;
        let Some(words) = difference(&text, &other) else { return Ok(prompt) };
        let tokens = self.tokenizer.tokens_with(&text, ends, words)?;
        let is_text = |id: &&u32| **id != self.image_token;
        let n_text = |end: usize| ids.iter().take(end).filter(is_text).count();
        let question = n_text(tokens.start)..n_text(tokens.end);
        Ok(if question.is_empty() { prompt } else { prompt.with_question(question) })
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

    /// Whether the words of all messages leave the places of pictures alone.
    fn check_words(&self, messages: &[Message]) -> Result<(), PromptError> {
        let Some(marker) = self.tokenizer.id_to_token(self.image_token) else { return Ok(()) };
        for (message, said) in (1..).zip(messages) {
            let words = said.texts().collect::<Vec<_>>().join(" ");
            if let Some((before, _)) = words.split_once(&marker) {
                let (at, messages) = (before.chars().count() + 1, messages.len());
                return Err(PromptError::Marker { marker, message, messages, at });
            }
        }
        Ok(())
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

/// The same messages, with words in the last one that begin and end otherwise.
fn with_other_words_last(messages: &[Message]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    if let Some(last) = messages.last_mut() {
        let words: String = last.texts().collect();
        let words = words.trim();
        let is_edge = |word: &&str| words.starts_with(*word) || words.ends_with(*word);
        // Two of three at most are at an edge.
        let other = ["x", "y", "z"].into_iter().find(|word| !is_edge(word));
        *last = last.with_texts(other.unwrap_or_default());
    }
    messages
}

/// Where a text is another than `other`: its bytes from the first letter that differs to the last,
/// without the white space around them.
fn difference(text: &str, other: &str) -> Option<Range<usize>> {
    let mut ahead = text.char_indices().zip(other.chars());
    let ((start, _), _) = ahead.find(|((_, a), b)| a != b)?;
    let mut back = text.char_indices().rev().zip(other.chars().rev());
    let ((last, letter), _) = back.find(|((_, a), b)| a != b)?;
    let part = text.get(start..last + letter.len_utf8())?;
    let start = start + part.len() - part.trim_start().len();
    Some(start..start + part.trim().len())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word_level;
    use std::collections::BTreeMap;

    const IMAGE: u32 = 1;

    /// The words that the prompt says were asked last.
    fn asked(template: &str, messages: &[Message]) -> String {
        let words = ["a", "b", "c", "x", "y", "z", "user", "answer"];
        let json = word_level(&words, &["<unk>", "<image>", "<end>"]).expect("words");
        let tokenizer = Tokenizer::from_bytes(&json).expect("a tokenizer");
        let chat = ChatTemplate::parse(template, BTreeMap::new(), Default::default);
        let template = chat.expect("a template").into();
        let tile = ImageTokens { rows: 2, cols: 2 };
        let scribe = Scribe { tokenizer: &tokenizer, image_token: IMAGE, tile };
        let pictures = vec![Arrangement::Whole; messages.iter().map(Message::pictures).sum()];
        let prompt = scribe.conversation(&template, messages, &pictures).expect("a prompt");
        let words = prompt.text_ids()[prompt.question()].iter();
        let words: Option<Vec<_>> = words.map(|id| tokenizer.id_to_token(*id)).collect();
        words.expect("known ids").join(" ")
    }

    fn said(role: Role, parts: &[&str]) -> Message {
        let part = |part: &&str| match *part {
            "<image>" => Part::Image,
            text => Part::Text(text.to_owned()),
        };
        Message { role, parts: parts.iter().map(part).collect() }
    }

    const TRIMMED: &str = "{% for m in messages %}{{ m.role }} {% for c in m.content %}\
        {{ c.text | trim if c.type == 'text' else '<image>' }} {% endfor %}<end> {% endfor %}answer";

    #[test]
    fn what_is_asked_last_is_told_from_the_words_of_a_chat_template() {
        let user = |parts: &[&str]| [said(Role::User, parts)];
        for (parts, words) in [
            (&["a b"][..], "a b"),
            (&["<image>", "  b c \n"], "b c"),
            (&["a", "<image>", "b", "<image>", "c"], "a b c"),
            // White space in front of a picture is no word.
            (&[" ", "<image>", "a"], "a"),
            // Words that a template has too, and those that others are told apart by.
            (&["<image>", "user answer"], "user answer"),
            (&["answer"], "answer"),
            (&["x"], "x"),
            (&["x y z"], "x y z"),
            (&["x", "<image>", "y"], "x y"),
        ] {
            assert_eq!(asked(TRIMMED, &user(parts)), words, "{parts:?}");
        }
    }

    /// The vocabulary of a tokenizer that begins every text by `<s>`.
    fn beginning() -> Tokenizer {
        let special = ["<unk>", "<image>", "<s>", "</s>"];
        let json = word_level(&["a", "b", "user", "answer"], &special).expect("words");
        let mut json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let begin = serde_json::json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        let text = |id| serde_json::json!({"Sequence": {"id": id, "type_id": 0}});
        json["post_processor"] = serde_json::json!({
            "type": "TemplateProcessing",
            "single": [begin, text("A")],
            "pair": [begin, text("A"), text("B")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]}},
        });
        Tokenizer::from_bytes(json.to_string().as_bytes()).expect("a tokenizer")
    }

    #[test]
    fn the_tokenizer_begins_a_prompt_that_its_template_does_not_begin() {
        let tokenizer = beginning();
        let tile = ImageTokens { rows: 1, cols: 2 };
        let scribe = Scribe { tokenizer: &tokenizer, image_token: IMAGE, tile };
        let turns = "{% for m in messages %}user {% for c in m.content %}\
                     {{ c.text if c.type == 'text' else '<image>' }} {% endfor %}{% endfor %}answer";
        let written = format!("{{{{ bos_token }}}} {turns}");
        let named = |bos: &str| BTreeMap::from([("bos_token".to_owned(), bos.to_owned())]);
        let messages = [said(Role::User, &["<image>", "a b"])];
        for (template, tokens, begins) in [
            (turns, named("<s>"), [2, 6].as_slice()),
            (turns, BTreeMap::new(), &[2, 6]),
            (written.as_str(), named("<s>"), &[2, 6]),
            // A beginning that the tokenizer's configuration does not name is none to transformers.
            (format!("<s> {turns}").as_str(), BTreeMap::new(), &[2, 2, 6]),
        ] {
            let chat = ChatTemplate::parse(template, tokens, Default::default).expect("a template");
            let prompt = scribe.conversation(&chat.into(), &messages, &[Arrangement::Whole]);
            let prompt = prompt.expect("a prompt");
            let ids = [begins, &[4, 5, 7]].concat();
            assert_eq!(prompt.text_ids(), ids, "{template}");
            assert_eq!(prompt.images()[0].start, begins.len(), "{template}");
            // The words of the question are found behind what was added.
            assert_eq!(prompt.text_ids()[prompt.question()], [4, 5], "{template}");
        }
    }

    #[test]
    fn a_picture_that_is_faked_with_words_is_told_where_they_stand() {
        let json = word_level(&["a", "b"], &["<unk>", "<image>"]).expect("words");
        let tokenizer = Tokenizer::from_bytes(&json).expect("a tokenizer");
        let tile = ImageTokens { rows: 2, cols: 2 };
        let scribe = Scribe { tokenizer: &tokenizer, image_token: IMAGE, tile };
        let chat = ChatTemplate::parse(TRIMMED, BTreeMap::new(), Default::default);
        let plain = PromptTemplate::parse("{image}{question}").expect("a template");
        for template in [chat.expect("a template").into(), plain.into()] {
            let error = scribe.question(&template, "ä b <image>", &[]).expect_err("refused");
            let says = "the question contains `<image>` at letter 5, which is reserved";
            assert!(error.to_string().contains(says), "{error}");
        }
        let chat = ChatTemplate::parse(TRIMMED, BTreeMap::new(), Default::default);
        let turns = [
            said(Role::User, &["a"]),
            Message { role: Role::Assistant, parts: vec![Part::Text("<image>".to_owned())] },
            said(Role::User, &["b"]),
        ];
        let error = scribe.conversation(&chat.expect("a template").into(), &turns, &[]);
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("message 2 of 3 contains `<image>` at letter 1"), "{error}");
    }

    #[test]
    fn of_turns_with_the_same_words_the_last_is_asked() {
        let turns = [
            said(Role::User, &["<image>", "a b"]),
            said(Role::Assistant, &["c"]),
            said(Role::User, &["a b"]),
        ];
        assert_eq!(asked(TRIMMED, &turns), "a b");
        assert_eq!(asked(TRIMMED, &turns[..1]), "a b");
    }

    #[test]
    fn a_prompt_whose_template_hides_the_last_words_is_asked_as_a_whole() {
        assert_eq!(asked("user a answer", &[said(Role::User, &["b c"])]), "user a answer");
        let picture = [said(Role::User, &["<image>"])];
        assert_eq!(asked(TRIMMED, &picture), "user <end> answer");
    }
}
