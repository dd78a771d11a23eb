//! The JSON of `policy.json`, field by field, and the way between it and the typed manifest.

use crate::{
    Objective, PolicyFileError, PolicyManifest, PolicyProvenance, PolicyRung, SCHEMA_VERSION,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use visor_checkpoint::{Sha256Sum, unique};
use visor_core::Thrift;

/// Wider tokens and heads are refused, before anything is allocated for them.
const MAX_WIDTH: usize = 1 << 14;

/// Longer ladders are refused, and rungs of deeper decoders.
const MAX_RUNGS: usize = 256;
const MAX_LAYERS: usize = 1024;

/// The one field that every version has.
#[derive(Deserialize)]
pub(crate) struct RawVersion {
    pub(crate) schema_version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawManifest {
    schema_version: u32,
    backbone_digest: Sha256Sum,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selector_digest: Option<Sha256Sum>,
    objective: RawObjective,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_thrift: Option<f32>,
    d_token: usize,
    d_visual: usize,
    d_hidden: usize,
    rungs: Vec<RawRung>,
    provenance: RawProvenance,
    weights_sha256: Option<Sha256Sum>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawObjective {
    Utility,
    CheapestRight,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRung {
    name: String,
    self_attention_layers: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patches: Option<NonZeroUsize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProvenance {
    visor_version: String,
    data: String,
    questions: u64,
    seed: u64,
    steps: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::map")]
    notes: BTreeMap<String, String>,
}

impl TryFrom<RawManifest> for PolicyManifest {
    type Error = PolicyFileError;

    fn try_from(raw: RawManifest) -> Result<Self, Self::Error> {
        let widths =
            [("d_token", raw.d_token), ("d_visual", raw.d_visual), ("d_hidden", raw.d_hidden)];
        let impossible = |(_, width): &(&str, usize)| !(1..=MAX_WIDTH).contains(width);
        if let Some((name, width)) = widths.into_iter().find(impossible) {
            return Err(field(name, width, "1 to 16384"));
        }
        check_rungs(&raw.rungs)?;
        let objective = match raw.objective {
            RawObjective::Utility => Objective::Utility,
            RawObjective::CheapestRight => Objective::CheapestRight,
        };
        if raw.weights_sha256.is_none() {
            return Err(field("weights_sha256", "null", "the sha256 of `policy.safetensors`"));
        }
        let RawProvenance { visor_version, data, questions, seed, steps, notes } = raw.provenance;
        if raw.selector_digest.is_none() && raw.rungs.iter().any(|rung| rung.patches.is_some()) {
            let expected = "the digest of the selector that chooses the patches of its rungs";
            return Err(field("selector_digest", "null", expected));
        }
        let rung = |RawRung { name, self_attention_layers, patches }| PolicyRung {
            name,
            self_attention_layers,
            patches,
        };
        Ok(Self {
            backbone_digest: raw.backbone_digest,
            selector_digest: raw.selector_digest,
            objective,
            default_thrift: thrift(objective, raw.default_thrift)?,
            d_token: raw.d_token,
            d_visual: raw.d_visual,
            d_hidden: raw.d_hidden,
            rungs: raw.rungs.into_iter().map(rung).collect(),
            weights: raw.weights_sha256,
            provenance: PolicyProvenance { visor_version, data, questions, seed, steps, notes },
        })
    }
}

/// An objective has a thrift exactly if it weighs cost.
fn thrift(objective: Objective, weight: Option<f32>) -> Result<Option<Thrift>, PolicyFileError> {
    let name = "default_thrift";
    match (objective, weight) {
        (Objective::Utility, Some(weight)) => match Thrift::new(weight) {
            Some(thrift) => Ok(Some(thrift)),
            None => Err(field(name, weight, "a finite number from 0 up")),
        },
        (Objective::Utility, None) => {
            Err(field(name, "null", "a number: the objective `utility` weighs cost"))
        }
        (Objective::CheapestRight, None) => Ok(None),
        (Objective::CheapestRight, Some(weight)) => {
            Err(field(name, weight, "none: the objective `cheapest-right` does not weigh cost"))
        }
    }
}

fn check_rungs(rungs: &[RawRung]) -> Result<(), PolicyFileError> {
    if !(1..=MAX_RUNGS).contains(&rungs.len()) {
        return Err(field("rungs", format!("{} of them", rungs.len()), "1 to 256 rungs"));
    }
    for (place, rung) in rungs.iter().enumerate() {
        let RawRung { name, self_attention_layers: layers, .. } = rung;
        let shown = || format!("`{name}` {layers:?}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(field("rungs", format!("{name:?}"), "a name of letters, digits, `-_.`"));
        }
        if rungs[..place].iter().any(|earlier| earlier.name == *name) {
            return Err(field("rungs", shown(), "names without repeats"));
        }
        if !layers.is_sorted_by(|a, b| a < b) || layers.iter().any(|layer| *layer >= MAX_LAYERS) {
            return Err(field("rungs", shown(), "ascending layers below 1024, without repeats"));
        }
        if place > 0 && dearness(&rungs[place - 1]) >= dearness(rung) {
            let expected = "more layers than the rung before it, or as many and more patches";
            return Err(field("rungs", shown(), expected));
        }
        let plain =
            |other: &RawRung| other.patches.is_none() && other.self_attention_layers == *layers;
        if rung.patches.is_some() && !rungs.iter().any(plain) {
            return Err(field("rungs", shown(), "beside it the same layers with all patches"));
        }
    }
    Ok(())
}

/// What a ladder ascends by: layers, then patches; all patches are more than any number.
fn dearness(rung: &RawRung) -> (usize, usize) {
    (rung.self_attention_layers.len(), rung.patches.map_or(usize::MAX, NonZeroUsize::get))
}

fn field(field: &'static str, got: impl fmt::Display, expected: &'static str) -> PolicyFileError {
    PolicyFileError::Field { field, got: got.to_string(), expected }
}

impl From<&PolicyManifest> for RawManifest {
    fn from(manifest: &PolicyManifest) -> Self {
        let RawBehaviour {
            backbone_digest,
            selector_digest,
            objective,
            default_thrift,
            d_token,
            d_visual,
            d_hidden,
            rungs,
        } = manifest.into();
        let PolicyProvenance { visor_version, data, questions, seed, steps, notes } =
            manifest.provenance.clone();
        Self {
            schema_version: SCHEMA_VERSION,
            backbone_digest,
            selector_digest,
            objective,
            default_thrift,
            d_token,
            d_visual,
            d_hidden,
            rungs,
            provenance: RawProvenance { visor_version, data, questions, seed, steps, notes },
            weights_sha256: manifest.weights,
        }
    }
}

/// The part of `policy.json` that, with the weights, makes the decisions.
#[derive(Serialize)]
struct RawBehaviour {
    backbone_digest: Sha256Sum,
    selector_digest: Option<Sha256Sum>,
    objective: RawObjective,
    default_thrift: Option<f32>,
    d_token: usize,
    d_visual: usize,
    d_hidden: usize,
    rungs: Vec<RawRung>,
}

impl From<&PolicyManifest> for RawBehaviour {
    fn from(manifest: &PolicyManifest) -> Self {
        let rung = |rung: &PolicyRung| RawRung {
            name: rung.name.clone(),
            self_attention_layers: rung.self_attention_layers.clone(),
            patches: rung.patches,
        };
        Self {
            backbone_digest: manifest.backbone_digest,
            selector_digest: manifest.selector_digest,
            objective: match manifest.objective {
                Objective::Utility => RawObjective::Utility,
                Objective::CheapestRight => RawObjective::CheapestRight,
            },
            default_thrift: manifest.default_thrift.map(Thrift::weight),
            d_token: manifest.d_token,
            d_visual: manifest.d_visual,
            d_hidden: manifest.d_hidden,
            rungs: manifest.rungs.iter().map(rung).collect(),
        }
    }
}

/// The JSON that the policy's digest covers: compact, fields in a fixed order.
pub(crate) fn behaviour_json(manifest: &PolicyManifest) -> String {
    serde_json::to_string(&RawBehaviour::from(manifest))
        .expect("a manifest consists of strings, numbers and lists")
}
