//! Benchmarks as the Hugging Face hub distributes them: tables with pictures in them.
//!
//! Columns and splits are those of the cards of the data sets that [`columns`](Benchmark::columns)
//! names, and of what lmms-eval reads of them (github EvolvingLMMs-Lab/lmms-eval, `tasks`).

use super::super::columns::Shards;
use super::rows::Rows;
use super::{Benchmark, documents, options, words, yes_no};
use crate::error::TrainError;
use std::path::Path;

/// Where the tables of a data set of one configuration lie: in the folder itself, where the hub
/// has them, or where it converts them to.
pub(super) const HERE: [&str; 3] = ["", "data", "default"];

impl Benchmark {
    /// What is read of the hub's copy: the data set, and its tables.
    pub fn columns(self) -> &'static str {
        match self {
            Self::VqaRad => "`flaviagiammarino/vqa-rad`, `data/test-*`; closed are yes and no",
            Self::AOkvqa | Self::AOkvqaDirect => "`HuggingFaceM4/A-OKVQA`, `data/validation-*`",
            Self::RefCoco => {
                "`lmms-lab/RefCOCO`, `data/val-*`, `testA-*`, `testB-*`, those that are there"
            }
            Self::RealWorldQa => "`lmms-lab/RealWorldQA`, `data/test-*`",
            Self::ScienceQa => {
                "`derek-thomas/ScienceQA`, `data/test-*`, or `lmms-lab/ScienceQA`, \
                 `ScienceQA-IMG/test-*`"
            }
            Self::Gqa => {
                "`lmms-lab/GQA`, `testdev_balanced_instructions/testdev-*`, \
                 `testdev_balanced_images/testdev-*`"
            }
            Self::Mme => "`lmms-lab/MME`, `data/test-*`",
            Self::Pope => "`lmms-lab/POPE`, `data/test-*`",
            Self::TextVqa => "`lmms-lab/textvqa`, `data/validation-*`",
            Self::Ai2d => "`lmms-lab/ai2d`, `data/test-*`",
            Self::ChartQa => "`lmms-lab/ChartQA` or `HuggingFaceM4/ChartQA`, `data/test-*`",
            Self::OcrBench => "`echo840/OCRBench`, `data/test-*`",
            Self::InfoVqa => "`lmms-lab/DocVQA`, `InfographicVQA/validation-*`",
            Self::DocVqa => "`lmms-lab/DocVQA`, `DocVQA/validation-*`",
        }
    }

    /// The tables in its folder, where there are any.
    pub(super) fn shards(self, folder: &Path) -> Result<Option<Shards>, TrainError> {
        let (places, split): (&[&str], _) = match self {
            Self::VqaRad
            | Self::RealWorldQa
            | Self::Mme
            | Self::Pope
            | Self::Ai2d
            | Self::ChartQa
            | Self::OcrBench => (&HERE, "test"),
            Self::AOkvqa | Self::AOkvqaDirect | Self::TextVqa => (&HERE, "validation"),
            Self::ScienceQa => {
                (&["", "data", "default", "ScienceQA-IMG", "ScienceQA-FULL"], "test")
            }
            Self::Gqa => (&["testdev_balanced_instructions"], "testdev"),
            Self::InfoVqa => (&["InfographicVQA", "", "data", "default"], "validation"),
            Self::DocVqa => (&["DocVQA", "", "data", "default"], "validation"),
            Self::RefCoco => (&HERE, "val"),
        };
        Shards::find(folder, places, split)
    }

    pub(super) fn read_columns(
        self,
        rows: &mut Rows<'_>,
        shards: &Shards,
    ) -> Result<(), TrainError> {
        match self {
            Self::VqaRad => words::vqa_rad_columns(rows, shards),
            Self::RealWorldQa => words::realworldqa_columns(rows, shards),
            Self::Gqa => {
                let folder = rows.folder();
                let pictures = Shards::find(folder, &["testdev_balanced_images"], "testdev")?;
                let pictures = pictures.ok_or_else(|| holds_neither(self, folder))?;
                words::gqa_columns(rows, shards, &pictures)
            }
            Self::AOkvqa => options::a_okvqa_columns(rows, shards),
            Self::AOkvqaDirect => options::a_okvqa_direct_columns(rows, shards),
            Self::ScienceQa => options::scienceqa_columns(rows, shards),
            Self::Ai2d => options::ai2d_columns(rows, shards),
            Self::Mme => yes_no::mme_columns(rows, shards),
            Self::Pope => yes_no::pope_columns(rows, shards),
            Self::TextVqa => documents::textvqa_columns(rows, shards),
            Self::ChartQa => documents::chartqa_columns(rows, shards),
            Self::OcrBench => documents::ocrbench_columns(rows, shards),
            Self::InfoVqa | Self::DocVqa => documents::pages_columns(rows, shards),
            Self::RefCoco => Err(TrainError::NoAnswers { benchmark: self.word() }),
        }
    }
}

/// The error of a folder without a whole copy of either kind.
pub(super) fn holds_neither(benchmark: Benchmark, folder: &Path) -> TrainError {
    // Without options the same files are read as with them.
    let files = if benchmark == Benchmark::AOkvqaDirect { Benchmark::AOkvqa } else { benchmark };
    TrainError::NoBenchmark {
        folder: folder.to_owned(),
        benchmark: benchmark.word(),
        files: files.layout(),
        columns: benchmark.columns(),
    }
}
