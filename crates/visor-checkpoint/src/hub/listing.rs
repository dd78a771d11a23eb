//! The hub's list of a model's files, and which of them are needed.

use super::model::is_commit;
use super::{HubError, HubModel};
use crate::source::is_plain_name;
use crate::{Sha256Sum, files};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The files that a model may have beside its weights. Everything else, and weights in formats that
/// execute or are not read, stays on the hub.
const SMALL: &[&str] = &[
    files::MANIFEST,
    files::INDEX,
    files::TOKENIZER,
    files::GENERATION_CONFIG,
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "prompt_template.txt",
    "tokenizer_config.json",
];

/// The files of a policy, which lie in a folder of its name inside the model's.
const POLICY: [&str; 2] = ["policy.json", "policy.safetensors"];

/// As the hub writes it. Not ours: fields that we do not know are passed over.
#[derive(Deserialize)]
struct RawListing {
    sha: String,
    siblings: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<RawLfs>,
}

#[derive(Deserialize)]
struct RawLfs {
    sha256: String,
    size: u64,
}

/// A file on the hub.
#[derive(Debug)]
pub(super) struct Remote {
    /// Below the model's folder, with `/` between its parts.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// The name of its content in the cache: the hub's etag.
    pub(super) blob: String,
    /// Of a large file; the hub knows of others the hash that git gives them.
    pub(super) sha256: Option<Sha256Sum>,
}

/// What a revision means, and the files that could be needed.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    files: BTreeMap<String, Remote>,
}

impl Listing {
    pub(super) fn parse(model: &HubModel, json: &[u8]) -> Result<Self, HubError> {
        let bad = |problem: String| HubError::Listing { model: model.clone(), problem };
        let raw: RawListing = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
        if !is_commit(&raw.sha) {
            return Err(bad(format!("the commit is {:?}", raw.sha)));
        }
        let wanted = raw.siblings.into_iter().filter(|file| is_readable(&file.rfilename));
        let remote = |file: RawFile| {
            let name = file.rfilename.clone();
            let file = file.remote().ok_or_else(|| bad(format!("size or hash of `{name}`")))?;
            Ok((name, file))
        };
        Ok(Self { commit: raw.sha, files: wanted.map(remote).collect::<Result<_, HubError>>()? })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// # Errors
    /// [`HubError::NoFile`].
    pub(super) fn expect(&self, model: &HubModel, name: &str) -> Result<&Remote, HubError> {
        let missing = || HubError::NoFile { model: model.clone(), file: name.to_owned() };
        self.files.get(name).ok_or_else(missing)
    }

    /// The files that are needed whatever the others say, but for the configuration.
    pub(super) fn small(&self) -> impl Iterator<Item = &Remote> {
        self.files.values().filter(|file| SMALL.contains(&&*file.name) || is_policy(&file.name))
    }
}

impl RawFile {
    /// `None` without a size, or a name for the content that can stand in a path.
    fn remote(self) -> Option<Remote> {
        let (bytes, sha256) = match &self.lfs {
            Some(lfs) => (lfs.size, Some(lfs.sha256.parse().ok()?)),
            None => (self.size?, None),
        };
        let blob = match self.lfs {
            Some(lfs) => lfs.sha256,
            None => self.blob_id.filter(|id| is_commit(id))?,
        };
        Some(Remote { name: self.rfilename, bytes, blob, sha256 })
    }
}

/// Whether a file could be asked for: by its place, not by its kind, since `visor.json` and the
/// index name files as well.
fn is_readable(name: &str) -> bool {
    is_plain_name(name) || is_policy(name)
}

fn is_policy(name: &str) -> bool {
    let inside = |(folder, file): (&str, &str)| is_plain_name(folder) && POLICY.contains(&file);
    name.split_once('/').is_some_and(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Listing, HubError> {
        Listing::parse(&HubModel::new("a/b", "main").expect("a model"), json.as_bytes())
    }

    #[test]
    fn only_files_that_can_lie_in_the_folder_are_listed() {
        let id = "0".repeat(40);
        let file = |name: &str| format!(r#"{{"rfilename":"{name}","size":1,"blobId":"{id}"}}"#);
        let names = ["config.json", "../x", "onnx/model.onnx", "r/policy.json", "r/../policy.json"];
        let siblings = names.map(file).join(",");
        let listing = parse(&format!(r#"{{"sha":"{id}","siblings":[{siblings}]}}"#)).expect("one");
        assert_eq!(listing.files.keys().collect::<Vec<_>>(), ["config.json", "r/policy.json"]);
    }

    #[test]
    fn what_could_name_another_file_of_the_cache_is_refused() {
        let id = "0".repeat(40);
        for json in [
            "[]".to_owned(),
            r#"{"sha":"main","siblings":[]}"#.to_owned(),
            r#"{"sha":"../../../../../../../../../../../../../x","siblings":[]}"#.to_owned(),
            format!(r#"{{"sha":"{id}","siblings":[{{"rfilename":"a","size":1}}]}}"#),
            format!(
                r#"{{"sha":"{id}","siblings":[{{"rfilename":"a","size":1,"blobId":"../a"}}]}}"#
            ),
            format!(
                r#"{{"sha":"{id}","siblings":[{{"rfilename":"a","lfs":{{"sha256":"../a","size":1}}}}]}}"#
            ),
        ] {
            assert!(matches!(parse(&json), Err(HubError::Listing { .. })), "{json}");
        }
    }
}
