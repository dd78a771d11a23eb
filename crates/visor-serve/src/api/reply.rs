//! What a client gets: an answer in one piece or in many, with what it took.

use serde_json::{Value, json};
use std::time::Duration;
use visor::{Answer, Basis, FinishReason, Model, Thrift};

/// An answer to one request, under one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Of the answer, and of all its pieces.
    pub id: String,
    /// The model's name as it was asked for.
    pub model: String,
    /// Seconds since 1970.
    pub created: u64,
}

/// What is known of an answer beside what its runner says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stages {
    /// In the queue.
    pub queue: Duration,
    /// From the request to its last token.
    pub total: Duration,
    /// How much cost weighed, as the client said.
    pub thrift: Option<Thrift>,
    /// Of the draws, where anything was drawn.
    pub seed: Option<u64>,
}

impl Reply {
    /// The whole answer.
    pub fn whole(&self, answer: &Answer, usage: &Value) -> Value {
        let Self { id, model, created } = self;
        json!({
            "id": id, "object": "chat.completion", "created": created, "model": model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": answer.text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish_reason(answer.finish_reason),
            }],
            "usage": usage,
        })
    }

    /// The first piece: who speaks.
    pub fn first_piece(&self) -> Value {
        self.piece(&json!({"role": "assistant", "content": ""}), None)
    }

    /// A piece of text.
    pub fn text_piece(&self, text: &str) -> Value {
        self.piece(&json!({"content": text}), None)
    }

    /// The last piece with a choice: why the answer ended.
    pub fn last_piece(&self, reason: FinishReason) -> Value {
        self.piece(&json!({}), Some(finish_reason(reason)))
    }

    /// What it took, behind all pieces.
    pub fn usage_piece(&self, usage: &Value) -> Value {
        let Self { id, model, created } = self;
        json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
            "choices": [], "usage": usage,
        })
    }

    fn piece(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        let Self { id, model, created } = self;
        json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null,
                         "finish_reason": finish_reason}],
        })
    }
}

/// OpenAI's word.
fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        _ => "stop",
    }
}

/// `usage` of an answer: tokens, and under `visor` the budget, its cost and the times.
pub fn usage(answer: &Answer, model: &Model, stages: &Stages) -> Value {
    let Answer { decided, cost, timing, pictures, .. } = answer;
    let by_policy = matches!(decided.basis, Basis::Predicted | Basis::Capped { .. });
    let policy = model.policy().filter(|_| by_policy);
    let thrift = stages.thrift.or(policy.and_then(|policy| policy.default_thrift));
    let thrift = thrift.filter(|_| by_policy).map(Thrift::weight);
    let probabilities: serde_json::Map<String, Value> =
        decided.probabilities.iter().map(|(rung, p)| (rung.clone(), json!(p))).collect();
    let wanted = match decided.basis {
        Basis::Lowered { from } => Some(from),
        Basis::Capped { predicted } => Some(predicted),
        _ => None,
    };
    let ladder = model.card().ladder.as_ref();
    let wanted = wanted.zip(ladder).map(|(rung, ladder)| ladder.rung(rung).name().to_owned());
    let (prompt, completion) = (answer.prompt_tokens, answer.token_ids.len());
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "visor": {
            "requested": answer.requested.as_ref().map(ToString::to_string),
            "chosen": decided.name,
            "basis": decided.basis.word(),
            "wanted": wanted,
            "self_attention_layers": decided.self_attention_layers,
            "probabilities": probabilities,
            "thrift": thrift,
            "seed": stages.seed,
            "patches": answer.selection.as_ref().map(|chosen| chosen.patches.len()),
            "visual_tokens": answer.visual_tokens,
            "pictures": pictures.shown,
            "cached_pictures": pictures.cached,
            "cache_hit": pictures.shown > 0 && pictures.cached == pictures.shown,
            "gflops": cost.cold.end_to_end.giga(),
            "gflops_spent": (cost.spent + cost.decode).giga(),
            "gflops_dense": cost.dense.end_to_end.giga(),
            "saving": cost.saving(),
            "kv_bytes": cost.kv_bytes,
            "timing_ms": {
                "queue": ms(stages.queue),
                "preprocess": ms(timing.preprocess),
                "encode": ms(timing.encode),
                "prefill": ms(timing.prefill),
                "decode": ms(timing.decode),
                "first_token": ms(stages.queue + timing.first_token),
                "total": ms(stages.total),
            },
        },
    })
}

/// To the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
