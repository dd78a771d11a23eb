//! What the parameters of this network are called in the checkpoints of a family.

use visor_checkpoint::Weights;

/// Renames prefixes, first match first; whatever follows keeps its name. A prefix has several names
/// where versions of `transformers` write different ones: the first is the one that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMap(&'static [(&'static str, &'static [&'static str])]);

/// VISOR's own, in every family.
const CONDITIONAL: (&str, &[&str]) = ("conditional.", &["visor.conditional_position."]);
const SELECTOR: (&str, &[&str]) = ("selector.", &["visor.selector."]);

/// Those of LLaVA and LLaVA-OneVision: as they stand on the Hub, as version 5 saves them, and as that
/// saves them where it is told to leave names alone.
const LLAVA_VISION: (&str, &[&str]) = (
    "vision.",
    &[
        "vision_tower.vision_model.",
        "vision_tower.",
        "model.vision_tower.vision_model.",
        "model.vision_tower.",
    ],
);
const LLAVA_PROJECTOR: (&str, &[&str]) =
    ("connector.mlp.", &["multi_modal_projector.", "model.multi_modal_projector."]);
const LLAVA_DECODER: (&str, &[&str]) =
    ("decoder.", &["language_model.model.", "model.language_model."]);
const LLAVA_HEAD: (&str, &[&str]) = ("head.", &["language_model.lm_head.", "lm_head."]);

impl KeyMap {
    /// LLaVA checkpoints.
    pub const LLAVA: Self =
        Self(&[LLAVA_VISION, LLAVA_PROJECTOR, LLAVA_DECODER, LLAVA_HEAD, CONDITIONAL, SELECTOR]);

    /// LLaVA-OneVision checkpoints.
    pub const LLAVA_ONEVISION: Self = Self(&[
        LLAVA_VISION,
        LLAVA_PROJECTOR,
        ("connector.newline", &["image_newline", "model.image_newline"]),
        LLAVA_DECODER,
        LLAVA_HEAD,
        CONDITIONAL,
        SELECTOR,
    ]);

    /// Idefics3 and SmolVLM checkpoints.
    pub const IDEFICS3: Self = Self(&[
        ("vision.", &["model.vision_model."]),
        ("connector.shuffle.", &["model.connector."]),
        ("decoder.", &["model.text_model."]),
        ("head.", &["lm_head."]),
        CONDITIONAL,
        SELECTOR,
    ]);

    /// The name on disk of a parameter, as it is written.
    pub fn on_disk(&self, name: &str) -> String {
        self.names(name).next().unwrap_or_else(|| name.to_owned())
    }

    /// The name of a parameter in these files, or the one that is written if they have none of it.
    pub fn in_files(&self, name: &str, weights: &Weights) -> String {
        let there = self.names(name).find(|name| weights.contains(name));
        there.unwrap_or_else(|| self.on_disk(name))
    }

    /// All names of a parameter.
    fn names(&self, name: &str) -> impl Iterator<Item = String> {
        let own = cross_attention(name);
        let renamed = self.0.iter().find_map(|&(ours, theirs)| {
            name.strip_prefix(ours).map(|rest| (rest.to_owned(), theirs))
        });
        let renamed = renamed.filter(|_| own.is_none());
        let renamed = renamed
            .into_iter()
            .flat_map(|(rest, theirs)| theirs.iter().map(move |prefix| format!("{prefix}{rest}")));
        own.into_iter().chain(renamed)
    }
}

/// Tensors of any checkpoint that nothing reads, by name, and why: buffers that older versions of
/// `transformers` saved, and newer ones pass over (`_adjust_missing_and_unexpected_keys` of
/// `modeling_utils.py`).
pub(crate) const BUFFERS: &[(&str, &str)] = &[
    ("*.rotary_emb.inv_freq", "frequencies follow from the configuration"),
    ("*.position_ids", "positions are counted"),
];

/// Tensors of LLaVA and LLaVA-OneVision checkpoints that nothing reads, by prefix, and why.
pub(crate) const UNUSED_OF_LLAVA: &[(&str, &str)] = &[
    ("vision_tower.vision_model.post_layernorm.*", BEFORE_NORM),
    ("vision_tower.post_layernorm.*", BEFORE_NORM),
    ("model.vision_tower.vision_model.post_layernorm.*", BEFORE_NORM),
    ("model.vision_tower.post_layernorm.*", BEFORE_NORM),
    ("vision_tower.vision_model.head.*", NO_POOLING),
    ("vision_tower.head.*", NO_POOLING),
    ("model.vision_tower.vision_model.head.*", NO_POOLING),
    ("model.vision_tower.head.*", NO_POOLING),
];
const BEFORE_NORM: &str = "features are taken before the norm behind the last layer";
const NO_POOLING: &str = "features of patches are taken and none is pooled";

/// `decoder.layers.3.cross.q_proj.weight` is VISOR's own: `visor.layers.3.cross.q_proj.weight`.
fn cross_attention(name: &str) -> Option<String> {
    let rest = name.strip_prefix("decoder.layers.")?;
    let (layer, rest) = rest.split_once(".cross.")?;
    Some(format!("visor.layers.{layer}.cross.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_disk_are_those_of_the_family() {
        let llava = |name| KeyMap::LLAVA.on_disk(name);
        assert_eq!(
            llava("decoder.layers.3.self_attn.q_proj.weight"),
            "language_model.model.layers.3.self_attn.q_proj.weight"
        );
        assert_eq!(llava("decoder.layers.3.cross.gate"), "visor.layers.3.cross.gate");
        assert_eq!(llava("connector.mlp.linear_1.bias"), "multi_modal_projector.linear_1.bias");
        assert_eq!(llava("head.weight"), "language_model.lm_head.weight");
        assert_eq!(
            KeyMap::IDEFICS3.on_disk("connector.shuffle.modality_projection.proj.weight"),
            "model.connector.modality_projection.proj.weight"
        );
        assert_eq!(KeyMap::LLAVA_ONEVISION.on_disk("connector.newline"), "image_newline");
        assert_eq!(
            KeyMap::IDEFICS3.on_disk("vision.encoder.layers.0.mlp.fc1.weight"),
            "model.vision_model.encoder.layers.0.mlp.fc1.weight"
        );
    }
}
