//! Questions with pictures and accepted answers: what policies learn from and budgets are compared
//! on, from the generated suite, a file of the user's, or a benchmark that the user holds.

pub mod benchmarks;
mod columns;
mod conversations;
mod generated;
mod jsonl;
mod scorer;
mod shown;
mod source;

pub use columns::Cell;
pub use conversations::{Conversation, Conversations, Place, read_conversations};
pub use generated::{blank, standard, standard_without};
pub use jsonl::{BadLines, Reading, read};
pub(crate) use jsonl::{decode_picture, picture_bytes};
pub use scorer::{Scorer, UnknownScorer};
pub use shown::{ItemFile, ItemPicture, PicturePlace};
pub use source::{DataSource, UnknownSource};

use crate::error::TrainError;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use visor_processor::Message;
use visor_runtime::{PictureInput, Request, Wording};

/// What a question is thought to need of a model, where the data say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// One look at the picture: the easy half of tables.
    OneLook,
    /// The picture refined: the hard half.
    Refinement,
}

/// One question.
#[derive(Clone, Debug)]
pub struct Item {
    /// Names it in reports.
    pub id: String,
    /// Its pictures, in order.
    pub pictures: Vec<ItemPicture>,
    /// Its words.
    pub question: String,
    /// The conversation that ends with the question; none where it stands alone behind its pictures.
    pub conversation: Vec<Message>,
    /// Accepted answers, at least one.
    pub answers: Vec<String>,
    /// How what is answered is held against them.
    pub scorer: Scorer,
    /// The group that tables show it in.
    pub family: String,
    /// What it needs.
    pub need: Option<Need>,
    /// Dependent steps to the answer, where the generator knows.
    pub hops: u8,
    /// Marks in the picture, where the generator knows.
    pub objects: u16,
}

impl Item {
    /// The request that asks it, at the default budget.
    ///
    /// # Errors
    /// If a picture file is no longer what it was.
    pub fn request(&self) -> Result<Request, TrainError> {
        self.request_about(&self.pictures)
    }

    /// The same with other pictures.
    ///
    /// # Errors
    /// If a picture file is no longer what it was.
    pub fn request_about(&self, pictures: &[ItemPicture]) -> Result<Request, TrainError> {
        let pixels = |picture: &ItemPicture| picture.pixels().map(PictureInput::Decoded);
        let pictures = pictures.iter().map(pixels).collect::<Result<_, _>>()?;
        let wording = match self.conversation.is_empty() {
            true => Wording::Question(self.question.clone()),
            false => Wording::Conversation(self.conversation.clone()),
        };
        Ok(Request { pictures, wording, ..Request::new("") })
    }

    /// What an answer is worth, from 0 to 1.
    pub fn score(&self, answer: &str) -> f32 {
        self.scorer.score(answer, &self.answers)
    }
}

/// Questions with a name.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Names the data in reports.
    pub name: String,
    /// The questions, in order.
    pub items: Vec<Item>,
}

impl Dataset {
    /// SHA-256 of all pictures, questions and answers and of the way they are scored, in
    /// hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.scoring());
        for item in &self.items {
            item.pictures.iter().for_each(|picture| picture.identify(&mut hash));
            hash.update(format!("{:?}\n{:?}\n", item.question, item.answers));
            if !item.conversation.is_empty() {
                hash.update(format!("{:?}\n", item.conversation));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// How its answers are scored, in words.
    pub fn scoring(&self) -> String {
        let all: BTreeSet<Scorer> = self.items.iter().map(|item| item.scorer).collect();
        all.into_iter().map(Scorer::word).collect::<Vec<_>>().join(" and ")
    }

    /// Fails without questions.
    ///
    /// # Errors
    /// [`TrainError::NoQuestions`].
    pub fn expect_some(self) -> Result<Self, TrainError> {
        match self.items.is_empty() {
            true => Err(TrainError::NoQuestions { data: self.name }),
            false => Ok(self),
        }
    }
}
