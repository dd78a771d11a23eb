//! What the parameters of this network are called in the checkpoints of a family.

/// Renames prefixes, longest match first; whatever follows keeps its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMap(&'static [(&'static str, &'static str)]);

impl KeyMap {
    /// LLaVA checkpoints as they stand on the Hub.
    pub const LLAVA: Self = Self(&[
        ("vision.", "vision_tower.vision_model."),
        ("connector.mlp.", "multi_modal_projector."),
        ("decoder.", "language_model.model."),
        ("head.", "language_model.lm_head."),
        ("conditional.", "visor.conditional_position."),
        ("selector.", "visor.selector."),
    ]);

    /// Idefics3 and SmolVLM checkpoints.
    pub const IDEFICS3: Self = Self(&[
        ("vision.", "model.vision_model."),
        ("connector.shuffle.", "model.connector."),
        ("decoder.", "model.text_model."),
        ("head.", "lm_head."),
        ("conditional.", "visor.conditional_position."),
        ("selector.", "visor.selector."),
    ]);

    /// The name on disk of a parameter.
    pub fn on_disk(&self, name: &str) -> String {
        if let Some(own) = cross_attention(name) {
            return own;
        }
        let renamed = self.0.iter().find_map(|(ours, theirs)| {
            name.strip_prefix(ours).map(|rest| format!("{theirs}{rest}"))
        });
        renamed.unwrap_or_else(|| name.to_owned())
    }
}

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
        assert_eq!(
            KeyMap::IDEFICS3.on_disk("vision.encoder.layers.0.mlp.fc1.weight"),
            "model.vision_model.encoder.layers.0.mlp.fc1.weight"
        );
    }
}
