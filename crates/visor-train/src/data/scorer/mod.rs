//! How an answer is scored against the accepted ones, as the papers' benchmarks do.

mod rules;
mod spoken;

use rules::{bare, folded, given};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A way of scoring. Every score is from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scorer {
    /// 1 where the answer is one of the accepted ones, but for case and outer space.
    Exact,
    /// The same without punctuation around it.
    Word,
    /// VQA's soft accuracy: the more people gave the answer, up to three, the more it is worth.
    Vqa,
    /// A third for each person who gave the answer, up to one (A-OKVQA's direct answers).
    Agreement,
    /// Average normalised Levenshtein similarity (DocVQA): the nearest accepted answer counts, and
    /// nothing below a half.
    Anls,
    /// Numbers may be off by a twentieth (ChartQA).
    Relaxed,
    /// An accepted answer stands somewhere in what was said (OCRBench).
    Contains,
    /// The same for formulas, where case counts and white space does not (OCRBench).
    Formula,
    /// The share of the accepted answer's words that were said (open questions of VQA-RAD).
    Recall,
    /// The letter of an option; accepted are the letter and the option's words.
    Choice,
    /// Yes or no as MME reads it: an answer that is neither is wrong.
    YesNo,
    /// Yes or no as POPE reads it: what does not deny affirms.
    Presence,
}

/// A word that is no scorer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown scorer `{got}`: expected one of {}", Scorer::words())]
pub struct UnknownScorer {
    /// The word.
    pub got: String,
}

impl Scorer {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Exact,
        Self::Word,
        Self::Vqa,
        Self::Agreement,
        Self::Anls,
        Self::Relaxed,
        Self::Contains,
        Self::Formula,
        Self::Recall,
        Self::Choice,
        Self::YesNo,
        Self::Presence,
    ];

    /// The word in commands and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Word => "word",
            Self::Vqa => "vqa",
            Self::Agreement => "agreement",
            Self::Anls => "anls",
            Self::Relaxed => "relaxed",
            Self::Contains => "contains",
            Self::Formula => "formula",
            Self::Recall => "recall",
            Self::Choice => "choice",
            Self::YesNo => "yes-no",
            Self::Presence => "presence",
        }
    }

    fn words() -> String {
        Self::ALL.map(|scorer| format!("`{scorer}`")).join(", ")
    }

    /// Scores an answer; 0 where nothing is accepted.
    pub fn score(self, answer: &str, accepted: &[String]) -> f32 {
        let any = |right: &dyn Fn(&str) -> bool| given(accepted.iter().any(|other| right(other)));
        let best = |worth: &dyn Fn(&str) -> f32| {
            accepted.iter().map(|other| worth(other)).fold(0.0, f32::max)
        };
        match self {
            Self::Exact => any(&|other| folded(other) == folded(answer)),
            Self::Word => any(&|other| bare(other) == bare(answer)),
            Self::Vqa => rules::vqa(answer, accepted),
            Self::Agreement => rules::agreement(answer, accepted),
            Self::Anls => best(&|other| rules::anls(answer, other)),
            Self::Relaxed => any(&|other| rules::relaxed(answer, other)),
            Self::Contains => any(&|other| rules::contains(answer, other)),
            Self::Formula => any(&|other| rules::contains_formula(answer, other)),
            Self::Recall => best(&|other| rules::recall(answer, other)),
            Self::Choice => given(rules::choice(answer, accepted)),
            Self::YesNo => any(&|other| rules::begins_with(answer, &folded(other))),
            Self::Presence => any(&|other| rules::denies(answer) == (folded(other) == "no")),
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
    fn agreement_gives_a_third_for_each_person() {
        let people = accepted(&["Cat", "cat", "dog", "bird"]);
        assert!((Scorer::Agreement.score("cat ", &people) - 2.0 / 3.0).abs() < 1e-6);
        assert_eq!(Scorer::Agreement.score("a cat", &people), 0.0, "articles count here");
    }

    #[test]
    fn charts_forgive_a_twentieth_of_a_number_and_nothing_else() {
        for (got, right, score) in [
            ("104.9", "100", 1.0),
            ("105.1", "100", 0.0),
            ("-95", "-100", 1.0),
            ("12%", "0.12", 1.0),
            ("0.01", "0", 0.0),
            ("0", "0", 1.0),
            ("Germany ", "germany", 1.0),
            ("inf", "100", 0.0),
        ] {
            let found = Scorer::Relaxed.score(got, &accepted(&[right]));
            assert_eq!(found, score, "{got} for {right}");
        }
    }

    #[test]
    fn what_is_read_off_a_picture_may_stand_in_a_sentence() {
        let sign = accepted(&["Stop\nhere"]);
        assert_eq!(Scorer::Contains.score("It says: STOP HERE.", &sign), 1.0);
        assert_eq!(Scorer::Contains.score("It says stop.", &sign), 0.0);
        assert_eq!(Scorer::Contains.score("x", &accepted(&[" "])), 0.0, "nothing is no answer");
        let formula = accepted(&["X ^ { 2 }"]);
        assert_eq!(Scorer::Formula.score("y = X^{2}", &formula), 1.0);
        assert_eq!(Scorer::Formula.score("y = x^{2}", &formula), 0.0);
    }

    #[test]
    fn recall_counts_each_word_as_often_as_it_was_said() {
        let truth = accepted(&["left lung, left lobe"]);
        assert_eq!(Scorer::Recall.score("The left lung", &truth), 0.5);
        assert_eq!(Scorer::Recall.score("Lobe of left and left lung.", &truth), 1.0);
    }

    #[test]
    fn an_option_is_named_by_its_letter_or_its_words() {
        let right = accepted(&["B", "A cat"]);
        for (answer, score) in [
            ("B", 1.0),
            ("(B) a dog", 1.0),
            ("B. A cat", 1.0),
            ("The answer is B.", 1.0),
            ("a cat.", 1.0),
            ("A cat", 1.0),
            ("A", 0.0),
            ("A.", 0.0),
            ("the answer is A", 0.0),
            ("Birds", 0.0),
        ] {
            assert_eq!(Scorer::Choice.score(answer, &right), score, "{answer}");
        }
    }

    #[test]
    fn mme_wants_yes_or_no_first_and_pope_takes_what_does_not_deny() {
        let (yes, no) = (accepted(&["Yes"]), accepted(&["no"]));
        for (answer, to_yes, to_no) in
            [("Yes.", 1.0, 0.0), ("No, it is not", 0.0, 1.0), ("It is there, yes", 0.0, 0.0)]
        {
            assert_eq!(Scorer::YesNo.score(answer, &yes), to_yes, "{answer}");
            assert_eq!(Scorer::YesNo.score(answer, &no), to_no, "{answer}");
        }
        for (answer, denied) in [
            ("no", true),
            ("No, there is none", true),
            ("There is not", true),
            ("Yes. But no dog", false),
            ("Nothing of note", false),
        ] {
            let scores = if denied { (0.0, 1.0) } else { (1.0, 0.0) };
            let found = (Scorer::Presence.score(answer, &yes), Scorer::Presence.score(answer, &no));
            assert_eq!(found, scores, "{answer}");
        }
    }

    #[test]
    fn words_read_back_and_others_are_refused() {
        for scorer in Scorer::ALL {
            assert_eq!(scorer.word().parse(), Ok(scorer));
        }
        assert!("f1".parse::<Scorer>().expect_err("unknown").to_string().contains("`anls`"));
    }
}
