//! Hashes: of files, and of what the backbone and the selector are.

use crate::{CheckpointError, Manifest, SELECTOR_PREFIX, Weights, wire};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Sum([u8; 32]);

impl Sha256Sum {
    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The hash of what was fed to `hasher`.
    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Sum {
    type Err = NotASha256;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |&c: &u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let digits: Option<Vec<u8>> = text.as_bytes().iter().map(digit).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(NotASha256)?;
        let mut sum = [0; 32];
        for (byte, pair) in sum.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(sum))
    }
}

/// A text is not a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a sha256, 64 lower-case hexadecimal digits")]
pub struct NotASha256;

impl Serialize for Sha256Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a checkpoint is, as opposed to how its files are cut and named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digests {
    /// All tensors but the selector's, layout, positions, cross-attention and ladder. A policy is
    /// bound to it.
    pub backbone: Sha256Sum,
    /// The selector's tensors and widths, where there is a selector.
    pub selector: Option<Sha256Sum>,
}

/// Hashes of tensors alone: the costly part of the digests, and independent of `visor.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TensorSums {
    pub(crate) backbone: Sha256Sum,
    pub(crate) selector: Option<Sha256Sum>,
}

impl TensorSums {
    /// `read` is told how many more bytes have been read.
    pub(crate) fn of(
        weights: &Weights,
        read: &mut dyn FnMut(usize),
    ) -> Result<Self, CheckpointError> {
        let (selector, backbone): (Vec<&str>, Vec<&str>) =
            weights.names().partition(|name| name.starts_with(SELECTOR_PREFIX));
        let mut sum = |names: &[&str]| {
            let mut hasher = Sha256::new();
            names.iter().try_for_each(|name| weights.hash(name, &mut hasher, read))?;
            Ok::<_, CheckpointError>(Sha256Sum::finish(hasher))
        };
        let selector = if selector.is_empty() { None } else { Some(sum(&selector)?) };
        Ok(Self { backbone: sum(&backbone)?, selector })
    }

    /// Joins the tensors with what the manifest, if there is one, says about them.
    pub(crate) fn digests(&self, manifest: Option<&Manifest>) -> Digests {
        let join = |kind: &str, tensors: Sha256Sum, json: String| {
            let mut hasher = Sha256::new_with_prefix(kind);
            hasher.update(tensors.0);
            hasher.update(json);
            Sha256Sum::finish(hasher)
        };
        let backbone = manifest.map(wire::backbone_json).unwrap_or_default();
        let widths = manifest.and_then(|manifest| manifest.selector.as_ref());
        let selector = widths.map(wire::selector_json).unwrap_or_default();
        Digests {
            backbone: join("visor backbone 1\n", self.backbone, backbone),
            selector: self.selector.map(|sum| join("visor selector 1\n", sum, selector)),
        }
    }
}

/// The digest of the backbone: every tensor that is not the selector's (name, format, shape,
/// values), layout, positions, cross-attention and ladder. The default policy is no part of it.
///
/// # Errors
/// If a file cannot be read.
pub fn backbone_digest(
    weights: &Weights,
    manifest: Option<&Manifest>,
) -> Result<Sha256Sum, CheckpointError> {
    Ok(TensorSums::of(weights, &mut |_| ())?.digests(manifest).backbone)
}

/// The digest of the patch selector, or `None` if the files hold no selector.
///
/// # Errors
/// If a file cannot be read.
pub fn selector_digest(
    weights: &Weights,
    manifest: Option<&Manifest>,
) -> Result<Option<Sha256Sum>, CheckpointError> {
    Ok(TensorSums::of(weights, &mut |_| ())?.digests(manifest).selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_reads_back_what_it_writes_and_nothing_else() {
        let sum = Sha256Sum::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum.to_string(), text);
        assert_eq!(text.parse(), Ok(sum));
        let upper = text.to_uppercase();
        for bad in ["", &text[1..], &upper, &text.replace('a', "g"), &format!("{text}00")] {
            assert_eq!(bad.parse::<Sha256Sum>(), Err(NotASha256));
        }
    }
}
