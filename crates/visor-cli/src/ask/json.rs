//! The answer as one JSON object: a contract that scripts rely on.

use super::memory;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use visor::{Answer, Basis, Model, PolicyInfo, Thrift};

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    text: &'a str,
    token_ids: &'a [u32],
    prompt_tokens: usize,
    visual_tokens: usize,
    pictures: Pictures,
    finish_reason: &'static str,
    budget: Budget<'a>,
    cost: Cost,
    timing_ms: Milliseconds,
    /// Null for an answer of a single token.
    tokens_per_second: Option<f64>,
    /// Null where the system does not tell.
    peak_rss_bytes: Option<u64>,
    device: String,
    dtype: String,
    model: &'a str,
    model_sha256: Option<&'a str>,
    /// Null where no policy was loaded.
    policy: Option<Policy<'a>>,
}

#[derive(Serialize)]
struct Pictures {
    shown: usize,
    /// Those that were encoded before.
    cached: usize,
}

#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    sha256: &'a str,
}

#[derive(Serialize)]
struct Budget<'a> {
    /// Null where nothing was asked for by name.
    requested: Option<String>,
    chosen: &'a str,
    self_attention_layers: &'a [usize],
    /// Null: all of them.
    patches: Option<usize>,
    basis: &'static str,
    /// How much cost weighed; absent where no policy weighed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    thrift: Option<f32>,
    /// Absent where no policy was asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    probabilities: BTreeMap<&'a str, f32>,
}

#[derive(Serialize)]
struct Cost {
    gflops_prefill: f64,
    gflops_end_to_end: f64,
    gflops_dense_end_to_end: f64,
    saving: f64,
    spent_gflops: f64,
    kv_bytes: u64,
}

#[derive(Serialize)]
struct Milliseconds {
    preprocess: f64,
    encode: f64,
    prefill: f64,
    decode: f64,
    first_token: f64,
    total: f64,
}

impl<'a> Report<'a> {
    /// Everything that is known about an answer. `thrift` is what the user asked for.
    pub(crate) fn new(answer: &'a Answer, model: &'a Model, thrift: Option<Thrift>) -> Self {
        let Answer { decided, cost, timing, .. } = answer;
        let (card, (device, dtype)) = (model.card(), model.options());
        let probabilities = decided.probabilities.iter();
        let by_policy = matches!(decided.basis, Basis::Predicted | Basis::Capped { .. });
        let policy = model.policy().filter(|_| by_policy);
        let own = policy.and_then(|policy| policy.default_thrift);
        Self {
            text: &answer.text,
            token_ids: &answer.token_ids,
            prompt_tokens: answer.prompt_tokens,
            visual_tokens: answer.visual_tokens,
            pictures: Pictures { shown: answer.pictures.shown, cached: answer.pictures.cached },
            finish_reason: answer.finish_reason.word(),
            budget: Budget {
                requested: answer.requested.as_ref().map(ToString::to_string),
                chosen: &decided.name,
                self_attention_layers: &decided.self_attention_layers,
                patches: answer.selection.as_ref().map(|selection| selection.patches.len()),
                basis: decided.basis.word(),
                thrift: thrift.or(own).filter(|_| by_policy).map(Thrift::weight),
                probabilities: probabilities.map(|(rung, p)| (rung.as_str(), *p)).collect(),
            },
            cost: Cost {
                gflops_prefill: cost.cold.lm_prefill.giga(),
                gflops_end_to_end: cost.cold.end_to_end.giga(),
                gflops_dense_end_to_end: cost.dense.end_to_end.giga(),
                saving: cost.saving(),
                spent_gflops: cost.spent.giga(),
                kv_bytes: cost.kv_bytes,
            },
            timing_ms: Milliseconds {
                preprocess: ms(timing.preprocess),
                encode: ms(timing.encode),
                prefill: ms(timing.prefill),
                decode: ms(timing.decode),
                first_token: ms(timing.first_token),
                total: ms(timing.total),
            },
            tokens_per_second: answer.tokens_per_second(),
            peak_rss_bytes: memory::peak_bytes(),
            device: device.to_string(),
            dtype: dtype.to_string(),
            model: &card.name,
            model_sha256: card.sha256.as_deref(),
            policy: model.policy().map(|PolicyInfo { name, sha256, .. }| Policy { name, sha256 }),
        }
    }
}

/// To the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
