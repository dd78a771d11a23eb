//! Benchmarks that the user holds on disk, read in the layouts in which they are distributed.
//!
//! Nothing is downloaded and nothing is executed: annotations in JSON, JSON lines or text, beside
//! pictures, or tables in parquet files with pictures in them. [`layout`](Benchmark::layout) and
//! [`columns`](Benchmark::columns) say what is read of each, `figures` what its own evaluation
//! reports: both become the same questions. They are asked with the words that LLaVA-NeXT's
//! evaluation puts behind them.

mod documents;
mod figures;
mod hub;
mod options;
mod python;
mod refcoco;
mod rows;
mod words;
mod yes_no;

pub use figures::Figure;
pub use refcoco::{Referring, read_refcoco};

use super::{BadLines, Dataset, Reading};
use crate::error::TrainError;
use rows::Rows;
use std::fmt;
use std::path::Path;

/// Put behind a question whose answer is short.
const BRIEFLY: &str = "Answer the question using a single word or phrase.";
/// Put behind a question with options.
const BY_LETTER: &str = "Answer with the option's letter from the given choices directly.";

/// A benchmark that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Benchmark {
    /// Radiology: closed and open questions.
    VqaRad,
    /// Knowledge about pictures, with options.
    AOkvqa,
    /// The same without options.
    AOkvqaDirect,
    /// Expressions that refer to a box.
    RefCoco,
    /// Photographs of the world.
    RealWorldQa,
    /// Science lessons, the questions with a picture.
    ScienceQa,
    /// Compositional questions about scenes.
    Gqa,
    /// Fourteen tasks of pairs of questions, yes and no.
    Mme,
    /// Whether objects are there.
    Pope,
    /// Text in photographs.
    TextVqa,
    /// Diagrams of school books.
    Ai2d,
    /// Charts.
    ChartQa,
    /// Reading of many kinds.
    OcrBench,
    /// Infographics.
    InfoVqa,
    /// Scanned pages.
    DocVqa,
}

impl Benchmark {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::VqaRad,
        Self::AOkvqa,
        Self::AOkvqaDirect,
        Self::RefCoco,
        Self::RealWorldQa,
        Self::ScienceQa,
        Self::Gqa,
        Self::Mme,
        Self::Pope,
        Self::TextVqa,
        Self::Ai2d,
        Self::ChartQa,
        Self::OcrBench,
        Self::InfoVqa,
        Self::DocVqa,
    ];

    /// The word in commands and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::VqaRad => "vqa-rad",
            Self::AOkvqa => "a-okvqa",
            Self::AOkvqaDirect => "a-okvqa-direct",
            Self::RefCoco => "refcoco",
            Self::RealWorldQa => "realworldqa",
            Self::ScienceQa => "scienceqa",
            Self::Gqa => "gqa",
            Self::Mme => "mme",
            Self::Pope => "pope",
            Self::TextVqa => "textvqa",
            Self::Ai2d => "ai2d",
            Self::ChartQa => "chartqa",
            Self::OcrBench => "ocrbench",
            Self::InfoVqa => "infovqa",
            Self::DocVqa => "docvqa",
        }
    }

    /// The one of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|benchmark| benchmark.word() == word)
    }

    pub(super) fn words() -> String {
        Self::ALL.map(|benchmark| format!("`{benchmark}`")).join(", ")
    }

    /// What is read in its folder where it is its authors' copy: annotations, then pictures.
    pub fn layout(self) -> &'static str {
        match self {
            Self::VqaRad => {
                "`VQA_RAD Dataset Public.json` (rows whose `phrase_type` begins with `test`), \
                 `VQA_RAD Image Folder/`"
            }
            Self::AOkvqa => "`aokvqa_v1p0_val.json`, `val2017/`",
            Self::AOkvqaDirect => {
                "the same, without those of which `difficult_direct_answer` is true"
            }
            Self::RefCoco => {
                "`refcoco_val.jsonl`, `_testA`, `_testB`, those that are there (`image`, `sent`, \
                 `bbox` as corners), pictures by their last name in `train2014/`"
            }
            Self::RealWorldQa => "`annotations.json` and its pictures beside it",
            Self::ScienceQa => {
                "`problems.json` (split `test`, with a picture), `test/ID/image.png`, or that in \
                 `images/`"
            }
            Self::Gqa => "`testdev_balanced_questions.json`, `images/`",
            Self::Mme => {
                "a folder a task, with a text beside each picture (`question TAB answer`), or \
                 `images/` and `questions_answers_YN/`"
            }
            Self::Pope => {
                "`coco_pope_random.json`, `_popular`, `_adversarial`, those that are there, \
                 `val2014/`"
            }
            Self::TextVqa => "`TextVQA_0.5.1_val.json`, `train_images/`",
            Self::Ai2d => {
                "`questions/*.png.json` of the pictures in `ai2d_test_ids.csv`, `images/`, or \
                 `abc_images/` where letters stand for the labels"
            }
            Self::ChartQa => "`test/test_human.json`, `test/test_augmented.json`, `test/png/`",
            Self::OcrBench => "`OCRBench.json`, `OCRBench_Images/`",
            Self::InfoVqa => "`infographicsVQA_val_v1.0_withQT.json`, `infographicsvqa_images/`",
            Self::DocVqa => "`val_v1.0_withQT.json`, `documents/`",
        }
    }

    /// What its own evaluation reports, and whose that is.
    pub fn metric(self) -> &'static str {
        match self {
            Self::VqaRad => {
                "closed questions: accuracy; open ones: the share of the answer's words that were \
                 said (LLaVA-Med)"
            }
            Self::AOkvqa | Self::ScienceQa | Self::Ai2d => "accuracy of the letter",
            Self::AOkvqaDirect => "a third for each of ten people who said so, up to one",
            Self::RefCoco => {
                "of the patches that the expression chooses: the share of the box that they cover, \
                 and whether the middle of the best one is in the box (`visor bench point`)"
            }
            Self::RealWorldQa => "accuracy, but for case and punctuation",
            Self::Gqa => "accuracy",
            Self::Mme => {
                "by task 100 (acc + acc+), acc+ the share of pictures with both answers right; \
                 sums of perception and cognition"
            }
            Self::Pope => "accuracy, precision, recall, F1 and the share of yes, by split",
            Self::TextVqa => "VQA's soft accuracy, ten people",
            Self::ChartQa => {
                "relaxed accuracy: numbers may be off by a twentieth; mean of both halves"
            }
            Self::OcrBench => "answers that are contained in what was said, of 1,000",
            Self::InfoVqa | Self::DocVqa => "ANLS, threshold 0.5",
        }
    }

    /// Where layout and metric are defined.
    pub fn source(self) -> &'static str {
        match self {
            Self::VqaRad => "Lau et al. 2018; osf.io/89kps",
            Self::AOkvqa | Self::AOkvqaDirect => "arXiv 2206.01718; github allenai/aokvqa",
            Self::RefCoco => "Kazemzadeh et al. 2014, in the lists of github QwenLM/Qwen-VL",
            Self::RealWorldQa => "x.ai/blog/grok-1.5v; metric as github EvolvingLMMs-Lab/lmms-eval",
            Self::ScienceQa => "arXiv 2209.09513; github lupantech/ScienceQA",
            Self::Gqa => "arXiv 1902.09506",
            Self::Mme => "arXiv 2306.13394",
            Self::Pope => "arXiv 2305.10355; github RUCAIBox/POPE",
            Self::TextVqa => "arXiv 1904.08920",
            Self::Ai2d => "arXiv 1603.07396",
            Self::ChartQa => "arXiv 2203.10244; metric as arXiv 2210.03347",
            Self::OcrBench => "arXiv 2305.07895; github Yuliang-Liu/MultimodalOCR",
            Self::InfoVqa => "arXiv 2104.12756",
            Self::DocVqa => "arXiv 2007.00398",
        }
    }

    /// Reads all its questions; every picture is read once, and kept on disk. Where tables and
    /// annotations lie in one folder, the tables are read.
    ///
    /// # Errors
    /// If a file is missing or damaged, there is no question, or a bad one must not be skipped;
    /// [`TrainError::NoBenchmark`] where neither layout lies there; [`TrainError::NoAnswers`] where
    /// it does not ask for answers.
    pub fn read(self, folder: &Path, bad: BadLines) -> Result<Reading, TrainError> {
        if self == Self::RefCoco {
            return Err(TrainError::NoAnswers { benchmark: self.word() });
        }
        let mut rows = Rows::new(folder, bad);
        match self.shards(folder)? {
            Some(shards) => self.read_columns(&mut rows, &shards)?,
            None if self.is_annotated(folder) => self.read_files(&mut rows)?,
            None => return Err(hub::holds_neither(self, folder)),
        }
        let (items, skipped) = rows.finish();
        let data = Dataset { name: self.word().to_owned(), items }.expect_some()?;
        Ok(Reading { data, skipped })
    }

    /// Whether annotations of its authors' copy lie in the folder.
    fn is_annotated(self, folder: &Path) -> bool {
        let any = |names: &[&str]| names.iter().any(|name| folder.join(name).exists());
        match self {
            Self::VqaRad => any(&["VQA_RAD Dataset Public.json"]),
            Self::AOkvqa | Self::AOkvqaDirect => any(&[options::KNOWLEDGE]),
            Self::RealWorldQa => any(&["annotations.json"]),
            Self::ScienceQa => any(&["problems.json"]),
            Self::Gqa => any(&["testdev_balanced_questions.json"]),
            Self::Mme => any(&yes_no::PERCEPTION) || any(&yes_no::COGNITION),
            Self::Pope => any(&yes_no::SPLITS.map(|(_, file)| file)),
            Self::TextVqa => any(&["TextVQA_0.5.1_val.json"]),
            Self::Ai2d => any(&["ai2d_test_ids.csv"]),
            Self::ChartQa => any(&["test/test_human.json", "test/test_augmented.json"]),
            Self::OcrBench => any(&["OCRBench.json"]),
            Self::InfoVqa => any(&["infographicsVQA_val_v1.0_withQT.json"]),
            Self::DocVqa => any(&["val_v1.0_withQT.json"]),
            Self::RefCoco => false,
        }
    }

    fn read_files(self, rows: &mut Rows<'_>) -> Result<(), TrainError> {
        match self {
            Self::VqaRad => words::vqa_rad(rows),
            Self::RealWorldQa => words::realworldqa(rows),
            Self::Gqa => words::gqa(rows),
            Self::AOkvqa => options::a_okvqa(rows),
            Self::AOkvqaDirect => options::a_okvqa_direct(rows),
            Self::ScienceQa => options::scienceqa(rows),
            Self::Ai2d => options::ai2d(rows),
            Self::Mme => yes_no::mme(rows),
            Self::Pope => yes_no::pope(rows),
            Self::TextVqa => documents::textvqa(rows),
            Self::ChartQa => documents::chartqa(rows),
            Self::OcrBench => documents::ocrbench(rows),
            Self::InfoVqa => documents::infovqa(rows),
            Self::DocVqa => documents::docvqa(rows),
            Self::RefCoco => Err(TrainError::NoAnswers { benchmark: self.word() }),
        }
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod column_tests;
#[cfg(test)]
mod tests;
