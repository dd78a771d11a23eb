//! The language that clients speak: chat completions in the manner of OpenAI, and what they may say
//! about the budget. Nothing here touches a socket or a model.

mod bounded;
mod fields;
mod knobs;
mod messages;
mod reply;
mod request;

pub use knobs::{KnobHeader, Knobs};
pub use messages::{PictureSource, expect_length};
pub use reply::{Reply, Stages, usage};
pub use request::{ChatRequest, ModelName, RequestLimits, Streaming, parse};
