//! Which files may name a backend, and which crates do not know that burn exists.

use super::sources::has_word;
use crate::repo::Repo;
use anyhow::Result;

/// The one module that turns a name into a device; what it is made of lies in its folder.
const DEVICE_FILE: &str = "crates/visor-runtime/src/device.rs";

/// How a backend, or a feature that stands for one, is named.
const NAMES: [&str; 10] = [
    "Device::cpu(",
    "Device::cuda(",
    "Device::default(",
    "Device::flex(",
    "Device::metal(",
    "Device::vulkan(",
    "Device::wgpu(",
    "feature = \"cpu\"",
    "feature = \"cuda\"",
    "feature = \"wgpu\"",
];

/// Crates that compute without tensors.
const WITHOUT_BURN: [&str; 5] = [
    "crates/visor-checkpoint/",
    "crates/visor-core/",
    "crates/visor-kernels/",
    "crates/visor-processor/",
    "crates/visor-tasks/",
];

pub(super) fn check(repo: &Repo) -> Result<Vec<String>> {
    Ok(repo.texts().flat_map(|(file, text)| findings(file, &text)).collect())
}

/// Whether a file is the module of devices, or lies in its folder.
fn of_device(file: &str) -> bool {
    let stem = DEVICE_FILE.trim_end_matches(".rs");
    file.strip_prefix(stem).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn findings(file: &str, text: &str) -> Vec<String> {
    let shipped = (file.starts_with("crates/") || file.starts_with("benches/"))
        && file.contains("/src/")
        && !of_device(file);
    let without_burn = WITHOUT_BURN.iter().any(|of_crate| file.starts_with(of_crate))
        && (file.ends_with(".rs") || file.ends_with(".toml"));
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
        if let Some(name) = NAMES.iter().find(|name| shipped && line.contains(**name)) {
            findings.push(format!("{file}:{number}: `{name}` belongs into {DEVICE_FILE}"));
        }
        if without_burn && has_word(line, "burn") {
            findings.push(format!("{file}:{number}: this crate does not know burn"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_may_be_named_in_the_device_file_and_in_tests() {
        for name in NAMES {
            let text = format!("let x = burn::{name}\n");
            assert_eq!(findings("crates/visor-model/src/a.rs", &text).len(), 1, "{name}");
            assert_eq!(findings("benches/src/a.rs", &text).len(), 1, "{name}");
            assert_eq!(findings(DEVICE_FILE, &text), [""; 0]);
            let inside = "crates/visor-runtime/src/device/host.rs";
            assert_eq!(findings(inside, &text), [""; 0]);
            assert_eq!(findings("crates/visor-runtime/src/devices.rs", &text).len(), 1);
            assert_eq!(findings("crates/visor-model/tests/a.rs", &text), [""; 0]);
        }
    }

    #[test]
    fn crates_without_tensors_do_not_name_burn() {
        for name in WITHOUT_BURN {
            assert_eq!(findings(&format!("{name}src/lib.rs"), "use burn::Tensor;\n").len(), 1);
        }
        assert_eq!(findings("crates/visor-tasks/Cargo.toml", "burn.workspace = true\n").len(), 1);
        assert_eq!(findings("crates/visor-core/src/lib.rs", "// burnt umber\n"), [""; 0]);
        assert_eq!(findings("crates/visor-model/src/lib.rs", "use burn::Tensor;\n"), [""; 0]);
    }
}
