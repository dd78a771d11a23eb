//! Questions with pictures and accepted answers: what policies learn from and budgets are compared
//! on, from the generated suite or from a file of the user's.

mod conversations;
mod generated;
mod jsonl;
mod scorer;

pub use conversations::{Conversation, Conversations, Place, read_conversations};
pub use generated::{blank, standard, standard_without};
pub use jsonl::{BadLines, Jsonl, read};
pub(crate) use jsonl::{decode_picture, picture_bytes};
pub use scorer::{Scorer, UnknownScorer};

use crate::error::TrainError;
use sha2::{Digest, Sha256};
use visor_processor::Picture;
use visor_runtime::{PictureInput, Request};

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
    pub pictures: Vec<Picture>,
    /// Its words.
    pub question: String,
    /// Accepted answers, at least one.
    pub answers: Vec<String>,
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
    pub fn request(&self) -> Request {
        let pictures = self.pictures.iter().cloned().map(PictureInput::Decoded).collect();
        Request { pictures, ..Request::new(self.question.clone()) }
    }
}

/// Questions with a name and the way their answers are scored.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Names the data in reports.
    pub name: String,
    /// Scores an answer.
    pub scorer: Scorer,
    /// The questions, in order.
    pub items: Vec<Item>,
}

impl Dataset {
    /// SHA-256 of all pictures, questions and answers and of the way they are scored, in
    /// hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.scorer.word());
        for item in &self.items {
            for picture in &item.pictures {
                hash.update(picture.width().to_le_bytes());
                hash.update(picture.height().to_le_bytes());
                hash.update(picture.rgb());
            }
            hash.update(format!("{:?}\n{:?}\n", item.question, item.answers));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
