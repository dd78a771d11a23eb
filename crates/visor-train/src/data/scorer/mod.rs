//! How an answer is scored against the accepted ones, as the papers' benchmarks do.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The share of an accepted answer that must be right for ANLS to give anything.
const ANLS_THRESHOLD: f64 = 0.5;
/// People who must give an answer for VQA to count it whole.
const VQA_AGREEMENT: f32 = 3.0;

/// A way of scoring. Every score is from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scorer {
    /// 1 where the answer is one of the accepted ones, but for case and outer space.
    Exact,
    /// VQA's soft accuracy: the more people gave the answer, up to three, the more it is worth.
    Vqa,
    /// Average normalised Levenshtein similarity (DocVQA): the nearest accepted answer counts, and
    /// nothing below a half.
    Anls,
}

/// A word that is no scorer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown scorer `{got}`: expected `exact`, `vqa` or `anls`")]
pub struct UnknownScorer {
    /// The word.
    pub got: String,
}

impl Scorer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Vqa, Self::Anls];

    /// The word in commands and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Vqa => "vqa",
            Self::Anls => "anls",
        }
    }

    /// Scores an answer; 0 where nothing is accepted.
    pub fn score(self, answer: &str, accepted: &[String]) -> f32 {
        match self {
            Self::Exact => {
                let same = |other: &String| folded(other) == folded(answer);
                if accepted.iter().any(same) { 1.0 } else { 0.0 }
            }
            Self::Vqa => vqa(answer, accepted),
            Self::Anls => accepted.iter().map(|other| anls(answer, other)).fold(0.0, f32::max),
        }
    }
}

impl fmt::Display for Scorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Scorer {
    type Err = UnknownScorer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|scorer| scorer.word() == text);
        known.ok_or_else(|| UnknownScorer { got: text.to_owned() })
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// As the benchmark's script: each person is left out in turn, the answer is worth a third for each
/// of the others who gave it, up to one. With fewer than four people one is enough.
fn vqa(answer: &str, accepted: &[String]) -> f32 {
    let answer = spoken(answer);
    let same: Vec<bool> = accepted.iter().map(|other| spoken(other) == answer).collect();
    let agree = same.iter().filter(|&&same| same).count() as f32;
    if accepted.len() < 4 {
        return if agree > 0.0 { 1.0 } else { 0.0 };
    }
    let others = |own: &bool| agree - f32::from(u8::from(*own));
    let worth: f32 = same.iter().map(|own| (others(own) / VQA_AGREEMENT).min(1.0)).sum();
    worth / same.len() as f32
}

/// Lower case, without punctuation and articles, small numbers as digits.
fn spoken(text: &str) -> String {
    const NUMBERS: [&str; 11] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let plain: String = folded(text)
        .chars()
        .map(|c| if c.is_alphanumeric() || "'.:".contains(c) { c } else { ' ' })
        .collect();
    let word = |word: &str| {
        let word = word.trim_matches(|c| ".:".contains(c));
        match NUMBERS.iter().position(|number| *number == word) {
            Some(number) => number.to_string(),
            None => word.to_owned(),
        }
    };
    let words = plain.split_whitespace().map(word);
    words.filter(|w| !["a", "an", "the"].contains(&w.as_str())).collect::<Vec<_>>().join(" ")
}

fn anls(answer: &str, accepted: &str) -> f32 {
    let similarity = strsim::normalized_levenshtein(&folded(answer), &folded(accepted));
    if similarity > ANLS_THRESHOLD { similarity as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(answers: &[&str]) -> Vec<String> {
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    #[test]
    fn exact_minds_neither_case_nor_outer_space() {
        let colours = accepted(&["Dark red", "maroon"]);
        assert_eq!(Scorer::Exact.score(" dark RED\n", &colours), 1.0);
        assert_eq!(Scorer::Exact.score("red", &colours), 0.0);
    }

    #[test]
    fn vqa_gives_a_third_for_each_other_person() {
        let people = |n: usize| {
            let mut answers = vec!["two".to_owned(); n];
            answers.resize(10, "7".to_owned());
            answers
        };
        // Left out in turn: 2 of 3 for those who gave it, 1 for the others.
        let three = (3.0 * (2.0 / 3.0) + 7.0) / 10.0;
        assert!((Scorer::Vqa.score("The 2.", &people(3)) - three).abs() < 1e-6);
        assert_eq!(Scorer::Vqa.score("2", &people(10)), 1.0);
        assert_eq!(Scorer::Vqa.score("2", &people(0)), 0.0);
        assert_eq!(Scorer::Vqa.score("a cat", &accepted(&["cat"])), 1.0);
    }

    #[test]
    fn anls_takes_the_nearest_answer_and_nothing_below_a_half() {
        let near = Scorer::Anls.score("12.5 kg", &accepted(&["tons", "12.6 kg"]));
        assert!((near - 6.0 / 7.0).abs() < 1e-6, "{near}");
        assert_eq!(Scorer::Anls.score("abcd", &accepted(&["abxy"])), 0.0, "half is not enough");
        assert_eq!(Scorer::Anls.score("ab", &accepted(&["AB "])), 1.0);
    }

    #[test]
    fn words_read_back_and_others_are_refused() {
        for scorer in Scorer::ALL {
            assert_eq!(scorer.word().parse(), Ok(scorer));
        }
        assert!("f1".parse::<Scorer>().expect_err("unknown").to_string().contains("`anls`"));
    }
}
