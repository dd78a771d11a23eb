//! The checkpoints and policies that come with the library, embedded so that they work in any
//! folder.

use visor_checkpoint::Source;

/// Name and content of each file of a checkpoint or a policy.
type Files = &'static [(&'static str, &'static [u8])];

/// Files of one folder, as the binary holds them.
macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$((
            $name,
            include_bytes!(concat!("../../../", $folder, "/", $name)),
        )),+]
    };
}

/// Every file that a shipped checkpoint's `visor.json` lists, and that file itself.
macro_rules! checkpoint {
    ($folder:literal) => {
        files!($folder:
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "prompt_template.txt",
            "tokenizer.json",
            "visor.json",
        )
    };
}

/// The shipped checkpoints, the default first: the one that knows its world best.
const SHIPPED: &[(&str, Files)] =
    &[("nano", checkpoint!("models/nano")), ("mini", checkpoint!("models/mini"))];

macro_rules! policy {
    ($folder:literal) => {
        files!($folder: "policy.json", "policy.safetensors")
    };
}

/// The shipped policies.
const POLICIES: &[(&str, Files)] = &[
    ("nano-router", policy!("policies/nano-router")),
    ("mini-router", policy!("policies/mini-router")),
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
