//! A stock checkpoint as a universal one, before it is trained (method, sections 1 and 3).
//!
//! The pre-trained weights stay as they are. Cross-attention is added with closed gates and the
//! conditional position with zeros, so that dense is the stock model to the bit and every rung
//! begins as what its layers were: the lowest runs the text alone.

use crate::error::TrainError;
use crate::rewrite::{self, Stored};
use crate::selector::{Settings, Supervision, first_values};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, CrossAttentionManifest, DenseMode, Dtype, Manifest, Provenance, Streamed,
    TensorOutline, Weights,
};
use visor_core::{Ladder, LayerIdx, Layout, PositionScheme};
use visor_model::config::ModelConfig;
use visor_model::cross::CrossSizes;
use visor_model::init::Noise;
use visor_model::{Blueprint, Extension, weights};

/// How the names of a selector's parameters begin.
pub(crate) const SELECTOR: &str = "selector.";

/// Spread of the null key and value.
const NULL: f32 = 0.02;

/// The ladder of a conversion: nested rungs of 0, 1, 2, 4, .. and all capable layers, the middle
/// ones first, each half of what is left by its own middle.
///
/// # Errors
/// None for a layout that has a capable layer.
pub fn default_ladder(layout: Layout) -> Result<Ladder, TrainError> {
    let decision = layout.decision_layer().0;
    default_ladder_at(layout, decision)
}

fn default_ladder_at(layout: Layout, decision: usize) -> Result<Ladder, TrainError> {
    let capable: Vec<usize> = layout.self_capable().iter().map(|layer| layer.0).collect();
    let order: Vec<usize> = middles(capable.len()).into_iter().map(|at| capable[at]).collect();
    let n = capable.len();
    let mut sizes = vec![0];
    // A rung that is nearly all of them is none of its own.
    sizes.extend((0..).map(|power| 1 << power).take_while(|size| 3 * size <= 2 * n));
    sizes.push(n);
    sizes.dedup();
    let rung = |size: usize| {
        let mut active = order[..size].to_vec();
        active.sort_unstable();
        (format!("sa{size}"), active)
    };
    let rungs: Vec<_> = sizes.into_iter().map(rung).collect();
    Ok(Ladder::try_new(layout, decision, &rungs)?)
}

/// The places `0..n` by bisection: the middle, then the middle of each half, and so on.
fn middles(n: usize) -> Vec<usize> {
    let mut order = Vec::with_capacity(n);
    let mut parts = VecDeque::new();
    parts.push_back(0..n);
    while let Some(part) = parts.pop_front() {
        if part.is_empty() {
            continue;
        }
        let middle = part.start + part.len() / 2;
        order.push(middle);
        parts.extend([part.start..middle, middle + 1..part.end]);
    }
    order
}

/// Which layers become what, and which budgets there shall be. What is left open is the default of
/// the decoder's depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Cross-attention layers, ascending.
    pub cross: Option<Vec<usize>>,
    /// Self-attention capable layers, ascending.
    pub self_capable: Option<Vec<usize>>,
    /// Active layers of each rung, cheapest first. The rung without self-attention is always there
    /// and need not be listed.
    pub rungs: Option<Vec<Vec<usize>>>,
    /// The layer in front of which a budget is decided: by default the first self-attention
    /// capable one.
    pub decision: Option<usize>,
    /// Whether a patch selector is added.
    pub selector: SelectorPlan,
}

/// Whether a patch selector is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectorPlan {
    /// None is.
    #[default]
    Without,
    /// One is, in the sizes that the method has for the width and the tokens of a tile, untrained.
    Fresh,
}

impl Plan {
    /// The ladder for a decoder of this depth.
    ///
    /// # Errors
    /// Of layers that break the rules of a layout or a ladder, or a depth without a default.
    pub fn ladder(&self, n_layers: usize) -> Result<Ladder, TrainError> {
        let layout = match (&self.cross, &self.self_capable) {
            (Some(cross), Some(capable)) => Layout::try_new(n_layers, cross, capable)?,
            (cross, capable) => {
                let default = Layout::conversion_default(n_layers)?;
                let plain = |layers: &std::collections::BTreeSet<LayerIdx>| {
                    layers.iter().map(|layer| layer.0).collect::<Vec<_>>()
                };
                let cross = cross.clone().unwrap_or_else(|| plain(default.cross()));
                let capable = capable.clone().unwrap_or_else(|| plain(default.self_capable()));
                Layout::try_new(n_layers, &cross, &capable)?
            }
        };
        let decision = self.decision.unwrap_or(layout.decision_layer().0);
        let Some(rungs) = &self.rungs else {
            return default_ladder_at(layout, decision);
        };
        let listed: Vec<&Vec<usize>> = rungs.iter().filter(|rung| !rung.is_empty()).collect();
        let sizes: Vec<usize> = listed.iter().map(|rung| rung.len()).collect();
        let name = |(place, rung): (usize, &&Vec<usize>)| {
            match sizes.iter().filter(|size| **size == rung.len()).count() {
                1 => format!("sa{}", rung.len()),
                // As many layers as another rung: the ladder refuses that, and says which.
                _ => format!("rung-{}", place + 1),
            }
        };
        let names: Vec<String> = listed.iter().enumerate().map(name).collect();
        let listed = names.into_iter().zip(listed.into_iter().cloned());
        let rungs: Vec<_> = std::iter::once(("sa0".to_owned(), Vec::new())).chain(listed).collect();
        Ok(Ladder::try_new(layout, decision, &rungs)?)
    }
}

/// Writes the universal checkpoint of a stock one into `folder`, in the number format that it is
/// stored in, one tensor in memory at a time. `seed` is that of the added weights.
///
/// # Errors
/// If it is universal already, the plan does not fit its depth, its files do not fit together, or
/// the folder cannot be written; what was there before is then unharmed.
pub fn convert(
    checkpoint: &Checkpoint,
    plan: &Plan,
    seed: u64,
    folder: &Path,
) -> Result<Ladder, TrainError> {
    let Blueprint { config, card, .. } = Blueprint::read(checkpoint)?;
    if checkpoint.manifest().is_some() {
        return Err(TrainError::AlreadyUniversal { model: card.name });
    }
    let ladder = plan.ladder(config.text.n_layers)?;
    let cross =
        CrossAttentionManifest { n_kv_heads: config.text.n_kv_heads, bias: false, null_key: true };
    let selector = match plan.selector {
        SelectorPlan::Without => None,
        SelectorPlan::Fresh => Some(fresh_selector(&config, seed)),
    };
    let extension = Extension {
        layout: ladder.layout().clone(),
        cross: CrossSizes::like_the_decoders(&config.text),
        selector: selector.map(|settings| settings.card_for(&config)),
    };
    let mut stock = Stored::open(checkpoint, &config)?;
    let dtype = stored(&stock.weights);
    let parameters = weights::outlines(&stock.network(&config, Some(&extension)));
    stock.expect(parameters.iter().filter(|outline| !is_added(&outline.name)))?;
    let keys = stock.keys;
    let names: BTreeMap<String, &str> =
        parameters.iter().map(|o| (keys.on_disk(&o.name), o.name.as_str())).collect();
    let outlines: Vec<TensorOutline> = parameters
        .iter()
        .map(|o| TensorOutline { name: keys.on_disk(&o.name), shape: o.shape.clone() })
        .collect();
    let provenance = Provenance {
        visor_version: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: "converted, not trained".to_owned(),
        seed,
        data: format!("{} {}", card.name, stock.digests.backbone),
        ..Provenance::default()
    };
    let positions = PositionScheme::STOCK;
    let mut manifest =
        Manifest::new(ladder.clone(), positions, cross, DenseMode::Stock, provenance);
    manifest.selector = selector.map(|settings| settings.manifest());
    let values = &mut |outline: &TensorOutline| {
        let name = names.get(&outline.name).copied().unwrap_or(&outline.name);
        match is_added(name) {
            true => Ok(Cow::Owned(first(name, &outline.shape, seed))),
            false => stock.take(name, &outline.shape).map(Cow::Owned),
        }
    };
    let tensors = Streamed { outlines: &outlines, values };
    rewrite::save(folder, checkpoint, Some(&manifest), &|_| dtype, tensors)?;
    Ok(ladder)
}

/// What the method has for a decoder of this width and the tokens of one tile (section 5). A patch
/// is what stands in the prompt as one visual token: after a pixel shuffle of scale `s` that is a
/// square of `s * s` patches of the encoder.
fn fresh_selector(config: &ModelConfig, seed: u64) -> Settings {
    let n_visual = config.token_grid().pow(2);
    Settings::new(Supervision::SelfSupervised, seed, config.text.d_model, n_visual)
}

/// The widest number format of a checkpoint: in it nothing is lost.
fn stored(weights: &Weights) -> Dtype {
    let mut formats = weights.names().filter_map(|name| weights.dtype(name));
    let first = formats.next().unwrap_or(Dtype::F32);
    if formats.all(|format| format == first) { first } else { Dtype::F32 }
}

/// Whether a parameter is none of the stock model's.
pub(crate) fn is_added(name: &str) -> bool {
    ["conditional.", SELECTOR].iter().any(|prefix| name.starts_with(prefix))
        || name.contains(".cross.")
}

/// The first value of a parameter that is added.
fn first(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    if let Some(name) = name.strip_prefix(SELECTOR) {
        return first_values(name, shape, seed);
    }
    let n = shape.iter().product();
    let mut noise = Noise::new(seed, name);
    let leaf = name.rsplit('.').next().unwrap_or(name);
    match (leaf, shape) {
        ("gate" | "bias", _) => vec![0.0; n],
        _ if name.starts_with("conditional.") => vec![0.0; n],
        ("null_key" | "null_value", _) => noise.normal(n, NULL),
        (_, &[_, d_in]) => noise.normal(n, (d_in as f32).powf(-0.5)),
        // Norms.
        _ => vec![1.0; n],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_layout_has_a_nested_ladder() {
        for (depth, sizes) in [
            (24, vec![0, 1, 2, 4, 6]),
            (28, vec![0, 1, 2, 4, 7]),
            (30, vec![0, 1, 2, 4, 8]),
            (32, vec![0, 1, 2, 4, 9]),
        ] {
            let layout = Layout::conversion_default(depth).expect("a default");
            let ladder = default_ladder(layout).expect("a ladder");
            let got: Vec<usize> = ladder.rungs().iter().map(|rung| rung.active().len()).collect();
            assert_eq!(got, sizes, "{depth}");
            for pair in ladder.rungs().windows(2) {
                assert!(pair[0].active().is_subset(pair[1].active()));
            }
        }
    }

    #[test]
    fn twenty_four_layers_are_switched_on_in_the_order_of_the_method() {
        let layout = Layout::conversion_default(24).expect("a default");
        let ladder = default_ladder(layout).expect("a ladder");
        let active: Vec<Vec<usize>> =
            ladder.rungs().iter().map(|rung| rung.active_layers()).collect();
        assert_eq!(active[1..4], [vec![13], vec![7, 13], vec![4, 7, 13, 19]]);
    }
}
