//! What can go wrong in training.

use std::path::PathBuf;
use thiserror::Error;

/// An error of training.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A word of a task that the vocabulary lacks.
    #[error("the word `{word}` is not in the suite's vocabulary")]
    UnknownWord {
        /// The word.
        word: String,
    },
    /// A checkpoint of CLIP that cannot teach.
    #[error("the teacher cannot be used: {because}")]
    Teacher {
        /// Why.
        because: String,
    },
    /// A loss that is no number.
    #[error(
        "the loss of pass `{pass}` at step {step} is {loss}; the last saved state is unharmed; \
         start a new run with a lower learning rate"
    )]
    NonFinite {
        /// The step.
        step: u64,
        /// The rung or pass.
        pass: String,
        /// What it is.
        loss: f32,
    },
    /// A recipe that cannot be followed.
    #[error("the recipe cannot be followed: {field} is {got}, expected {expected}")]
    Recipe {
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What would do.
        expected: &'static str,
    },
    /// A saved state of another run.
    #[error("{path} was saved by another recipe: {field} differs; start a new run folder")]
    OtherRun {
        /// The state.
        path: PathBuf,
        /// What differs.
        field: &'static str,
    },
    /// A saved state that cannot be read.
    #[error("{path} cannot be resumed from: {because}")]
    State {
        /// The state.
        path: PathBuf,
        /// What is wrong.
        because: String,
    },
    /// A file that is not what is expected there.
    #[error("{path} cannot be used: {because}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        because: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// JSON that does not fit.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A line of a list of questions that cannot be used.
    #[error("{path}, line {line}: {because}; mend it, or leave such lines out with --skip-bad")]
    DataLine {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        because: String,
    },
    /// An entry of a list of conversations that cannot be used.
    #[error("{path}, entry {entry}: {because}; mend it, or leave such entries out with --skip-bad")]
    DataEntry {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        entry: usize,
        /// What is wrong.
        because: String,
    },
    /// A row of named ones that cannot be used.
    #[error("{path}, row `{row}`: {because}; mend it, or leave such rows out with --skip-bad")]
    DataRow {
        /// The file.
        path: PathBuf,
        /// The row's name.
        row: String,
        /// What is wrong.
        because: String,
    },
    /// A folder without the benchmark that it is said to hold.
    #[error(
        "{folder} does not hold {benchmark}: expected {files}; or, as on the Hugging Face hub, the \
         parquet files of {columns}"
    )]
    NoBenchmark {
        /// The folder.
        folder: PathBuf,
        /// The benchmark.
        benchmark: &'static str,
        /// What its authors distribute.
        files: &'static str,
        /// What the hub has.
        columns: &'static str,
    },
    /// A benchmark that is not about answers.
    #[error("`{benchmark}` asks for no answers: it says where chosen patches should lie")]
    NoAnswers {
        /// The benchmark.
        benchmark: &'static str,
    },
    /// A model whose questions choose no patches.
    #[error("this model has no patch selector: add one with `visor convert --selector`")]
    NoSelector,
    /// A picture that is not taken whole.
    #[error(
        "{id}: this model cuts the picture into tiles even where one is asked for; where patches \
         lie is known of pictures that are taken whole"
    )]
    Cut {
        /// What was asked.
        id: String,
    },
    /// Data without a single question.
    #[error("{data} holds no question that can be used")]
    NoQuestions {
        /// The data.
        data: String,
    },
    /// More questions than a policy can be trained on.
    #[error(
        "the visual tokens of {questions} questions are more than the {gib} GiB that are held in \
         memory: take fewer questions, the first {fitting} fit"
    )]
    TooManyQuestions {
        /// How many there are.
        questions: usize,
        /// How many of the first would do.
        fitting: usize,
        /// The limit.
        gib: usize,
    },
    /// A model without budgets to choose from.
    #[error("a policy needs a ladder to choose from; this is a stock model, which has none")]
    NoLadder,
    /// A model that is not to be converted again.
    #[error("`{model}` is universal already: only a stock checkpoint is converted")]
    AlreadyUniversal {
        /// The model.
        model: String,
    },
    /// A recipe of another model.
    #[error("the recipe is for `{model}` with {expected}; this model has {got}")]
    OtherModel {
        /// The model that it is for.
        model: String,
        /// The sizes of that.
        expected: String,
        /// The sizes of this one.
        got: String,
    },
    /// A model that has nothing to train yet.
    #[error("this is a stock model: turn it into a universal one first, with `visor convert`")]
    NotConverted,
    /// Distillation from what is not there.
    #[error(
        "nothing can be distilled from dense: this model does not offer it any more; begin from \
         the converted checkpoint, or leave out the distillation"
    )]
    NoTeacher,
    /// A question that cannot be asked.
    #[error("question {id}: {because}")]
    Question {
        /// The question.
        id: String,
        /// Why.
        #[source]
        because: visor_runtime::RunError,
    },
    /// A selector for a model in which nothing reads.
    #[error("this model has no cross-attention layer that a selector could choose patches for")]
    NoReader,
    /// Called off between questions; what is done is saved.
    #[error("stopped after {done} questions; they are saved, the same command goes on from there")]
    LabelsStopped {
        /// Questions done.
        done: usize,
    },
    /// Called off between test questions.
    #[error("stopped after {asked} of {of} test questions; the same command asks them again")]
    AskingStopped {
        /// Questions that were asked.
        asked: usize,
        /// All of them.
        of: usize,
    },
    /// An analysis that was called off; nothing of it is kept.
    #[error("stopped; nothing was written")]
    AnalysisStopped,
    /// A policy that cannot choose.
    #[error("{because}")]
    Choice {
        /// Why.
        #[source]
        because: visor_runtime::PolicyError,
    },
    /// Of a policy's files.
    #[error(transparent)]
    Policy(#[from] visor_policy::PolicyFileError),
    /// Of a picture.
    #[error(transparent)]
    Picture(#[from] visor_processor::PictureError),
    /// Of the device.
    #[error(transparent)]
    Device(#[from] visor_runtime::device::DeviceError),
    /// Of the network.
    #[error(transparent)]
    Model(#[from] visor_model::ModelError),
    /// Of a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] visor_checkpoint::CheckpointError),
    /// Of a layout.
    #[error(transparent)]
    Layout(#[from] visor_core::LayoutError),
    /// Of a ladder.
    #[error(transparent)]
    Ladder(#[from] visor_core::LadderError),
    /// Of the tasks.
    #[error(transparent)]
    Tasks(#[from] visor_tasks::TaskError),
    /// Called off between steps; the state is saved.
    #[error("stopped at step {step}; the state is saved, the same command goes on from there")]
    Stopped {
        /// Steps done.
        step: u64,
    },
}
