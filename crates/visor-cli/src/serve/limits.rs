//! How much a server takes.

use crate::ending::Usage;
use anyhow::Result;
use clap::Args;
use std::num::NonZeroUsize;
use std::time::Duration;
use visor::PictureLimits;
use visor_serve::api::RequestLimits;
use visor_serve::engine::EngineOptions;
use visor_serve::http::Limits;

const MIB: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct LimitArgs {
    /// Requests that may wait, for each model; more are told to come back later
    #[arg(long, value_name = "N", default_value = "128")]
    queue: NonZeroUsize,

    /// Requests of a model that are worked on at once
    #[arg(long, value_name = "N", default_value = "32")]
    batch: NonZeroUsize,

    /// Tokens of prompts that go through a model together
    #[arg(long, value_name = "N", default_value = "2048")]
    prefill_tokens: NonZeroUsize,

    /// MiB of memory for encoded pictures, for each model
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    picture_cache: u64,

    /// MiB of memory for the pixels of all pictures that are on their way to be encoded
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pixel_memory: u64,

    /// MiB of keys and values that the requests of a model that are worked on can come to hold
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    kv_memory: u64,

    /// MiB of a request, its pictures included
    #[arg(long, value_name = "MIB", default_value_t = 20)]
    max_body: u64,

    /// Pictures of a request
    #[arg(long, value_name = "N", default_value_t = 8)]
    max_pictures: usize,

    /// Tokens that a request may ask for
    #[arg(long, value_name = "N", default_value = "4096")]
    max_tokens: NonZeroUsize,

    /// Connections that are open at once
    #[arg(long, value_name = "N", default_value = "512")]
    max_connections: NonZeroUsize,

    /// Requests whose pictures are decoded at once
    #[arg(long, value_name = "N", default_value = "2")]
    decoders: NonZeroUsize,

    /// Seconds for a request's head to come
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    head_timeout: Duration,

    /// Seconds for a request's body to come
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    body_timeout: Duration,

    /// Seconds for a client to go on reading
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    write_timeout: Duration,

    /// Seconds for a request to be answered
    #[arg(long, value_name = "S", default_value = "120", value_parser = seconds)]
    request_timeout: Duration,

    /// Seconds for running requests to be answered once the server is told to end
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    drain_timeout: Duration,
}

/// A time of more than nothing and at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.001..=86_400.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected 0.001 to 86400 seconds".to_owned())
}

impl LimitArgs {
    /// # Errors
    /// If a number of MiB is beyond all memory.
    pub(super) fn engine(&self) -> Result<EngineOptions> {
        let Self { queue, batch, prefill_tokens, .. } = *self;
        let kv_memory = bytes("--kv-memory", self.kv_memory)?;
        Ok(EngineOptions { queue, batch, prefill_tokens, kv_memory, ..EngineOptions::default() })
    }

    /// # Errors
    /// As [`engine`](Self::engine).
    pub(super) fn limits(&self) -> Result<Limits> {
        let request = RequestLimits {
            pictures: self.max_pictures,
            max_tokens: self.max_tokens,
            ..RequestLimits::default()
        };
        let body = bytes("--max-body", self.max_body)?;
        let all = Limits::default();
        Ok(Limits {
            request,
            body,
            bodies: all.bodies.max(body),
            pixels: bytes("--pixel-memory", self.pixel_memory)?,
            connections: self.max_connections.get(),
            decoders: self.decoders.get(),
            head_time: self.head_timeout,
            body_time: self.body_timeout,
            write_time: self.write_timeout,
            request_time: self.request_timeout,
            drain_time: self.drain_timeout,
            ..all
        })
    }

    /// # Errors
    /// As [`engine`](Self::engine).
    pub(super) fn picture_cache(&self) -> Result<u64> {
        bytes("--picture-cache", self.picture_cache)
    }

    /// Stricter than for a user's own pictures: a picture of a stranger is no line of pixels, and
    /// several are decoded at once.
    pub(super) fn pictures(&self) -> PictureLimits {
        PictureLimits {
            max_side: 8192,
            max_pixels: 40_000_000,
            max_alloc_bytes: 256 * MIB,
            min_side: 8,
            max_aspect: 200,
        }
    }
}

fn bytes(option: &str, mib: u64) -> Result<u64> {
    let bytes = mib.checked_mul(MIB).filter(|bytes| *bytes <= 1 << 40);
    bytes.ok_or_else(|| Usage::because(format!("{option} {mib}: expected at most 1048576")))
}
