//! What `policy.json` says about a policy (method, section 4; design, section 4).

use crate::wire::{RawManifest, RawVersion, behaviour_json};
use crate::{Difference, Objective, PolicyFileError, RouterShape, files};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use visor_checkpoint::{Digests, Sha256Sum, Source};
use visor_core::{Ladder, Pair, Thrift};
use visor_runtime::ModelCard;

/// The generation of `policy.json` that is read and written.
pub const SCHEMA_VERSION: u32 = 1;

/// Longer manifests are refused.
const MAX_MANIFEST: u64 = 1 << 20;

/// A rung that the policy chooses from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRung {
    /// Its name.
    pub name: String,
    /// Its self-attention layers, ascending.
    pub self_attention_layers: Vec<usize>,
    /// The most patches that are read; `None` is all of them.
    pub patches: Option<NonZeroUsize>,
}

/// Where the weights come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyProvenance {
    /// Version of the program that wrote the policy.
    pub visor_version: String,
    /// What it was trained on.
    pub data: String,
    /// Questions that it was trained on.
    pub questions: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Anything else, by name.
    pub notes: BTreeMap<String, String>,
}

/// The content of `policy.json`: which model a policy is for and how it decides.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyManifest {
    /// Digest of the backbone that it was trained for.
    pub backbone_digest: Sha256Sum,
    /// Digest of the patch selector, if it was trained with one.
    pub selector_digest: Option<Sha256Sum>,
    /// What its logits mean.
    pub objective: Objective,
    /// Its thrift where the user asks for none; `None` for objectives that weigh no cost.
    pub default_thrift: Option<Thrift>,
    /// Width of the routing token.
    pub d_token: usize,
    /// Width of a visual token.
    pub d_visual: usize,
    /// Inner width of the head.
    pub d_hidden: usize,
    /// The ladder that it chooses from, cheapest first.
    pub rungs: Vec<PolicyRung>,
    /// SHA-256 of `policy.safetensors`. Filled in by [`Policy::save`](crate::Policy::save).
    pub weights: Option<Sha256Sum>,
    /// Where the weights come from.
    pub provenance: PolicyProvenance,
}

impl PolicyManifest {
    /// The manifest of a new policy for a ladder: no selector, the objective's usual thrift.
    pub fn new(
        backbone_digest: Sha256Sum,
        objective: Objective,
        shape: RouterShape,
        ladder: &Ladder,
        provenance: PolicyProvenance,
    ) -> Self {
        Self {
            backbone_digest,
            selector_digest: None,
            objective,
            default_thrift: objective.default_thrift(),
            d_token: shape.d_token,
            d_visual: shape.d_visual,
            d_hidden: shape.d_hidden,
            rungs: rungs_of(ladder),
            weights: None,
            provenance,
        }
    }

    /// Reads `policy.json` and nothing else.
    ///
    /// # Errors
    /// If there is no such folder or file, or as [`parse`](Self::parse).
    pub fn read(source: &Source) -> Result<Self, PolicyFileError> {
        if let Some(folder) = source.folder().filter(|folder| !folder.is_dir()) {
            return Err(PolicyFileError::NoFolder { folder: folder.display().to_string() });
        }
        if !source.exists(files::MANIFEST) {
            return Err(PolicyFileError::NoFile { place: source.name(), file: files::MANIFEST });
        }
        Self::parse(&source.read(files::MANIFEST, MAX_MANIFEST)?)
    }

    /// Reads the text of a `policy.json`.
    ///
    /// # Errors
    /// If it is not JSON, has an unknown, missing or repeated field or another schema version, or
    /// if what it says is impossible.
    pub fn parse(json: &[u8]) -> Result<Self, PolicyFileError> {
        // First of all, since another version may have other fields.
        let RawVersion { schema_version } =
            serde_json::from_slice(json).map_err(PolicyFileError::Json)?;
        if schema_version != u64::from(SCHEMA_VERSION) {
            return Err(PolicyFileError::SchemaVersion { got: schema_version });
        }
        serde_json::from_slice::<RawManifest>(json).map_err(PolicyFileError::Json)?.try_into()
    }

    /// The text of a `policy.json`: fields always in the same order, one on a line.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(&RawManifest::from(self))
            .expect("a manifest consists of strings, numbers and lists");
        json.push('\n');
        json
    }

    /// The pairs of a rung and a number of patches that it chooses from beside rungs.
    pub fn pairs(&self) -> Vec<Pair> {
        let plain = |layers: &[usize]| {
            let plain =
                |rung: &&PolicyRung| rung.patches.is_none() && rung.self_attention_layers == layers;
            self.rungs.iter().find(plain).map(|rung| rung.name.clone())
        };
        let pair = |rung: &PolicyRung| {
            let patches = rung.patches?;
            Some(Pair { rung: plain(&rung.self_attention_layers)?, patches })
        };
        self.rungs.iter().filter_map(pair).collect()
    }

    /// What tells policies apart: everything that can change a decision, the provenance left out.
    /// `None` before the policy was saved.
    pub fn digest(&self) -> Option<Sha256Sum> {
        let weights = self.weights?;
        let text = format!("visor policy 1\n{weights}\n{}", behaviour_json(self));
        Some(Sha256Sum::of(text.as_bytes()))
    }

    /// The sizes of the router.
    pub fn shape(&self) -> RouterShape {
        let Self { d_token, d_visual, d_hidden, ref rungs, .. } = *self;
        RouterShape { d_token, d_visual, d_hidden, n_rungs: rungs.len() }
    }

    /// Holds the policy against what is known of a model; `digests` where the weights were read.
    ///
    /// # Errors
    /// [`PolicyFileError::NoLadder`], or [`PolicyFileError::Misfit`] with all that differs.
    pub fn expect_fit(
        &self,
        card: &ModelCard,
        digests: Option<&Digests>,
    ) -> Result<(), PolicyFileError> {
        let model = card.name.clone();
        let Some(ladder) = &card.ladder else { return Err(PolicyFileError::NoLadder { model }) };
        let d_model = card.shape.decoder.d_model;
        let widths = [("a routing token", self.d_token), ("visual tokens", self.d_visual)];
        let mut differences: Vec<Difference> = widths
            .into_iter()
            .filter(|(_, width)| *width != d_model)
            .map(|(what, policy)| Difference::Width { what, policy, model: d_model })
            .collect();
        // Pairs are of the model's rungs and the policy's numbers.
        let rungs = ladder.with_pairs(&self.pairs()).map(|ladder| rungs_of(&ladder));
        if rungs.as_ref() != Ok(&self.rungs) {
            let (policy, model) = (listed(&self.rungs), ladder.to_string());
            differences.push(Difference::Rungs { policy, model });
        }
        if let Some(digests) = digests {
            let (policy, model) = (self.backbone_digest, digests.backbone);
            if policy != model {
                differences.push(Difference::Backbone { policy, model });
            }
            // A policy that reads no selection does with or without a selector.
            if let Some(policy) = self.selector_digest.filter(|d| Some(*d) != digests.selector) {
                differences.push(Difference::Selector { policy, model: digests.selector });
            }
        }
        match differences.is_empty() {
            true => Ok(()),
            false => Err(PolicyFileError::Misfit { model, differences }),
        }
    }
}

fn rungs_of(ladder: &Ladder) -> Vec<PolicyRung> {
    let rung = |rung: &visor_core::Rung| PolicyRung {
        name: rung.name().to_owned(),
        self_attention_layers: rung.active_layers(),
        patches: rung.patches(),
    };
    ladder.rungs().iter().map(rung).collect()
}

/// As a ladder prints itself.
fn listed(rungs: &[PolicyRung]) -> String {
    let rung = |rung: &PolicyRung| {
        let patches = rung.patches.map(|n| format!(" with {n} patches")).unwrap_or_default();
        format!("`{}` {:?}{patches}", rung.name, rung.self_attention_layers)
    };
    rungs.iter().map(rung).collect::<Vec<_>>().join(", ")
}
