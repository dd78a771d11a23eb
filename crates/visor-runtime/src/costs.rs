//! What every level of a model would cost for one prompt.

use crate::budget::Level;
use crate::card::ModelCard;
use crate::patches;
use crate::policy::BudgetPolicy;
use std::num::NonZeroUsize;
use visor_core::cost::{Flops, Looks, PolicyShape, Prompt, Scopes};
use visor_core::{LayerMode, Padding, RungId, Schedule};

/// What one level costs for one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelCost {
    /// The level.
    pub level: Level,
    /// Its name.
    pub name: String,
    /// Self-attention layers that run.
    pub self_attention_layers: Vec<usize>,
    /// The most patches that are read, where a pair says so.
    pub patches: Option<NonZeroUsize>,
    /// FLOPs in the four scopes.
    pub scopes: Scopes,
    /// Bytes of cached keys and values after prefill.
    pub kv_bytes: u64,
}

/// What every level of a model would cost for one prompt.
///
/// The dense reference is always in it, even where the model was not trained to run it: savings
/// are counted from there.
#[derive(Clone, Debug, PartialEq)]
pub struct CostTable {
    /// The rungs, cheapest first; none in a stock model.
    pub rungs: Vec<LevelCost>,
    /// The dense reference.
    pub dense: LevelCost,
    /// Bytes of keys and values that every token of an answer adds, at any level.
    pub kv_bytes_per_token: u64,
    /// How caches are filled up, and tokens of the prompt: text, then picture.
    held: (Padding, usize, usize),
}

impl CostTable {
    /// Counts all levels of `card` for `prompt`. With a policy, rungs carry its cost too.
    pub fn new(card: &ModelCard, prompt: Prompt, policy: Option<PolicyShape>) -> Self {
        let level = |level, name: &str, schedule: &Schedule, prompt: Prompt, policy| LevelCost {
            level,
            name: name.to_owned(),
            self_attention_layers: self_attention_layers(schedule),
            patches: None,
            scopes: card.shape.scopes(schedule, prompt, policy),
            kv_bytes: card.shape.decoder.kv_bytes(
                schedule,
                prompt.n_text,
                prompt.n_visual,
                prompt.looks(),
                size_of::<f32>(),
                card.padding,
            ),
        };
        let rungs = card.ladder.iter().flat_map(|ladder| {
            let policy = policy.map(|shape| (shape, ladder.decision_layer().0));
            ladder.ids().map(move |id| {
                let rung = ladder.rung(id);
                let prompt = Prompt { keys: patches::at(card, ladder, id, prompt), ..prompt };
                let schedule = ladder.schedule(id);
                let cost = level(Level::Rung(id), rung.name(), &schedule, prompt, policy);
                LevelCost { patches: rung.patches(), ..cost }
            })
        });
        let dense = Schedule::dense(card.shape.decoder.n_layers);
        let none = Looks::alike(0);
        let bytes = size_of::<f32>();
        let token = card.shape.decoder.kv_bytes(&dense, 1, 0, none, bytes, Padding::None);
        Self {
            rungs: rungs.collect(),
            dense: level(Level::Dense, "dense", &dense, prompt, None),
            kv_bytes_per_token: token,
            held: (card.padding, prompt.n_text, prompt.n_visual),
        }
    }

    /// Bytes of keys and values that `tokens` of an answer add at most, at any level: where caches
    /// are filled up they grow in blocks.
    pub fn kv_bytes_of_answer(&self, tokens: usize) -> u64 {
        let (padding, n_text, n_visual) = self.held;
        let grown =
            |n_visual| padding.joint(n_text + tokens, n_visual) - padding.joint(n_text, n_visual);
        // A layer holds the text alone, or the picture too.
        self.kv_bytes_per_token * grown(0).max(grown(n_visual)) as u64
    }

    /// The cost of one level.
    pub fn of(&self, level: Level) -> &LevelCost {
        match level {
            Level::Rung(rung) => self.rung(rung),
            Level::Dense => &self.dense,
        }
    }

    /// The cost of one rung.
    ///
    /// # Panics
    /// If the rung is of a longer ladder.
    pub fn rung(&self, rung: RungId) -> &LevelCost {
        &self.rungs[rung.index()]
    }

    /// How many times cheaper than dense a level is, end to end.
    pub fn saving(&self, level: Level) -> f64 {
        let flops = |cost: &LevelCost| cost.scopes.end_to_end.0 as f64;
        flops(&self.dense) / flops(self.of(level))
    }

    /// The names of the rungs, for messages.
    pub(crate) fn names(&self) -> String {
        self.rungs.iter().map(|rung| format!("`{}`", rung.name)).collect::<Vec<_>>().join(", ")
    }

    /// What a policy weighs: end-to-end prefill by rung, cheapest first. What rungs share does not
    /// count, since only their differences do; a choice of patches counts where one is made.
    pub fn weighed(&self) -> Vec<Flops> {
        self.rungs.iter().map(|rung| rung.scopes.end_to_end).collect()
    }
}

/// The policy's sizes, where one is asked.
pub(crate) fn shape_of(policy: Option<&dyn BudgetPolicy>) -> Option<PolicyShape> {
    policy.and_then(BudgetPolicy::shape)
}

fn self_attention_layers(schedule: &Schedule) -> Vec<usize> {
    let modes = schedule.modes().iter().enumerate();
    modes.filter(|(_, mode)| **mode == LayerMode::SelfAttention).map(|(layer, _)| layer).collect()
}
