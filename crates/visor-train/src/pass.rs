//! A batch on the device, and one pass of the network over it under a schedule.

use crate::batch::Batch;
use crate::reduction::Pool;
use crate::schedule::Budget;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::BTreeMap;
use visor_core::{LayerMode, PositionScheme};
use visor_model::ModelError;
use visor_model::attention::Seen;
use visor_model::config::ModelConfig;
use visor_model::decoder::Sample;
use visor_model::layer::{Refinement, Streams};
use visor_model::{Network, Placement, Watch};

/// What a batch is on the device.
#[derive(Debug)]
pub struct Lifted {
    pixels: Tensor<4>,
    ids: Tensor<2, Int>,
    /// Where tokens stand, by how visual tokens are averaged.
    at: BTreeMap<Pool, Placement>,
    rows: Tensor<1, Int>,
}

/// What a pass gives.
#[derive(Debug)]
pub struct Passed {
    /// Logits of the answer tokens, `[targets, vocab]`.
    pub logits: Tensor<2>,
    /// The picture after each self-attention layer, `[B, V, E]`.
    pub refined: Vec<Tensor<3>>,
    /// What text reads of the picture in each layer that cross-attends, or in a network without
    /// such layers in each behind the first: `[B, H, T, V]`. Nothing where nobody looks.
    pub looks: Vec<Tensor<4>>,
}

impl Lifted {
    /// Lifts a batch, to be passed at any of `budgets`.
    pub fn new<'a>(
        batch: &Batch,
        budgets: impl IntoIterator<Item = &'a Budget>,
        config: &ModelConfig,
        positions: PositionScheme,
        device: &Device,
    ) -> Self {
        let (b, side) = (batch.n_pictures, batch.side);
        let rows: Vec<i64> = batch.targets.iter().map(|&(row, _)| row as i64).collect();
        let n_rows = rows.len();
        let rotary = config.text.rotary(positions.rotary);
        let place = |pool: Pool| {
            let (maps, blocks): (Vec<_>, Vec<_>) =
                batch.maps.iter().map(|map| pool.tokens(map)).unzip();
            let filter = |sample: usize, text, patch: usize| {
                let block: &Vec<usize> = &blocks[sample][patch];
                block.iter().any(|&patch| batch.may_read(sample, text, patch))
            };
            Placement::prefill(&maps, rotary, positions.image_mask, Some(&filter), device)
        };
        let mut at = BTreeMap::new();
        for budget in budgets {
            at.entry(budget.pool).or_insert_with_key(|&pool| place(pool));
        }
        Self {
            pixels: Tensor::from_data(
                TensorData::new(batch.pixels.clone(), [b, 3, side, side]),
                device,
            ),
            ids: Tensor::from_data(TensorData::new(batch.ids.clone(), [b, batch.n_text]), device),
            at,
            rows: Tensor::from_data(TensorData::new(rows, [n_rows]), device),
        }
    }

    /// The visual tokens that the encoder gives, `[B, V, E]`.
    ///
    /// # Errors
    /// Of pixels of another size.
    pub fn encode(&self, network: &Network) -> Result<Tensor<3>, ModelError> {
        network.encode(self.pixels.clone(), &|| Ok(()))
    }

    /// Runs the decoder over encoded pictures and asks for the answers.
    ///
    /// # Errors
    /// None in a sound network.
    ///
    /// # Panics
    /// At a budget whose tokens the batch was not lifted for.
    pub fn answer(
        &self,
        network: &Network,
        encoded: Tensor<3>,
        budget: &Budget,
        refinement: Refinement,
        watch: Watch,
    ) -> Result<Passed, ModelError> {
        let text = network.decoder().embed(self.ids.clone()); // [B, T, E]
        let ran = self.run(network, text, encoded, budget, refinement, watch)?;
        let [b, t, e] = ran.streams.text.dims();
        let rows = ran.streams.text.reshape([b * t, e]).select(0, self.rows.clone()); // [targets, E]
        Ok(Passed { logits: network.logits(rows), refined: ran.refined, looks: ran.looks })
    }

    fn run(
        &self,
        network: &Network,
        text: Tensor<3>,
        encoded: Tensor<3>,
        budget: &Budget,
        refinement: Refinement,
        watch: Watch,
    ) -> Result<Ran, ModelError> {
        let Budget { schedule, pool, .. } = budget;
        let pooled = pool.forward(encoded); // [B, V / factor, E]
        let visual = match schedule.count(LayerMode::CrossAttention) {
            0 => pooled,
            _ => network.condition(pooled),
        };
        let [_, n_visual, _] = visual.dims();
        let [_, n_text, _] = text.dims();
        let reads = schedule.count(LayerMode::CrossAttention) > 0;
        let (mut refined, mut looks) = (Vec::new(), Vec::new());
        let mut streams = vec![Streams { text, visual: Some(visual) }];
        for (layer, mode) in schedule.modes().iter().enumerate() {
            let mut seen = Seen::default();
            let sample = Sample {
                schedule,
                at: &self.at[pool],
                refinement,
                caches: None,
                seen: (watch == Watch::Attention).then_some(&mut seen),
            };
            let layers = layer..layer + 1;
            let decoder = network.decoder();
            streams = decoder.run_batch(streams, &mut [sample], layers, &mut |_, _| Ok(()))?;
            if *mode == LayerMode::SelfAttention {
                refined.extend(streams.first().and_then(|streams| streams.visual.clone()));
            }
            // Dense reads in every layer; in the first nobody knows yet what is asked.
            let read = match (seen.cross, seen.own) {
                (Some(cross), _) => Some(cross.narrow(3, 1, n_visual)), // [B, H, T, V]
                (None, Some(own)) if !reads && layer > 0 => {
                    Some(own.narrow(2, n_visual, n_text).narrow(3, 0, n_visual))
                }
                (None, _) => None,
            };
            looks.extend(read);
        }
        let streams = streams.pop().expect("as many come out as go in");
        Ok(Ran { streams, refined, looks })
    }
}

/// What layers have done.
struct Ran {
    streams: Streams,
    refined: Vec<Tensor<3>>,
    looks: Vec<Tensor<4>>,
}
