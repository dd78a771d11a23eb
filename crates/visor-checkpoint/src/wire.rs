//! The JSON of `visor.json`, field by field, and the way between it and the typed manifest.

use crate::manifest::{MAX_LAYERS, SCHEMA_VERSION};
use crate::source::is_plain_name;
use crate::{
    CheckpointError, CrossAttentionManifest, DenseMode, Manifest, Provenance, SelectorManifest,
    Sha256Sum, unique,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use visor_core::{ImageMask, Ladder, LayerIdx, Layout, PositionScheme, Rotary};

/// The one field that every version has.
#[derive(Deserialize)]
pub(crate) struct RawVersion {
    pub(crate) schema_version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawManifest {
    schema_version: u32,
    n_layers: usize,
    cross_attention_layers: Vec<usize>,
    self_attention_layers: Vec<usize>,
    cross_attention: RawCross,
    image_mask: RawImageMask,
    rotary: RawRotary,
    ladder: Vec<RawRung>,
    decision_layer: usize,
    dense: RawDense,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selector: Option<RawSelector>,
    #[serde(default)]
    default_policy: Option<String>,
    provenance: RawProvenance,
    #[serde(deserialize_with = "unique::map")]
    sha256: BTreeMap<String, Sha256Sum>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCross {
    n_kv_heads: usize,
    bias: bool,
    null_key: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawImageMask {
    Causal,
    Bidirectional,
}

#[derive(Serialize, Deserialize)]
enum RawRotary {
    #[serde(rename = "1d")]
    OneD,
    #[serde(rename = "2d")]
    TwoD,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRung {
    name: String,
    self_attention_layers: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawDense {
    Stock,
    Trained,
    None,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSelector {
    d_select: usize,
    n_pools: usize,
    k_min: usize,
    k_max: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProvenance {
    visor_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    recipe: String,
    seed: u64,
    steps: u64,
    data: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::map")]
    notes: BTreeMap<String, String>,
}

impl TryFrom<RawManifest> for Manifest {
    type Error = CheckpointError;

    fn try_from(raw: RawManifest) -> Result<Self, Self::Error> {
        if !(1..=MAX_LAYERS).contains(&raw.n_layers) {
            return Err(field("n_layers", raw.n_layers, "1 to 1024"));
        }
        if let Some(rung) =
            raw.ladder.iter().find(|rung| !rung.self_attention_layers.is_sorted_by(|a, b| a < b))
        {
            return Err(CheckpointError::RungOrder {
                rung: rung.name.clone(),
                layers: rung.self_attention_layers.clone(),
            });
        }
        if raw.cross_attention.n_kv_heads == 0 {
            return Err(field("cross_attention.n_kv_heads", 0, "at least 1"));
        }
        if let Some(name) = raw.default_policy.as_deref().filter(|name| !is_plain_name(name)) {
            return Err(field("default_policy", name, "the plain name of a policy folder"));
        }
        if let Some(name) = raw.sha256.keys().find(|name| !is_plain_name(name)) {
            return Err(CheckpointError::BadFileName {
                name: name.clone(),
                listed_in: crate::files::MANIFEST.to_owned(),
            });
        }

        let layout =
            Layout::try_new(raw.n_layers, &raw.cross_attention_layers, &raw.self_attention_layers)
                .map_err(CheckpointError::Layout)?;
        let rungs: Vec<(String, Vec<usize>)> =
            raw.ladder.into_iter().map(|rung| (rung.name, rung.self_attention_layers)).collect();
        let ladder =
            Ladder::try_new(layout, raw.decision_layer, &rungs).map_err(CheckpointError::Ladder)?;
        Ok(Self {
            ladder,
            positions: PositionScheme {
                image_mask: match raw.image_mask {
                    RawImageMask::Causal => ImageMask::Causal,
                    RawImageMask::Bidirectional => ImageMask::Bidirectional,
                },
                rotary: match raw.rotary {
                    RawRotary::OneD => Rotary::OneD,
                    RawRotary::TwoD => Rotary::TwoD,
                },
            },
            cross: CrossAttentionManifest {
                n_kv_heads: raw.cross_attention.n_kv_heads,
                bias: raw.cross_attention.bias,
                null_key: raw.cross_attention.null_key,
            },
            dense: match raw.dense {
                RawDense::Stock => DenseMode::Stock,
                RawDense::Trained => DenseMode::Trained,
                RawDense::None => DenseMode::None,
            },
            selector: raw.selector.as_ref().map(selector).transpose()?,
            default_policy: raw.default_policy,
            provenance: Provenance {
                visor_version: raw.provenance.visor_version,
                created: raw.provenance.created,
                recipe: raw.provenance.recipe,
                seed: raw.provenance.seed,
                steps: raw.provenance.steps,
                data: raw.provenance.data,
                notes: raw.provenance.notes,
            },
            files: raw.sha256,
        })
    }
}

fn selector(raw: &RawSelector) -> Result<SelectorManifest, CheckpointError> {
    let RawSelector { d_select, n_pools, k_min, k_max } = *raw;
    let positive =
        [("selector.d_select", d_select), ("selector.n_pools", n_pools), ("selector.k_min", k_min)];
    if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
        return Err(field(name, 0, "at least 1"));
    }
    if k_max < k_min {
        return Err(field("selector.k_max", k_max, "at least selector.k_min"));
    }
    Ok(SelectorManifest { d_select, n_pools, k_min, k_max })
}

fn field(
    field: &'static str,
    got: impl std::fmt::Display,
    expected: &'static str,
) -> CheckpointError {
    CheckpointError::Field { field, got: got.to_string(), expected }
}

impl From<&Manifest> for RawManifest {
    fn from(manifest: &Manifest) -> Self {
        let RawBackbone {
            n_layers,
            cross_attention_layers,
            self_attention_layers,
            cross_attention,
            image_mask,
            rotary,
            ladder,
            decision_layer,
        } = manifest.into();
        let provenance = manifest.provenance.clone();
        Self {
            schema_version: SCHEMA_VERSION,
            n_layers,
            cross_attention_layers,
            self_attention_layers,
            cross_attention,
            image_mask,
            rotary,
            ladder,
            decision_layer,
            dense: match manifest.dense {
                DenseMode::Stock => RawDense::Stock,
                DenseMode::Trained => RawDense::Trained,
                DenseMode::None => RawDense::None,
            },
            selector: manifest.selector.as_ref().map(RawSelector::from),
            default_policy: manifest.default_policy.clone(),
            provenance: RawProvenance {
                visor_version: provenance.visor_version,
                created: provenance.created,
                recipe: provenance.recipe,
                seed: provenance.seed,
                steps: provenance.steps,
                data: provenance.data,
                notes: provenance.notes,
            },
            sha256: manifest.files.clone(),
        }
    }
}

impl From<&SelectorManifest> for RawSelector {
    fn from(selector: &SelectorManifest) -> Self {
        let SelectorManifest { d_select, n_pools, k_min, k_max } = *selector;
        Self { d_select, n_pools, k_min, k_max }
    }
}

/// The part of `visor.json` that changes what the backbone computes, or which rungs a policy can
/// choose from: layout, positions, cross-attention, ladder. Digests are made over its JSON.
#[derive(Serialize)]
struct RawBackbone {
    n_layers: usize,
    cross_attention_layers: Vec<usize>,
    self_attention_layers: Vec<usize>,
    cross_attention: RawCross,
    image_mask: RawImageMask,
    rotary: RawRotary,
    ladder: Vec<RawRung>,
    decision_layer: usize,
}

impl From<&Manifest> for RawBackbone {
    fn from(manifest: &Manifest) -> Self {
        let layout = manifest.layout();
        let numbers = |layers: &std::collections::BTreeSet<LayerIdx>| {
            layers.iter().map(|layer| layer.0).collect()
        };
        let ladder = manifest.ladder.rungs().iter().map(|rung| RawRung {
            name: rung.name().to_owned(),
            self_attention_layers: rung.active_layers(),
        });
        Self {
            n_layers: layout.n_layers(),
            cross_attention_layers: numbers(layout.cross()),
            self_attention_layers: numbers(layout.self_capable()),
            cross_attention: RawCross {
                n_kv_heads: manifest.cross.n_kv_heads,
                bias: manifest.cross.bias,
                null_key: manifest.cross.null_key,
            },
            image_mask: match manifest.positions.image_mask {
                ImageMask::Causal => RawImageMask::Causal,
                ImageMask::Bidirectional => RawImageMask::Bidirectional,
            },
            rotary: match manifest.positions.rotary {
                Rotary::OneD => RawRotary::OneD,
                Rotary::TwoD => RawRotary::TwoD,
            },
            ladder: ladder.collect(),
            decision_layer: manifest.ladder.decision_layer().0,
        }
    }
}

/// The JSON that the backbone's digest covers: compact, fields in a fixed order.
pub(crate) fn backbone_json(manifest: &Manifest) -> String {
    serde_json::to_string(&RawBackbone::from(manifest))
        .expect("the layout consists of strings, numbers and lists")
}

/// The JSON that the selector's digest covers.
pub(crate) fn selector_json(selector: &SelectorManifest) -> String {
    serde_json::to_string(&RawSelector::from(selector)).expect("the widths are numbers")
}
