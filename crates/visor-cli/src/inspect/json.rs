//! A model and its costs as one JSON object: a contract that scripts rely on.

use super::{Seen, SeenPolicy};
use serde::Serialize;
use visor::{CostTable, DenseMode, LevelCost, Thrift};

#[derive(Serialize)]
pub(super) struct Report<'a> {
    model: &'a str,
    parameters: u64,
    context: usize,
    layers: Layers,
    /// Null for a stock model.
    decision_layer: Option<usize>,
    prompt: Prompt,
    /// Cheapest first.
    rungs: Vec<Level<'a>>,
    dense: Dense<'a>,
    /// Null where nothing chooses patches.
    selector: Option<Selector>,
    /// Null where the model names none.
    policy: Option<Policy<'a>>,
    /// They may ask for what is not done.
    unknown_config_fields: &'a [String],
}

#[derive(Serialize)]
struct Selector {
    /// Fewest and most patches that it chooses of its own accord.
    k_min: usize,
    k_max: usize,
    /// Visual tokens that this is meant for; elsewhere it goes with the root of their number.
    of: usize,
}

#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    sha256: &'a str,
    objective: &'static str,
    /// Null for an objective that weighs no cost.
    default_thrift: Option<f32>,
    /// Of asking it about this prompt.
    overhead_gflops: f64,
}

#[derive(Serialize)]
struct Layers {
    decoder: usize,
    vision: usize,
    cross_attention: Vec<usize>,
    self_attention_capable: Vec<usize>,
}

#[derive(Serialize)]
struct Prompt {
    image_size: [u32; 2],
    visual_tokens: usize,
    text_tokens: u32,
}

#[derive(Serialize)]
struct Level<'a> {
    name: &'a str,
    self_attention_layers: &'a [usize],
    gflops: Gflops,
    saving: f64,
    kv_bytes: u64,
}

#[derive(Serialize)]
struct Gflops {
    vision_side: f64,
    lm_prefill: f64,
    end_to_end: f64,
    decode_step: f64,
}

/// The reference, whether or not the model can run it.
#[derive(Serialize)]
struct Dense<'a> {
    available: bool,
    #[serde(flatten)]
    level: Level<'a>,
}

impl<'a> Report<'a> {
    pub(super) fn new(seen: &Seen<'a>) -> Self {
        let (card, costs) = (seen.info.card(), seen.costs);
        let [cross_attention, self_attention_capable] = seen.layout();
        Self {
            model: &card.name,
            parameters: card.parameters,
            context: card.context,
            layers: Layers {
                decoder: card.shape.decoder.n_layers,
                vision: card.shape.encoder.n_layers,
                cross_attention,
                self_attention_capable,
            },
            decision_layer: card.ladder.as_ref().map(|ladder| ladder.decision_layer().0),
            prompt: Prompt {
                image_size: [seen.picture.width, seen.picture.height],
                visual_tokens: seen.visual_tokens(),
                text_tokens: seen.text_tokens,
            },
            rungs: costs.rungs.iter().map(|rung| Level::new(rung, costs)).collect(),
            dense: Dense {
                available: card.dense == DenseMode::Available,
                level: Level::new(&costs.dense, costs),
            },
            selector: card.selector.map(|selector| Selector {
                k_min: selector.range.0,
                k_max: selector.range.1,
                of: selector.n_reference,
            }),
            policy: seen.policy.map(Policy::new),
            unknown_config_fields: seen.info.unknown_fields(),
        }
    }
}

impl<'a> Policy<'a> {
    fn new(SeenPolicy { info, overhead }: SeenPolicy<'a>) -> Self {
        Self {
            name: &info.name,
            sha256: &info.sha256,
            objective: info.objective.word(),
            default_thrift: info.default_thrift.map(Thrift::weight),
            overhead_gflops: overhead.giga(),
        }
    }
}

impl<'a> Level<'a> {
    fn new(cost: &'a LevelCost, costs: &CostTable) -> Self {
        let scopes = cost.scopes;
        Self {
            name: &cost.name,
            self_attention_layers: &cost.self_attention_layers,
            gflops: Gflops {
                vision_side: scopes.vision_side.giga(),
                lm_prefill: scopes.lm_prefill.giga(),
                end_to_end: scopes.end_to_end.giga(),
                decode_step: scopes.decode_step.giga(),
            },
            saving: costs.saving(cost.level),
            kv_bytes: cost.kv_bytes,
        }
    }
}
