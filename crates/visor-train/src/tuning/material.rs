//! Conversations and their pictures as examples: ids, places, targets, and how pictures are cut.

use crate::data::{BadLines, Conversation, Conversations, Place, decode_picture, picture_bytes};
use crate::error::TrainError;
use crate::selector::ClipTeacher;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use visor_model::{TokenMap, token_map};
use visor_processor::{
    Arrangement, ImageProcessor, Lesson, Message, Picture, PixelSize, ProcessedPicture, Role,
    Scribe, Setting, Template, Tokenizer,
};
use visor_runtime::ModelCard;

/// How a model's pictures and words are prepared.
#[derive(Clone, Copy, Debug)]
pub struct Preparing<'a> {
    /// Text to ids.
    pub tokenizer: &'a Tokenizer,
    /// Pictures to tiles.
    pub processor: &'a ImageProcessor,
    /// How the model is asked.
    pub template: &'a Template,
    /// Its sizes.
    pub card: &'a ModelCard,
    /// Who must understand the questions as well.
    pub teacher: Option<&'a ClipTeacher>,
}

/// One sequence to learn from.
#[derive(Clone, Debug)]
pub struct Example {
    /// The conversation that it is of.
    pub place: Place,
    /// Text tokens.
    pub ids: Vec<u32>,
    /// Where all tokens stand.
    pub map: TokenMap,
    /// Visual tokens in each of the pictures' places.
    pub spans: Vec<usize>,
    /// Position behind the last token.
    pub len: usize,
    /// Tokens asked for, by the index of the text token that they follow.
    pub targets: Vec<(usize, u32)>,
    /// The text tokens that are the words of the last question.
    pub question: Range<usize>,
    /// The words of the conversation's last question that is asked here, as the user wrote them.
    pub words: String,
    /// Its pictures, in order.
    pub pictures: Vec<Shown>,
}

/// How the answers of a conversation become sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// As many as go on from each other stand in one.
    Together,
    /// Each is one, behind the turns before it, which are not asked for; those without a picture
    /// are left out.
    Apart,
}

/// A picture in an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which of the files.
    pub file: usize,
    /// What it shares its prompt with.
    pub setting: Setting,
    /// How it is cut.
    pub arrangement: Arrangement,
}

/// A picture file that was read once.
#[derive(Clone, Debug)]
pub struct PictureFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub size: PixelSize,
}

/// All that is learned from.
#[derive(Debug)]
pub struct Material {
    /// The examples, in the order of the data.
    pub examples: Vec<Example>,
    files: Vec<PictureFile>,
    processor: ImageProcessor,
    /// What was left out, and why.
    pub skipped: Vec<TrainError>,
    /// SHA-256 of the conversations and all picture files, in hexadecimal digits.
    pub sha256: String,
}

impl Material {
    /// Makes examples of conversations. Every picture is read once, so that a damaged one is found
    /// before training; `tell` hears of each conversation.
    ///
    /// # Errors
    /// Of a conversation that cannot be learned from, unless such are skipped; if no sequence is
    /// left.
    pub fn new(
        conversations: &Conversations,
        preparing: Preparing<'_>,
        turns: Turns,
        bad: BadLines,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Self, TrainError> {
        let mut made = Self {
            examples: Vec::new(),
            files: Vec::new(),
            processor: preparing.processor.clone(),
            skipped: Vec::new(),
            sha256: String::new(),
        };
        let mut known: BTreeMap<&Path, Result<usize, String>> = BTreeMap::new();
        for (index, conversation) in conversations.all.iter().enumerate() {
            match made.examples_of(conversation, preparing, turns, &mut known) {
                Ok(examples) => made.examples.extend(examples),
                Err(because) => {
                    let error = conversation.place.error(&conversations.path, because);
                    match bad {
                        BadLines::Refuse => return Err(error),
                        BadLines::Skip => made.skipped.push(error),
                    }
                }
            }
            tell(index + 1);
        }
        if made.examples.is_empty() {
            let data = conversations.path.display().to_string();
            return Err(TrainError::NoQuestions { data });
        }
        let mut hash = Sha256::new().chain_update(&conversations.sha256);
        made.files.iter().for_each(|file| hash.update(&file.sha256));
        made.sha256 = super::features::hex(hash);
        Ok(made)
    }

    fn examples_of<'c>(
        &mut self,
        conversation: &'c Conversation,
        preparing: Preparing<'_>,
        turns: Turns,
        known: &mut BTreeMap<&'c Path, Result<usize, String>>,
    ) -> Result<Vec<Example>, String> {
        let setting = Setting { pictures: conversation.pictures.len(), max_tiles: None };
        let mut pictures = Vec::new();
        for path in &conversation.pictures {
            let file = known.entry(path).or_insert_with(|| {
                self.files.push(PictureFile::read(path)?);
                Ok(self.files.len() - 1)
            });
            let file = file.clone()?;
            let arrangement = preparing.processor.arrange(self.files[file].size, setting);
            pictures.push(Shown { file, setting, arrangement });
        }
        let card = preparing.card;
        let scribe = Scribe {
            tokenizer: preparing.tokenizer,
            image_token: card.image_token,
            tile: card.tile_tokens,
        };
        let arrangements: Vec<Arrangement> = pictures.iter().map(|p| p.arrangement).collect();
        let lessons = |messages: &[Message]| {
            let shown: usize = messages.iter().map(Message::pictures).sum();
            let arrangements = arrangements.get(..shown).unwrap_or(&arrangements);
            scribe
                .lessons(preparing.template, messages, arrangements, &card.eos)
                .map_err(|error| error.to_string())
        };
        let messages = conversation.messages.as_slice();
        let words = |at: usize| {
            let asked = messages[..at].iter().rfind(|message| message.role == Role::User);
            asked.map_or_else(String::new, |asked| asked.texts().collect::<Vec<_>>().join(" "))
        };
        let lessons: Vec<(Lesson, String)> = match turns {
            Turns::Together => {
                let last = words(messages.len());
                lessons(messages)?.into_iter().map(|lesson| (lesson, last.clone())).collect()
            }
            Turns::Apart => {
                let answers = messages.iter().enumerate();
                let answers = answers.filter(|(_, message)| message.role == Role::Assistant);
                let mut apart = Vec::new();
                for (at, _) in answers {
                    let last = lessons(&messages[..=at])?.pop().map(last_answer);
                    let last = last.filter(|lesson| !lesson.prompt.images().is_empty());
                    apart.extend(last.map(|lesson| (lesson, words(at))));
                }
                apart
            }
        };
        let example = |(Lesson { prompt, targets }, words): (Lesson, String)| {
            prompt.check_context(card.context).map_err(|error| error.to_string())?;
            if let Some(teacher) = preparing.teacher {
                teacher.ids(&words)?;
            }
            // A lesson of an early turn shows no later picture.
            let (mut left, mut shown) = (prompt.images().len(), Vec::new());
            for picture in &pictures {
                if left == 0 {
                    break;
                }
                left = left.saturating_sub(picture.arrangement.places(card.tile_tokens).len());
                shown.push(*picture);
            }
            Ok(Example {
                place: conversation.place,
                ids: prompt.text_ids().to_vec(),
                map: token_map(&prompt),
                spans: prompt.images().iter().map(|span| span.len).collect(),
                len: prompt.len(),
                question: prompt.question(),
                words,
                targets,
                pictures: shown,
            })
        };
        lessons.into_iter().map(example).collect()
    }

    /// The file of a picture.
    pub fn file(&self, shown: Shown) -> &PictureFile {
        &self.files[shown.file]
    }

    /// How a picture is prepared, in words: what its features depend on beside its bytes.
    pub fn cut(&self, shown: Shown) -> String {
        format!("{:?} {:?} {:?}", self.processor, shown.setting, shown.arrangement)
    }

    /// A picture as it lies on disk.
    ///
    /// # Errors
    /// If the file is no longer what it was.
    pub fn picture(&self, shown: Shown) -> Result<Picture, TrainError> {
        let path = &self.file(shown).path;
        let read = picture_bytes(path).and_then(|bytes| decode_picture(path, &bytes));
        read.map_err(|because| TrainError::State { path: path.clone(), because })
    }

    /// The tiles of a picture.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    pub fn process(&self, shown: Shown) -> Result<ProcessedPicture, TrainError> {
        let processed = self.processor.process_in(&self.picture(shown)?, shown.setting);
        processed.map_err(|error| TrainError::State {
            path: self.file(shown).path.clone(),
            because: error.to_string(),
        })
    }

    /// Lengths by which examples are put side by side.
    pub fn lengths(&self) -> Vec<(usize, usize)> {
        let length = |example: &Example| (example.spans.iter().sum(), example.ids.len());
        self.examples.iter().map(length).collect()
    }

    /// How many tokens are asked for.
    pub fn n_targets(&self) -> usize {
        self.examples.iter().map(|example| example.targets.len()).sum()
    }
}

/// A lesson that asks for its last answer alone.
fn last_answer(lesson: Lesson) -> Lesson {
    let Lesson { prompt, mut targets } = lesson;
    // Between two answers stand the words of a question.
    let apart = targets.windows(2).rposition(|pair| pair[0].0 + 1 != pair[1].0);
    let targets = targets.split_off(apart.map_or(0, |at| at + 1));
    Lesson { prompt, targets }
}

impl PictureFile {
    fn read(path: &Path) -> Result<Self, String> {
        let bytes = picture_bytes(path)?;
        let picture = decode_picture(path, &bytes)?;
        let size = PixelSize { width: picture.width(), height: picture.height() };
        let sha256 = super::features::hex(Sha256::new().chain_update(&bytes));
        Ok(Self { path: path.to_owned(), sha256, size })
    }
}
