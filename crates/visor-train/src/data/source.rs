//! Where a user's questions come from: a list of one's own, or a benchmark's folder by name.

use super::benchmarks::Benchmark;
use super::{BadLines, Reading, Scorer, read};
use crate::error::TrainError;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Questions of a user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// A list, one JSON object a line.
    List(PathBuf),
    /// A benchmark as its authors or the Hugging Face hub distribute it.
    Benchmark(Benchmark, PathBuf),
}

/// A text that names neither.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{name}` is no benchmark: expected a file, or NAME:DIR with one of {}",
    Benchmark::words()
)]
pub struct UnknownSource {
    /// What stands before the colon.
    pub name: String,
}

impl DataSource {
    /// Reads the questions; every picture is read once. `scorer` is for lists: benchmarks have
    /// their own.
    ///
    /// # Errors
    /// If a file cannot be read, there is no question, or a bad one must not be skipped.
    pub fn read(&self, scorer: Scorer, bad: BadLines) -> Result<Reading, TrainError> {
        match self {
            Self::List(path) => read(path, scorer, bad),
            Self::Benchmark(benchmark, folder) => benchmark.read(folder, bad),
        }
    }

    /// The benchmark, if it is one.
    pub fn benchmark(&self) -> Option<Benchmark> {
        match self {
            Self::List(_) => None,
            Self::Benchmark(benchmark, _) => Some(*benchmark),
        }
    }
}

impl FromStr for DataSource {
    type Err = UnknownSource;

    /// `NAME:DIR`, or a path. A path with a colon is taken for one where it has a separator or a
    /// period before it, or is one letter long as drives are.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, folder)) = text.split_once(':') else {
            return Ok(Self::List(PathBuf::from(text)));
        };
        match Benchmark::named(name) {
            Some(benchmark) => Ok(Self::Benchmark(benchmark, PathBuf::from(folder))),
            None if name.len() < 2 || name.contains(['/', '\\', '.']) => {
                Ok(Self::List(PathBuf::from(text)))
            }
            None => Err(UnknownSource { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(path) => write!(f, "{}", path.display()),
            Self::Benchmark(benchmark, folder) => write!(f, "{benchmark}:{}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_benchmark_by_name_or_a_file() {
        let vqa_rad = DataSource::Benchmark(Benchmark::VqaRad, PathBuf::from("data/rad"));
        assert_eq!("vqa-rad:data/rad".parse(), Ok(vqa_rad.clone()));
        assert_eq!(vqa_rad.to_string().parse(), Ok(vqa_rad));
        for path in ["list.jsonl", "/a/b:c.jsonl", "C:\\data\\list.jsonl", "./gqa:x"] {
            assert_eq!(path.parse(), Ok(DataSource::List(PathBuf::from(path))));
        }
        let error = "vqarad:x".parse::<DataSource>().expect_err("unknown").to_string();
        assert!(error.contains("`vqarad`") && error.contains("`vqa-rad`"), "{error}");
    }
}
