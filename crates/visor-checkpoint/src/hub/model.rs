//! Which model of the hub is meant: an id and a revision, neither of which can name anything else.

use super::HubError;
use std::fmt;
use std::str::FromStr;

/// The branch that is meant where none is named.
pub const DEFAULT_REVISION: &str = "main";

/// Longer ids and revisions are refused, as on the hub.
const MAX_ID: usize = 96;
const MAX_REVISION: usize = 200;

/// An id, `owner/name`, and a revision: a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubModel {
    id: Box<str>,
    revision: Box<str>,
}

impl HubModel {
    /// A model at a revision.
    ///
    /// # Errors
    /// If the id is not `owner/name` or the revision not the name of a branch, tag or commit.
    pub fn new(id: &str, revision: &str) -> Result<Self, HubError> {
        if !is_id(id) {
            return Err(HubError::Id { got: id.to_owned() });
        }
        if !is_revision(revision) {
            return Err(HubError::Revision { id: id.to_owned(), got: revision.to_owned() });
        }
        Ok(Self { id: id.into(), revision: revision.into() })
    }

    /// `owner/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A branch, a tag or a commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The commit, where the revision is one.
    pub(super) fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(&*self.revision)
    }
}

impl FromStr for HubModel {
    type Err = HubError;

    /// `owner/name`, or `owner/name@revision`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        Self::new(id, revision)
    }
}

impl fmt::Display for HubModel {
    /// As it is read: the revision stands there unless it is the usual one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.revision {
            DEFAULT_REVISION => f.write_str(&self.id),
            revision => write!(f, "{}@{revision}", self.id),
        }
    }
}

/// As the hub allows it. Neither `..` nor `--`: the one means another folder, the other is how the
/// cache writes the slash.
fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID
        && !text.contains("--")
        && text.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// A part becomes a part of a path, of an address and of a folder's name.
fn is_part(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !part.is_empty()
        && part.chars().all(allowed)
        && !part.contains("..")
        && !part.starts_with(['-', '.'])
        && !part.ends_with(['-', '.'])
}

fn is_revision(text: &str) -> bool {
    text.len() <= MAX_REVISION && text.split('/').all(is_part)
}

/// Whether this is the whole name of a commit, which never means another one.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_reads_back_as_it_is_written() {
        for text in ["owner/name", "a/b@v1.0", "a.b/c_d-e@refs/pr/1"] {
            let model: HubModel = text.parse().expect("a model");
            assert_eq!(model.to_string(), text);
        }
        assert_eq!("a/b@main".parse::<HubModel>().expect("a model").to_string(), "a/b");
    }

    #[test]
    fn what_could_mean_another_folder_or_address_is_no_model() {
        let ids = ["", "a", "a/", "/b", "a/b/c", "../b", "a/..", "./b", "a--b/c", "a/b?x", "a b/c"];
        for id in ids {
            assert!(matches!(HubModel::new(id, "main"), Err(HubError::Id { .. })), "{id}");
        }
        for revision in ["", "/", "a//b", "../x", "a/../b", ".hidden", "a b", "a?b", "a%2Fb", "-x"]
        {
            let error = HubModel::new("a/b", revision).expect_err(revision);
            assert!(matches!(error, HubError::Revision { .. }), "{revision}");
        }
    }
}
