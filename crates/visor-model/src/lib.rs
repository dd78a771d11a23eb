//! The network in burn: vision encoder, connector, scheduled decoder, cross-attention, caches.
//!
//! One decoder serves Llama and Qwen2 stacks and one vision encoder serves SigLIP towers. A family
//! is a typed configuration, a key map and a processor choice, never a second network.
//!
//! Shape letters: `B` batch, `T` text tokens, `V` visual tokens, `S` keys seen, `H` heads, `G` key
//! and value heads, `D` width of a head, `E` width of a token, `P` patches of a tile.

pub mod attention;
pub mod cache;
pub mod clip;
pub mod conditional;
pub mod config;
pub mod connector;
pub mod counter;
pub mod cross;
pub mod decoder;
mod error;
mod feature_map;
mod filling;
mod host;
pub mod init;
pub mod keys;
pub mod layer;
pub mod linear;
pub mod mlp;
mod model;
pub mod network;
pub mod norm;
pub mod placement;
pub mod precision;
mod ragged;
pub mod rotary;
pub mod selector;
mod together;
pub mod vision;
pub mod weight;
pub mod weights;

pub use config::{ConfigError, ModelConfig};
pub use error::ModelError;
pub use model::{
    Activation, AtDecision, Blueprint, Decoding, Dropped, EncodedPictures, LayerView, LoadReport,
    Observed, VisorModel, Watch, Way, Witness, parameters, token_map,
};
pub use network::{Extension, Head, Network};
pub use placement::{Placement, TextToken, TokenMap, VisualToken};
