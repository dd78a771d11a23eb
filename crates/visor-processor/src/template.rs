//! The words around a question: where the pictures go and how an answer is asked for.

use crate::prompt::{EncodedPrompt, ImageTokens, PromptError};
use crate::tokenizer::{Tokenizer, TokenizerError};
use std::ops::Range;

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Words, special tokens written out.
    Text(String),
    /// The place of one picture.
    Image,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A brace that belongs to no field.
    #[error(
        "the prompt template has a lone brace at byte {at}: write {{{{ or }}}} for a brace itself"
    )]
    LoneBrace {
        /// Where, in bytes.
        at: usize,
    },
    /// A field that does not exist.
    #[error("the prompt template has the field `{name}`: expected {{image}} or {{question}}")]
    UnknownField {
        /// What stands between the braces.
        name: String,
    },
    /// Not exactly one question.
    #[error("the prompt template has {found} times {{question}}: expected once")]
    Questions {
        /// How many there are.
        found: usize,
    },
    /// More than one place for pictures.
    #[error("the prompt template has {found} times {{image}}: expected at most once")]
    Images {
        /// How many there are.
        found: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Images,
    Question,
}

/// A prompt for one question about any number of pictures, such as `{image}{question}<a>`.
///
/// `{image}` is where all pictures stand, one after the other; `{question}` is the user's text;
/// `{{` and `}}` are braces. Everything else is taken as it is, special tokens included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate {
    pieces: Vec<Piece>,
}

impl PromptTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError`]: there must be one `{question}`, at most one `{image}`, and no other field.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = template;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(brace);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some((name, after)) =
                from.strip_prefix('{').and_then(|field| field.split_once('}'))
            {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(match name {
                    "image" => Piece::Images,
                    "question" => Piece::Question,
                    _ => return Err(TemplateError::UnknownField { name: name.to_owned() }),
                });
                rest = after;
            } else {
                return Err(TemplateError::LoneBrace { at: template.len() - from.len() });
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }

        let count = |wanted| pieces.iter().filter(|piece| **piece == wanted).count();
        match (count(Piece::Question), count(Piece::Images)) {
            (1, 0 | 1) => Ok(Self { pieces }),
            (1, found) => Err(TemplateError::Images { found }),
            (found, _) => Err(TemplateError::Questions { found }),
        }
    }

    /// The prompt for a question, with one [`Chunk::Image`] a picture and texts that touch joined.
    ///
    /// # Errors
    ///
    /// [`PromptError::EmptyQuestion`] for a question of white space alone,
    /// [`PromptError::NoImagePlace`] for pictures without an `{image}`.
    pub fn render(&self, question: &str, pictures: usize) -> Result<Vec<Chunk>, PromptError> {
        if question.trim().is_empty() {
            return Err(PromptError::EmptyQuestion);
        }
        if pictures > 0 && !self.pieces.contains(&Piece::Images) {
            return Err(PromptError::NoImagePlace { pictures });
        }
        Ok(self.fill(question, pictures))
    }

    fn fill(&self, question: &str, pictures: usize) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Images => chunks.extend(std::iter::repeat_n(Chunk::Image, pictures)),
                Piece::Literal(text) => push_text(&mut chunks, text),
                Piece::Question => push_text(&mut chunks, question),
            }
        }
        chunks
    }

    /// Renders and tokenises a question about pictures with these numbers of visual tokens.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render) and [`EncodedPrompt::from_ids`];
    /// [`PromptError::Reserved`] where the question holds a special token: a user's words must not
    /// end the turn, fake a picture or start the answer.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        image_token: u32,
        question: &str,
        images: &[ImageTokens],
    ) -> Result<EncodedPrompt, PromptError> {
        let ids = encode_chunks(tokenizer, image_token, &self.render(question, images.len())?)?;
        // The template's own special tokens are what the same prompt has without the question.
        let own = encode_chunks(tokenizer, image_token, &self.fill("", images.len()))?;
        let control = |ids: &[u32]| -> Vec<u32> {
            ids.iter()
                .copied()
                .filter(|id| *id == image_token || tokenizer.is_control(*id))
                .collect()
        };
        if let Some(id) = first_surplus(&control(&ids), &control(&own)) {
            let token = tokenizer.id_to_token(id).unwrap_or_else(|| id.to_string());
            return Err(PromptError::Reserved { token });
        }
        let prompt = EncodedPrompt::from_ids(&ids, image_token, images)?;
        Ok(match self.question_tokens(tokenizer, question, images.len())? {
            Some(range) => prompt.with_question(range),
            None => prompt,
        })
    }

    /// Which text tokens of the rendered prompt the question's characters are part of.
    fn question_tokens(
        &self,
        tokenizer: &Tokenizer,
        question: &str,
        pictures: usize,
    ) -> Result<Option<Range<usize>>, PromptError> {
        // Where the question begins in the chunk that it stands in, and the chunks before that one.
        let before = self.pieces.iter().take_while(|piece| **piece != Piece::Question);
        let before = Self { pieces: before.cloned().collect() }.fill("", pictures);
        let (complete, start) = match before.split_last() {
            Some((Chunk::Text(text), complete)) => (complete, text.len()),
            _ => (before.as_slice(), 0),
        };
        let chunks = self.fill(question, pictures);
        let Some(Chunk::Text(text)) = chunks.get(complete.len()) else { return Ok(None) };
        let texts = complete.iter().filter_map(|chunk| match chunk {
            Chunk::Text(text) => Some(text.as_str()),
            Chunk::Image => None,
        });
        let mut first = 0;
        for text in texts {
            first += tokenizer.encode(text)?.len();
        }
        let tokens = tokenizer.tokens_of(text, start..start + question.len())?;
        let range = first + tokens.start..first + tokens.end;
        Ok((!range.is_empty()).then_some(range))
    }
}

/// Tokenises a prompt that is rendered already, with one image token a picture: nothing is added and
/// special tokens count as such.
///
/// # Errors
///
/// As [`EncodedPrompt::from_ids`], and the tokenizer's.
pub fn encode_raw(
    tokenizer: &Tokenizer,
    image_token: u32,
    prompt: &str,
    images: &[ImageTokens],
) -> Result<EncodedPrompt, PromptError> {
    EncodedPrompt::from_ids(&tokenizer.encode(prompt)?, image_token, images)
}

/// Text that touches is tokenised together: a tokenizer may merge across where pieces meet.
fn push_text(chunks: &mut Vec<Chunk>, text: &str) {
    match chunks.last_mut() {
        Some(Chunk::Text(last)) => last.push_str(text),
        _ if text.is_empty() => {}
        _ => chunks.push(Chunk::Text(text.to_owned())),
    }
}

fn encode_chunks(
    tokenizer: &Tokenizer,
    image_token: u32,
    chunks: &[Chunk],
) -> Result<Vec<u32>, TokenizerError> {
    let mut ids = Vec::new();
    for chunk in chunks {
        match chunk {
            Chunk::Text(text) => ids.extend(tokenizer.encode(text)?),
            Chunk::Image => ids.push(image_token),
        }
    }
    Ok(ids)
}

/// The first id of `ids` that occurs in it more often than in `allowed`, or is missing from it.
pub(crate) fn first_surplus(ids: &[u32], allowed: &[u32]) -> Option<u32> {
    let mut left = allowed.to_vec();
    for &id in ids {
        match left.iter().position(|own| *own == id) {
            Some(at) => drop(left.swap_remove(at)),
            None => return Some(id),
        }
    }
    left.first().copied()
}
