//! A stock checkpoint as a universal one, before it is trained (method, sections 1 and 3).
//!
//! The pre-trained weights stay as they are. Cross-attention is added with closed gates and the
//! conditional position with zeros, so that dense is the stock model to the bit and every rung
//! begins as what its layers were: the lowest runs the text alone.

use crate::error::TrainError;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, CrossAttentionManifest, DEFAULT_MAX_SHARD_BYTES, DenseMode, Dtype, Manifest,
    Provenance, Weights, files, save_checkpoint,
};
use visor_core::{Ladder, Layout, PositionScheme};
use visor_model::init::Noise;
use visor_model::linear::Bias;
use visor_model::{Blueprint, Extension, Head, ModelError, Network, weights};
use visor_runtime::{DeviceRequest, device};

/// Small files that go along, where they are there.
const FILES: [&str; 12] = [
    files::TOKENIZER,
    files::GENERATION_CONFIG,
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "prompt_template.txt",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
];

/// Spread of the null key and value.
const NULL: f32 = 0.02;

/// The ladder of a conversion: nested rungs of 0, 1, 2, 4, .. and all capable layers, the middle
/// ones first, each half of what is left by its own middle.
///
/// # Errors
/// None for a layout that has a capable layer.
pub fn default_ladder(layout: Layout) -> Result<Ladder, TrainError> {
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
    let decision = layout.decision_layer().0;
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

/// Writes the universal checkpoint of a stock one into `folder`, with the layout and ladder of its
/// depth, in the number format that it is stored in. `seed` is that of the added weights.
///
/// # Errors
/// If it is universal already, there is no layout for its depth, its files do not fit together, or
/// the folder cannot be written; what was there before is then unharmed.
pub fn convert(checkpoint: &Checkpoint, seed: u64, folder: &Path) -> Result<Ladder, TrainError> {
    let Blueprint { config, card, .. } = Blueprint::read(checkpoint)?;
    if checkpoint.manifest().is_some() {
        return Err(TrainError::AlreadyUniversal { model: card.name });
    }
    let ladder = default_ladder(Layout::conversion_default(config.text.n_layers)?)?;
    let cross =
        CrossAttentionManifest { n_kv_heads: config.text.n_kv_heads, bias: false, null_key: true };
    let extension = Extension {
        layout: ladder.layout().clone(),
        cross_kv_heads: cross.n_kv_heads,
        cross_bias: Bias::from(cross.bias),
        selector: None,
    };
    let keys = config.family.key_map();
    let (verified, mut stock) = checkpoint.verified_weights()?;
    for (pattern, because) in config.family.ignored() {
        stock.ignore(pattern, because);
    }
    let own = stock.contains(&keys.in_files("head.weight", &stock));
    let head = if own || !config.tied { Head::Own } else { Head::Tied };
    let dtype = stored(&stock);
    let device = device::open(DeviceRequest::Cpu).map_err(|error| TrainError::State {
        path: folder.to_owned(),
        because: error.to_string(),
    })?;
    let network = Network::new(&config, Some(&extension), head, &device);
    let network = weights::fill(network, &device, &mut |name, shape| match added(name) {
        true => Ok(first(name, shape, seed)),
        false => {
            let on_disk = keys.in_files(name, &stock);
            stock.take(&on_disk, shape).map_err(ModelError::from)
        }
    })?;
    stock.finish()?;
    let provenance = Provenance {
        visor_version: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: "converted, not trained".to_owned(),
        seed,
        data: format!("{} {}", card.name, verified.digests.backbone),
        ..Provenance::default()
    };
    let positions = PositionScheme::STOCK;
    let manifest = Manifest::new(ladder.clone(), positions, cross, DenseMode::Stock, provenance);
    let mut extra: Vec<(&str, Cow<'static, [u8]>)> = Vec::new();
    for name in FILES {
        extra.extend(checkpoint.file(name)?.map(|bytes| (name, bytes)));
    }
    let extra: Vec<(&str, &[u8])> = extra.iter().map(|(name, b)| (*name, b.as_ref())).collect();
    save_checkpoint(
        folder,
        checkpoint.config_json(),
        &extra,
        Some(&manifest),
        &weights::tensors(&network, &keys),
        dtype,
        DEFAULT_MAX_SHARD_BYTES,
    )?;
    Ok(ladder)
}

/// The widest number format of a checkpoint: in it nothing is lost.
fn stored(weights: &Weights) -> Dtype {
    let mut formats = weights.names().filter_map(|name| weights.dtype(name));
    let first = formats.next().unwrap_or(Dtype::F32);
    if formats.all(|format| format == first) { first } else { Dtype::F32 }
}

/// Whether a parameter is none of the stock model's.
fn added(name: &str) -> bool {
    name.starts_with("conditional.") || name.contains(".cross.")
}

/// The first value of a parameter that is added.
fn first(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
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
