//! Counts and times for Prometheus. Labels are few and never a client's words.

use super::state::Served;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;
use visor::Answer;

/// Names and values.
type Labels = Vec<(&'static str, String)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    streams: Family<Labels, Counter>,
    tokens: Family<Labels, Counter>,
    pictures: Family<Labels, Counter>,
    seconds: Histograms,
    first_token: Histograms,
    gflops: Histograms,
    gauges: Family<Labels, Gauge>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

fn gflops() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 14))
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("visor");
        let requests = Family::default();
        registry.register("requests", "Requests that were answered", requests.clone());
        let streams = Family::default();
        registry.register("streams", "Streams, by how they ended", streams.clone());
        let tokens = Family::default();
        registry.register("tokens", "Tokens of prompts and answers", tokens.clone());
        let pictures = Family::default();
        registry.register("pictures", "Pictures of answers: encoded, or kept", pictures.clone());
        let (all, first) =
            (Histograms::new_with_constructor(seconds), Histograms::new_with_constructor(seconds));
        registry.register("request_seconds", "From request to last token, by rung", all.clone());
        registry.register("first_token_seconds", "To the first token, by rung", first.clone());
        let flops = Histograms::new_with_constructor(gflops);
        registry.register("gflops", "GFLOPs before the first token, by rung", flops.clone());
        let gauges = Family::default();
        registry.register("engine", "What is going on in the engine of a model", gauges.clone());
        Self {
            registry,
            requests,
            streams,
            tokens,
            pictures,
            seconds: all,
            first_token: first,
            gflops: flops,
            gauges,
        }
    }

    /// A request was answered, whatever it was told.
    pub(super) fn answered(&self, route: &'static str, status: u16) {
        let labels = vec![("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    /// A stream ended: it was [`answered`](Self::answered) with 200 whatever became of it.
    pub(super) fn streamed(&self, outcome: &'static str) {
        self.streams.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    /// A model has answered.
    pub(super) fn completed(&self, model: &str, answer: &Answer, queue: Duration, total: Duration) {
        let label = |name, value: &str| ("model", model.to_owned(), name, value.to_owned());
        let two = |(a, b, c, d): (&'static str, String, &'static str, String)| vec![(a, b), (c, d)];
        let rung = two(label("rung", &answer.decided.name));
        self.seconds.get_or_create(&rung).observe(total.as_secs_f64());
        let first = queue + answer.timing.first_token;
        self.first_token.get_or_create(&rung).observe(first.as_secs_f64());
        self.gflops.get_or_create(&rung).observe(answer.cost.cold.end_to_end.giga());
        let count = |family: &Family<Labels, Counter>, name, value: &str, by: usize| {
            family.get_or_create(&two(label(name, value))).inc_by(by as u64);
        };
        count(&self.tokens, "kind", "prompt", answer.prompt_tokens);
        count(&self.tokens, "kind", "completion", answer.token_ids.len());
        let cached = answer.pictures.cached;
        count(&self.pictures, "found", "kept", cached);
        count(&self.pictures, "found", "encoded", answer.pictures.shown - cached);
    }

    /// Everything in Prometheus' text form.
    pub(super) fn text(&self, served: &[Served]) -> Result<String, std::fmt::Error> {
        for Served { name, model, engine } in served {
            let stats = engine.stats();
            let cache = model.picture_cache().unwrap_or_default();
            let values = [
                ("queued", stats.queued as u64),
                ("running", stats.running as u64),
                ("refused", stats.refused),
                ("panics", stats.panics),
                ("decode_steps", stats.steps),
                ("decode_tokens", stats.step_tokens),
                ("lowered_by", stats.lowered_by as u64),
                ("picture_cache_hits", cache.hits),
                ("picture_cache_misses", cache.misses),
                ("picture_cache_evictions", cache.evictions),
                ("picture_cache_bytes", cache.bytes),
            ];
            for (what, value) in values {
                let labels = vec![("model", name.clone()), ("what", what.to_owned())];
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                self.gauges.get_or_create(&labels).set(value);
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
