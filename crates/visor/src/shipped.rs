//! The checkpoints and policies that come with the library, embedded so that they work in any
//! folder.

use visor_checkpoint::Source;

/// Name and content of each file of a checkpoint or a policy.
type Files = &'static [(&'static str, &'static [u8])];

/// The shipped checkpoints, the default first: the one that knows its world best.
const SHIPPED: &[(&str, Files)] = &[("nano", NANO), ("mini", MINI)];

/// The shipped policies: `policy.json` and `policy.safetensors` each.
const POLICIES: &[(&str, Files)] = &[("nano-router", NANO_ROUTER), ("mini-router", MINI_ROUTER)];

const NANO_ROUTER: Files = &[
    ("policy.json", include_bytes!("../../../policies/nano-router/policy.json")),
    ("policy.safetensors", include_bytes!("../../../policies/nano-router/policy.safetensors")),
];

const MINI_ROUTER: Files = &[
    ("policy.json", include_bytes!("../../../policies/mini-router/policy.json")),
    ("policy.safetensors", include_bytes!("../../../policies/mini-router/policy.safetensors")),
];

/// Every file that the checkpoint's `visor.json` lists, and that file itself.
const NANO: Files = &[
    ("config.json", include_bytes!("../../../models/nano/config.json")),
    ("generation_config.json", include_bytes!("../../../models/nano/generation_config.json")),
    ("model.safetensors", include_bytes!("../../../models/nano/model.safetensors")),
    ("preprocessor_config.json", include_bytes!("../../../models/nano/preprocessor_config.json")),
    ("prompt_template.txt", include_bytes!("../../../models/nano/prompt_template.txt")),
    ("tokenizer.json", include_bytes!("../../../models/nano/tokenizer.json")),
    ("visor.json", include_bytes!("../../../models/nano/visor.json")),
];

const MINI: Files = &[
    ("config.json", include_bytes!("../../../models/mini/config.json")),
    ("generation_config.json", include_bytes!("../../../models/mini/generation_config.json")),
    ("model.safetensors", include_bytes!("../../../models/mini/model.safetensors")),
    ("preprocessor_config.json", include_bytes!("../../../models/mini/preprocessor_config.json")),
    ("prompt_template.txt", include_bytes!("../../../models/mini/prompt_template.txt")),
    ("tokenizer.json", include_bytes!("../../../models/mini/tokenizer.json")),
    ("visor.json", include_bytes!("../../../models/mini/visor.json")),
];

/// The names of the shipped checkpoints: the first one is the default model.
pub fn shipped_models() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The files of a shipped checkpoint.
pub(crate) fn source(name: &str) -> Option<Source> {
    embedded(SHIPPED, name)
}

/// The names of the shipped policies.
pub fn shipped_policies() -> impl Iterator<Item = &'static str> {
    POLICIES.iter().map(|(name, _)| *name)
}

/// The files of a shipped policy.
pub(crate) fn policy_source(name: &str) -> Option<Source> {
    embedded(POLICIES, name)
}

fn embedded(table: &'static [(&'static str, Files)], name: &str) -> Option<Source> {
    let found = table.iter().find(|(shipped, _)| *shipped == name);
    found.map(|(_, files)| Source::Embedded(files))
}
