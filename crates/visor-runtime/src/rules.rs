//! What a model does to the scores of the next token before one is chosen, on the host: what
//! `transformers` makes of the defaults that stand beside a checkpoint (`generation/logits_process.py`).

use std::num::NonZeroUsize;

/// What divides the scores of tokens that were there before: a positive, finite number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepetitionPenalty(f32);

impl RepetitionPenalty {
    /// `None` for what is no positive, finite number in single precision.
    pub fn new(value: f64) -> Option<Self> {
        let value = value as f32;
        (value.is_finite() && value > 0.0).then_some(Self(value))
    }
}

/// One thing that is done to the scores of the next token. Ids beyond the scores are nobody's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScoreRule {
    /// The score of every token of prompt and answer is divided by it, or multiplied where it is
    /// below zero: once, however often the token was there.
    RepetitionPenalty(RepetitionPenalty),
    /// No token that would end a run of so many tokens which was there before.
    NoRepeatedRun(NonZeroUsize),
    /// No end before prompt and answer have so many tokens together.
    MinLength(NonZeroUsize),
    /// No end before the answer has so many tokens.
    MinNewTokens(NonZeroUsize),
    /// Never one of these tokens.
    Never(Vec<u32>),
    /// Not one of these tokens at the beginning of an answer.
    NeverFirst(Vec<u32>),
}

/// What stands before the next token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    /// Ids of the prompt with every picture written out, then those of the answer.
    pub(crate) ids: &'a [u32],
    /// How many of them are the prompt's.
    pub(crate) n_prompt: usize,
    /// Ids that end an answer.
    pub(crate) ends: &'a [u32],
}

impl ScoreRule {
    pub(crate) fn apply(&self, scores: &mut [f32], Before { ids, n_prompt, ends }: Before<'_>) {
        match self {
            Self::RepetitionPenalty(penalty) => penalize(scores, ids, *penalty),
            Self::NoRepeatedRun(length) => forbid(scores, repeating(ids, length.get())),
            Self::MinLength(least) if ids.len() < least.get() => forbid(scores, each(ends)),
            Self::MinNewTokens(least) if ids.len() - n_prompt < least.get() => {
                forbid(scores, each(ends));
            }
            Self::NeverFirst(tokens) if ids.len() == n_prompt => forbid(scores, each(tokens)),
            Self::Never(tokens) => forbid(scores, each(tokens)),
            Self::MinLength(_) | Self::MinNewTokens(_) | Self::NeverFirst(_) => {}
        }
    }
}

fn each(ids: &[u32]) -> impl Iterator<Item = u32> {
    ids.iter().copied()
}

fn forbid(scores: &mut [f32], ids: impl Iterator<Item = u32>) {
    for id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
}

fn penalize(scores: &mut [f32], ids: &[u32], RepetitionPenalty(penalty): RepetitionPenalty) {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
}

/// The tokens behind which a run of `length` tokens would stand there a second time.
fn repeating(ids: &[u32], length: usize) -> impl Iterator<Item = u32> {
    let begun = ids.len().checked_sub(length - 1).map(|start| &ids[start..]);
    ids.windows(length).filter_map(move |run| {
        let (last, before) = run.split_last()?;
        (Some(before) == begun).then_some(*last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT: f32 = f32::NEG_INFINITY;

    /// Scores of five tokens, of which 4 ends, behind a prompt of three and this answer.
    fn ruled(rule: &ScoreRule, answer: &[u32]) -> [f32; 5] {
        let mut scores = [1.0, -1.0, 0.5, 2.0, 3.0];
        let ids = [&[0, 1, 9], answer].concat();
        rule.apply(&mut scores, Before { ids: &ids, n_prompt: 3, ends: &[4] });
        scores
    }

    fn n(value: usize) -> NonZeroUsize {
        NonZeroUsize::new(value).expect("not zero")
    }

    #[test]
    fn tokens_of_prompt_and_answer_are_penalised_once_and_towards_less() {
        let rule = ScoreRule::RepetitionPenalty(RepetitionPenalty::new(2.0).expect("positive"));
        assert_eq!(ruled(&rule, &[]), [0.5, -2.0, 0.5, 2.0, 3.0]);
        assert_eq!(ruled(&rule, &[3, 0, 3]), [0.5, -2.0, 0.5, 1.0, 3.0]);
        for wrong in [0.0, -1.0, 1e-60, f64::NAN, f64::INFINITY] {
            assert_eq!(RepetitionPenalty::new(wrong), None);
        }
    }

    #[test]
    fn a_run_of_tokens_is_not_said_twice() {
        let runs = |length, answer: &[u32]| ruled(&ScoreRule::NoRepeatedRun(n(length)), answer);
        assert_eq!(runs(1, &[]), [NOT, NOT, 0.5, 2.0, 3.0]);
        assert_eq!(runs(2, &[3, 0]), [1.0, NOT, 0.5, 2.0, 3.0]);
        assert_eq!(runs(2, &[3, 0, 2, 0]), [1.0, NOT, NOT, 2.0, 3.0]);
        assert_eq!(runs(3, &[3, 0, 2, 3, 0]), [1.0, -1.0, NOT, 2.0, 3.0]);
        assert_eq!(runs(3, &[1]), [1.0, -1.0, 0.5, 2.0, 3.0]);
        // Longer than all that was said.
        assert_eq!(runs(9, &[0, 1]), [1.0, -1.0, 0.5, 2.0, 3.0]);
    }

    #[test]
    fn an_answer_does_not_end_before_its_least_length() {
        let ends = |rule: &ScoreRule, answer: &[u32]| ruled(rule, answer)[4] > NOT;
        let (new, all) = (ScoreRule::MinNewTokens(n(2)), ScoreRule::MinLength(n(4)));
        assert_eq!([&[][..], &[0], &[0, 0]].map(|said| ends(&new, said)), [false, false, true]);
        assert_eq!([&[][..], &[0], &[0, 0]].map(|said| ends(&all, said)), [false, true, true]);
    }

    #[test]
    fn forbidden_tokens_are_never_said_and_others_not_first() {
        let never = ScoreRule::Never(vec![1, 3, 77]);
        let first = ScoreRule::NeverFirst(vec![0]);
        assert_eq!(ruled(&never, &[]), [1.0, NOT, 0.5, NOT, 3.0]);
        assert_eq!(ruled(&never, &[2]), [1.0, NOT, 0.5, NOT, 3.0]);
        assert_eq!(ruled(&first, &[]), [NOT, -1.0, 0.5, 2.0, 3.0]);
        assert_eq!(ruled(&first, &[2]), [1.0, -1.0, 0.5, 2.0, 3.0]);
    }
}
