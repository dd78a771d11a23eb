//! Answers as they are stored: by columns, a value once where all are equal.

use super::{Answer, Flops, TimingSample};
use serde::{Deserialize, Serialize};

/// Values of consecutive items.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Column<T> {
    Each(Vec<T>),
    Same(T),
}

impl<T: Copy + PartialEq> Column<T> {
    fn new(values: Vec<T>) -> Self {
        match values.as_slice() {
            [first, rest @ ..] if rest.iter().all(|value| value == first) => Self::Same(*first),
            _ => Self::Each(values),
        }
    }

    fn values(self, n: usize) -> Option<Vec<T>> {
        match self {
            Self::Each(values) => (values.len() == n).then_some(values),
            Self::Same(value) => Some(vec![value; n]),
        }
    }
}

/// A digit an item where every score is 0, 1 or not there (`-`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Scores {
    Digits(String),
    Soft(Vec<Option<f32>>),
}

impl Scores {
    fn new(scores: Vec<Option<f32>>) -> Self {
        let digit = |score: &Option<f32>| match score {
            None => Some('-'),
            Some(0.0) => Some('0'),
            Some(1.0) => Some('1'),
            Some(_) => None,
        };
        match scores.iter().map(digit).collect() {
            Some(digits) => Self::Digits(digits),
            None => Self::Soft(scores),
        }
    }

    fn values(self) -> Option<Vec<Option<f32>>> {
        let score = |digit| match digit {
            '-' => Some(None),
            '0' => Some(Some(0.0)),
            '1' => Some(Some(1.0)),
            _ => None,
        };
        match self {
            Self::Digits(digits) => digits.chars().map(score).collect(),
            Self::Soft(scores) => Some(scores),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    row: String,
    first: usize,
    scores: Scores,
    rungs: Column<Option<u16>>,
    end_to_end: Column<u64>,
    lm_prefill: Column<u64>,
    vision_side: Column<u64>,
    decode_step: Column<u64>,
    layers: Column<u16>,
}

impl From<super::Part> for Part {
    fn from(part: super::Part) -> Self {
        let super::Part { row, first, answers } = part;
        let flops =
            |of: fn(&Flops) -> u64| Column::new(answers.iter().map(|a| of(&a.flops)).collect());
        Self {
            row,
            first,
            scores: Scores::new(answers.iter().map(|answer| answer.score).collect()),
            rungs: Column::new(answers.iter().map(|answer| answer.rung).collect()),
            end_to_end: flops(|flops| flops.end_to_end),
            lm_prefill: flops(|flops| flops.lm_prefill),
            vision_side: flops(|flops| flops.vision_side),
            decode_step: flops(|flops| flops.decode_step),
            layers: Column::new(
                answers.iter().map(|answer| answer.self_attention_layers).collect(),
            ),
        }
    }
}

impl TryFrom<Part> for super::Part {
    type Error = &'static str;

    fn try_from(part: Part) -> Result<Self, Self::Error> {
        const LENGTHS: &str = "columns of different lengths";
        let scores = part.scores.values().ok_or("a score is a digit 0 or 1 or `-`, or a number")?;
        let n = scores.len();
        let rungs = part.rungs.values(n).ok_or(LENGTHS)?;
        let end_to_end = part.end_to_end.values(n).ok_or(LENGTHS)?;
        let lm_prefill = part.lm_prefill.values(n).ok_or(LENGTHS)?;
        let vision_side = part.vision_side.values(n).ok_or(LENGTHS)?;
        let decode_step = part.decode_step.values(n).ok_or(LENGTHS)?;
        let layers = part.layers.values(n).ok_or(LENGTHS)?;
        let answers = (0..n).map(|i| Answer {
            score: scores[i],
            rung: rungs[i],
            flops: Flops {
                end_to_end: end_to_end[i],
                lm_prefill: lm_prefill[i],
                vision_side: vision_side[i],
                decode_step: decode_step[i],
            },
            self_attention_layers: layers[i],
        });
        Ok(Self { row: part.row, first: part.first, answers: answers.collect() })
    }
}

impl From<TimingSample> for [u64; 7] {
    fn from(s: TimingSample) -> Self {
        [s.item, s.preprocess, s.encode, s.prefill, s.decode, s.first_token, s.total]
    }
}

impl From<[u64; 7]> for TimingSample {
    fn from([item, preprocess, encode, prefill, decode, first_token, total]: [u64; 7]) -> Self {
        Self { item, preprocess, encode, prefill, decode, first_token, total }
    }
}
