//! The files of this repository: what is committed or about to be, nothing that was built.

use anyhow::{Context, Result, anyhow};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Folders that hold no source, for trees without git.
const NOT_OURS: [&str; 3] = [".git", "target", "runs"];

/// A checked-out tree.
pub(crate) struct Repo {
    root: PathBuf,
    /// Relative to the root, with `/` between folders, in order.
    files: Vec<String>,
}

impl Repo {
    /// The tree that this program was built from.
    pub(crate) fn here() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent")?;
        let mut files = match listed_by_git(root) {
            Some(files) => files,
            None => walked(root)?,
        };
        files.retain(|file| root.join(file).is_file());
        files.sort();
        Ok(Self { root: root.to_owned(), files })
    }

    /// The folder with the workspace's manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// All files, in order.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// All files of text, with their content. Files that are not UTF-8 are data.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.files().filter_map(|file| Some((file, fs::read_to_string(self.root.join(file)).ok()?)))
    }

    /// The content of a file that must be there.
    pub(crate) fn text(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.root.join(file)).with_context(|| format!("cannot read {file}"))
    }

    /// Whether there is a file or folder of this name.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Replaces the content of a file.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.root.join(file), text).with_context(|| format!("cannot write {file}"))
    }
}

/// Tracked files and new ones that are not ignored; `None` where git is not there, or the tree is a
/// part of somebody else's repository.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    let listing = String::from_utf8(output.stdout).ok()?;
    let files: Vec<String> =
        listing.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect();
    (output.status.success() && files.iter().any(|file| file == "Cargo.toml")).then_some(files)
}

/// Every file of the tree but those in [`NOT_OURS`].
fn walked(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.with_context(|| format!("cannot list {}", folder.display()))? {
            let (path, kind) = (entry.path(), entry.file_type()?);
            if !kind.is_dir() {
                files.push(relative(root, &path)?);
            } else if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                folders.push(path);
            }
        }
    }
    Ok(files)
}

fn relative(root: &Path, path: &Path) -> Result<String> {
    let parts = path.strip_prefix(root)?.iter().map(|part| part.to_str());
    let parts: Option<Vec<&str>> = parts.collect();
    Ok(parts.ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walking_finds_what_git_lists() {
        let repo = Repo::here().expect("this repository");
        let walked = walked(repo.root()).expect("a tree");
        for file in repo.files().filter(|file| file.starts_with("xtask/")) {
            assert!(walked.iter().any(|found| found == file), "{file}");
        }
        let skipped = |file: &&String| file.starts_with("target/") || file.starts_with(".git/");
        assert_eq!(walked.iter().find(skipped), None);
    }

    #[test]
    fn the_files_of_this_crate_are_among_those_of_the_repository() {
        let repo = Repo::here().expect("this repository");
        assert!(repo.files().any(|file| file == "xtask/src/repo.rs"));
        assert!(repo.text("Cargo.toml").expect("a manifest").contains("[workspace]"));
    }
}
