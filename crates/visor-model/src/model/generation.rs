//! What `generation_config.json` says of answers: which tokens end them, and what is done to scores
//! before a token is chosen.
//!
//! Everything in it that changes greedy answers is followed or named. How tokens are drawn and how
//! many there are at most (`do_sample`, `temperature`, `top_k`, `top_p`, `max_new_tokens` and their
//! like) is for a request to say and not read.

use crate::error::ModelError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::num::NonZeroUsize;
use visor_checkpoint::{Checkpoint, CheckpointError, files};
use visor_runtime::{RepetitionPenalty, ScoreRule};

/// What changes greedy answers of `transformers` and is not done here, with the number that asks
/// for nothing.
const UNFOLLOWED: [(&str, Option<f64>); 17] = [
    ("num_beams", Some(1.0)),
    ("penalty_alpha", Some(0.0)),
    ("guidance_scale", Some(1.0)),
    ("encoder_repetition_penalty", Some(1.0)),
    ("encoder_no_repeat_ngram_size", Some(0.0)),
    ("bad_words_ids", None),
    ("sequence_bias", None),
    ("force_words_ids", None),
    ("constraints", None),
    ("forced_bos_token_id", None),
    ("forced_eos_token_id", None),
    ("forced_decoder_ids", None),
    ("exponential_decay_length_penalty", None),
    ("dola_layers", None),
    ("watermarking_config", None),
    ("stop_strings", None),
    ("token_healing", None),
];

/// Defaults for answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Generation {
    /// The ids that end an answer; none where the files name none.
    pub(crate) eos: Vec<u32>,
    /// What is done to scores, in the order of `GenerationMixin._get_logits_processor`.
    pub(crate) rules: Vec<ScoreRule>,
    /// Fields that change answers and are not followed.
    pub(crate) unfollowed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

#[derive(Deserialize, Default)]
struct RawEnds {
    eos_token_id: Option<Ids>,
    #[serde(default)]
    text_config: RawTextEnds,
}

#[derive(Deserialize, Default)]
struct RawTextEnds {
    eos_token_id: Option<Ids>,
}

/// Numbers that `transformers` takes for nothing unless they are above zero may be below it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRules {
    repetition_penalty: Option<f64>,
    no_repeat_ngram_size: Option<i64>,
    min_length: Option<i64>,
    min_new_tokens: Option<i64>,
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
}

impl From<Ids> for Vec<u32> {
    fn from(ids: Ids) -> Self {
        match ids {
            Ids::One(id) => vec![id],
            Ids::Several(ids) => ids,
        }
    }
}

impl Generation {
    /// Reads the file, and `config.json` for the ends where it names none.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let of_config = || ends(files::CONFIG, checkpoint.config_json());
        let Some(json) = checkpoint.generation_config()? else {
            return Ok(Self { eos: of_config()?.unwrap_or_default(), ..Self::default() });
        };
        let eos = match ends(files::GENERATION_CONFIG, &json)? {
            Some(eos) => eos,
            None => of_config()?.unwrap_or_default(),
        };
        Ok(Self { eos, rules: rules(&json)?, unfollowed: unfollowed(&json)? })
    }
}

fn parse<T: DeserializeOwned>(file: &str, json: &[u8]) -> Result<T, CheckpointError> {
    serde_json::from_slice(json)
        .map_err(|source| CheckpointError::Json { file: file.to_owned(), source })
}

fn ends(file: &str, json: &[u8]) -> Result<Option<Vec<u32>>, CheckpointError> {
    let raw: RawEnds = parse(file, json)?;
    Ok(raw.eos_token_id.or(raw.text_config.eos_token_id).map(Vec::from))
}

fn rules(json: &[u8]) -> Result<Vec<ScoreRule>, ModelError> {
    let raw: RawRules = parse(files::GENERATION_CONFIG, json)?;
    let penalty = |got: f64| {
        let (field, expected) = ("repetition_penalty", "a number above 0");
        let wrong = ModelError::Generation { field, got, expected };
        RepetitionPenalty::new(got).map(ScoreRule::RepetitionPenalty).ok_or(wrong)
    };
    let penalty = raw.repetition_penalty.filter(|value| *value != 1.0).map(penalty).transpose()?;
    let above_zero = |value: Option<i64>| value.filter(|value| *value > 0).and_then(number);
    // An id that no token has is suppressed already.
    let tokens = |ids: Vec<i64>| ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect();
    let rules = [
        penalty,
        above_zero(raw.no_repeat_ngram_size).map(ScoreRule::NoRepeatedRun),
        above_zero(raw.min_length).map(ScoreRule::MinLength),
        above_zero(raw.min_new_tokens).map(ScoreRule::MinNewTokens),
        raw.suppress_tokens.map(tokens).map(ScoreRule::Never),
        raw.begin_suppress_tokens.map(tokens).map(ScoreRule::NeverFirst),
    ];
    Ok(rules.into_iter().flatten().collect())
}

fn number(value: i64) -> Option<NonZeroUsize> {
    usize::try_from(value).ok().and_then(NonZeroUsize::new)
}

fn unfollowed(json: &[u8]) -> Result<Vec<String>, CheckpointError> {
    let all: Value = parse(files::GENERATION_CONFIG, json)?;
    let asks = |(field, neutral): &(&str, Option<f64>)| match all.get(field) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Number(number)) => number.as_f64() != *neutral,
        Some(_) => true,
    };
    let asked = UNFOLLOWED.iter().filter(|field| asks(field));
    Ok(asked.map(|(field, _)| (*field).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_one_id_or_several_and_may_stand_with_the_text_model() {
        let ends = |json: &str| ends("x.json", json.as_bytes()).expect("read");
        assert_eq!(ends(r#"{"eos_token_id": 4}"#), Some(vec![4]));
        assert_eq!(ends(r#"{"eos_token_id": [4, 7], "other": null}"#), Some(vec![4, 7]));
        assert_eq!(ends(r#"{"text_config": {"eos_token_id": 2}}"#), Some(vec![2]));
        assert_eq!(ends(r#"{"eos_token_id": null}"#), None);
        assert!(super::ends("x.json", br#"{"eos_token_id": "no"}"#).is_err());
    }

    #[test]
    fn defaults_that_change_scores_become_rules_and_neutral_ones_do_not() {
        let n = |value| NonZeroUsize::new(value).expect("not zero");
        let read = rules(
            br#"{"begin_suppress_tokens": [1], "suppress_tokens": [-1, 2], "min_new_tokens": 3,
                 "min_length": 9, "no_repeat_ngram_size": 2, "repetition_penalty": 1.5}"#,
        );
        let penalty = RepetitionPenalty::new(1.5).expect("positive");
        let expected = [
            ScoreRule::RepetitionPenalty(penalty),
            ScoreRule::NoRepeatedRun(n(2)),
            ScoreRule::MinLength(n(9)),
            ScoreRule::MinNewTokens(n(3)),
            ScoreRule::Never(vec![2]),
            ScoreRule::NeverFirst(vec![1]),
        ];
        assert_eq!(read.expect("read"), expected);
        let neutral = br#"{"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0,
                           "min_new_tokens": null, "suppress_tokens": null, "do_sample": true,
                           "temperature": 0.2, "top_k": 5, "max_new_tokens": 7}"#;
        assert_eq!(rules(neutral).expect("read"), []);
        let error = rules(br#"{"repetition_penalty": 0}"#).expect_err("refused").to_string();
        assert!(error.contains("repetition_penalty = 0: expected a number above 0"), "{error}");
        assert!(rules(br#"{"suppress_tokens": 3}"#).is_err());
    }

    #[test]
    fn what_changes_answers_and_is_not_followed_is_named() {
        let read = |json: &str| unfollowed(json.as_bytes()).expect("read");
        let asked = r#"{"num_beams": 4, "bad_words_ids": [[3]], "guidance_scale": 1.5,
                        "token_healing": true, "temperature": 0.2}"#;
        assert_eq!(read(asked), ["num_beams", "guidance_scale", "bad_words_ids", "token_healing"]);
        let neutral = r#"{"num_beams": 1, "bad_words_ids": null, "guidance_scale": 1,
                          "token_healing": false, "force_words_ids": [], "do_sample": true}"#;
        assert_eq!(read(neutral), [""; 0]);
    }
}
