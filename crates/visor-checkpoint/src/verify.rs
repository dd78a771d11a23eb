//! Whether the files are the ones that were saved.

use crate::blob::Blob;
use crate::digest::TensorSums;
use crate::stamp::{Stamp, StampedFile};
use crate::watch::{ReadingStage, Tally};
use crate::{CheckpointError, Digests, Manifest, Sha256Sum, Source, Weights};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How it is known that the files are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// All files were hashed just now.
    Hashed,
    /// Size and time of all files are those of an earlier verification.
    Stamped,
    /// It is not known: a stock checkpoint records no hashes to compare with.
    Unrecorded,
}

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How the files were checked.
    pub trust: Trust,
    /// What the checkpoint is.
    pub digests: Digests,
}

/// Compares the files of a checkpoint with the hashes in its manifest.
///
/// A stamp from an earlier verification is trusted where sizes and times of all files still agree;
/// else the files are hashed and, where the folder can be written to, stamped. Embedded files are
/// always hashed.
///
/// # Errors
/// [`CheckpointError::Hash`] if a file is another one, [`CheckpointError::Unhashed`] if the
/// manifest does not know a file of weights, or a file is missing or unreadable.
pub fn verify(source: &Source, manifest: Option<&Manifest>) -> Result<Verified, CheckpointError> {
    verify_opened(source, manifest, &Weights::open(source)?)
}

/// A file to look at, and the hash that the manifest records for it.
struct File<'a> {
    blob: &'a Blob,
    recorded: Option<Sha256Sum>,
}

/// Verifies the very files that `weights` reads from, even if others stand at their paths by now.
pub(crate) fn verify_opened(
    source: &Source,
    manifest: Option<&Manifest>,
    weights: &Weights,
) -> Result<Verified, CheckpointError> {
    let listed = manifest.iter().flat_map(|manifest| &manifest.files);
    let others = listed
        .filter(|(name, _)| weights.files().all(|(file, _)| file != name.as_str()))
        .map(|(name, &sum)| Ok((name.as_str(), source.blob(name)?, sum)))
        .collect::<Result<Vec<_>, CheckpointError>>()?;
    let mut files: BTreeMap<&str, File<'_>> = others
        .iter()
        .map(|(name, blob, sum)| (*name, File { blob, recorded: Some(*sum) }))
        .collect();
    for (name, blob) in weights.files() {
        let recorded = manifest.map(|manifest| manifest.files.get(name).copied());
        if recorded == Some(None) {
            return Err(CheckpointError::Unhashed { file: name.to_owned() });
        }
        files.insert(name, File { blob, recorded: recorded.flatten() });
    }

    let recorded = |trust| if manifest.is_some() { trust } else { Trust::Unrecorded };
    let states = files.iter().map(|(&name, file)| (name, file.recorded, file.blob.state()));
    if let Some(stamp) = source.folder().and_then(Stamp::read)
        && stamp.vouches_for(states)
    {
        let digests = stamp.sums().digests(manifest);
        return Ok(Verified { trust: recorded(Trust::Stamped), digests });
    }

    let bytes = files.values().map(|file| file.blob.len()).sum::<u64>() + weights.bytes();
    let mut tally = Tally::new(weights.watch(), ReadingStage::Verify, bytes);
    let mut stamped = BTreeMap::new();
    for (&name, file) in &files {
        // Taken before reading: a change in between makes the stamp useless, not wrong.
        let state = file.blob.state();
        let sha256 = hash(file.blob, &mut tally)?;
        if let Some(expected) = file.recorded.filter(|&recorded| recorded != sha256) {
            let file = file.blob.shown().to_owned();
            return Err(CheckpointError::Hash { file, expected, got: sha256 });
        }
        if let Some(state) = state.filter(|state| state.is_settled()) {
            stamped.insert(name.to_owned(), StampedFile { state, sha256 });
        }
    }
    let sums = TensorSums::of(weights, &mut |bytes| tally.add(bytes))?;
    if let Some(folder) = source.folder()
        && stamped.len() == files.len()
    {
        Stamp::new(stamped, &sums).write(folder);
    }
    Ok(Verified { trust: recorded(Trust::Hashed), digests: sums.digests(manifest) })
}

fn hash(blob: &Blob, tally: &mut Tally) -> Result<Sha256Sum, CheckpointError> {
    let mut hasher = Sha256::new();
    blob.read(0, blob.len(), |piece| {
        hasher.update(piece);
        tally.add(piece.len());
        Ok::<_, CheckpointError>(())
    })?;
    Ok(Sha256Sum::finish(hasher))
}
