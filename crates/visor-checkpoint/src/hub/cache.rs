//! The hub's cache on disk: where a model is in it, and what of it is not there.

use super::listing::Remote;
use super::model::is_commit;
use super::{HubError, HubModel};
use crate::source::MIB;
use crate::{Manifest, Source, files, index};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files that say how pictures are prepared: a model has one of them, or both.
const PROCESSORS: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];

/// The part of the cache that belongs to a model at a revision.
#[derive(Debug)]
pub(super) struct Place {
    repo: CacheRepo,
    root: PathBuf,
    /// Where the revision is a commit.
    commit: Option<String>,
}

impl Place {
    pub(super) fn new(cache: &Path, model: &HubModel) -> Self {
        let (id, revision) = (model.id().to_owned(), model.revision().to_owned());
        let repo = Repo::with_revision(id, RepoType::Model, revision);
        let root = cache.join(repo.folder_name());
        let repo = Cache::new(cache.to_owned()).repo(repo);
        Self { repo, root, commit: model.commit().map(str::to_owned) }
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.repo.pointer_path(commit)
    }

    /// The commit that the revision means here and its folder, if there is a configuration in it.
    pub(super) fn found(&self) -> Option<(String, PathBuf)> {
        let folder = match &self.commit {
            Some(commit) => self.snapshot(commit),
            None => self.repo.get(files::CONFIG)?.parent()?.to_owned(),
        };
        let commit = folder.file_name()?.to_str()?.to_owned();
        (is_commit(&commit) && folder.join(files::CONFIG).is_file()).then_some((commit, folder))
    }

    /// Where a content is, once it is whole, and where until then.
    pub(super) fn blob(&self, file: &Remote) -> (PathBuf, PathBuf) {
        let whole = self.root.join("blobs").join(&file.blob);
        let part = whole.with_extension("part");
        (whole, part)
    }

    /// Gives a content that is there its name in the folder of a commit.
    pub(super) fn link(&self, commit: &str, file: &Remote) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(&file.name);
        let (blob, _) = self.blob(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(HubError::io("create", parent))?;
        }
        if is_whole(&path, file.bytes) {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HubError::io("replace", &path)(error));
            }
            _ => (),
        }
        let above = "../".repeat(2 + file.name.matches('/').count());
        let target = PathBuf::from(above).join("blobs").join(&file.blob);
        match link(&target, &blob, &path) {
            // Somebody else downloads the same model.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(HubError::io("link", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Notes what the revision means. A commit means itself.
    pub(super) fn points_to(&self, commit: &str) -> Result<(), HubError> {
        if self.commit.is_some() {
            return Ok(());
        }
        self.repo.create_ref(commit).map_err(HubError::io("write a revision into", &self.root))
    }
}

/// Whether a file is there with this size.
pub(super) fn is_whole(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes)
}

/// How much of a model is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// What describes it: all but its weights.
    Small,
    /// All that it needs to run.
    Whole,
}

/// The files that a folder with a configuration lacks, for people. Other programs may have put it
/// there, in any order and without what they do not need.
pub(super) fn missing(folder: &Path, extent: Extent) -> Vec<String> {
    let is_missing = |name: &&str| !folder.join(name).is_file();
    let mut missing = Vec::new();
    if is_missing(&files::TOKENIZER) {
        missing.push(format!("`{}`", files::TOKENIZER));
    }
    if PROCESSORS.iter().all(is_missing) {
        missing.push(PROCESSORS.map(|name| format!("`{name}`")).join(" or "));
    }
    if extent == Extent::Whole {
        let large = large(folder);
        let large = large.iter().map(String::as_str).filter(is_missing);
        missing.extend(large.map(|name| format!("`{name}`")));
    }
    missing
}

/// The files that others name: shards of weights, and what `visor.json` records.
fn large(folder: &Path) -> BTreeSet<String> {
    let source = Source::Folder(folder.to_owned());
    let manifest = source.read(files::MANIFEST, MIB).and_then(|json| Manifest::parse(&json));
    // What is wrong with a manifest is said when it is loaded.
    let recorded = manifest.into_iter().flat_map(|manifest| manifest.files.into_keys());
    let mut names: BTreeSet<String> = recorded.collect();
    match index::read(&source) {
        Ok(Some(index)) => names.extend(index.shards().into_iter().map(str::to_owned)),
        // An index that cannot be read is as good as none.
        Ok(None) | Err(_) => drop(names.insert(files::WEIGHTS.to_owned())),
    }
    names
}

/// Relative, so that the cache can be moved.
#[cfg(unix)]
fn link(target: &Path, _blob: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Symbolic links need rights that few users have; a second name of the same content does not.
#[cfg(not(unix))]
fn link(_target: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    fs::hard_link(blob, path)
}
