//! Models of the Hugging Face hub: downloaded into its standard cache, found there again.
//!
//! A [`HubModel`] is an id and a revision, a [`Hub`] where models come from and where they are kept,
//! a [`Snapshot`] a folder in the cache with all files that a model needs. The cache is the one that
//! the hub's other programs use, and either finds what the other has downloaded:
//!
//! ```text
//! models--OWNER--NAME/blobs/ETAG            contents, each once
//! models--OWNER--NAME/blobs/ETAG.part       what has come of a content so far
//! models--OWNER--NAME/snapshots/COMMIT/...  links to contents, by their names
//! models--OWNER--NAME/refs/REVISION         the commit that a branch or tag meant last
//! ```
//!
//! Nothing half-written can be taken for a model. A content gets its name when it is whole and,
//! where the hub names its SHA-256, is what was asked for. `config.json`, without which a folder is
//! no checkpoint, is linked last; and a revision means a commit only after that. A folder that lacks
//! a file of the model, as other programs and [`Hub::fetch_small`] leave it, is no model until the
//! rest has come.

mod cache;
mod client;
mod error;
mod listing;
mod model;
mod settings;
mod transfer;

pub use error::HubError;
pub use model::{DEFAULT_REVISION, HubModel};
pub use settings::{Hub, Reach};

use crate::{Manifest, Source, files, index};
use cache::{Extent, Place, missing};
use client::Client;
use listing::{Listing, Remote};
use std::fmt;
use std::path::{Path, PathBuf};
use transfer::Transfer;

/// A model in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    model: HubModel,
    commit: String,
    folder: PathBuf,
}

impl Snapshot {
    /// Which model.
    pub fn model(&self) -> &HubModel {
        &self.model
    }

    /// The commit that its revision means here.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The folder with its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Who is told how far a download is.
pub trait Progress: fmt::Debug {
    /// A file starts, or goes on after `done` of its bytes.
    fn starts(&mut self, file: &str, bytes: u64, done: u64);
    /// So many more bytes of it have come.
    fn received(&mut self, bytes: u64);
    /// The file is there.
    fn ends(&mut self);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug)]
pub struct Unseen;

impl Progress for Unseen {
    fn starts(&mut self, _: &str, _: u64, _: u64) {}
    fn received(&mut self, _: u64) {}
    fn ends(&mut self) {}
}

impl Hub {
    /// The model as the cache has it; `None` if it is not there, or only a part of it is.
    pub fn cached(&self, model: &HubModel) -> Option<Snapshot> {
        self.here(model, Extent::Whole).ok()
    }

    /// The model as the cache has it, else downloaded. A revision that is in the cache is not held
    /// against the hub: [`Hub::download`] is.
    ///
    /// # Errors
    /// As [`Hub::download`], if the model is not in the cache.
    pub fn fetch(
        &self,
        model: &HubModel,
        progress: &mut dyn Progress,
    ) -> Result<Snapshot, HubError> {
        self.here(model, Extent::Whole).or_else(|_| self.download(model, progress))
    }

    /// The same without the weights: the small files, which describe the model.
    ///
    /// # Errors
    /// As [`Hub::fetch`], weights left aside.
    pub fn fetch_small(
        &self,
        model: &HubModel,
        progress: &mut dyn Progress,
    ) -> Result<Snapshot, HubError> {
        let here = self.here(model, Extent::Small);
        here.or_else(|_| self.bring(model, Extent::Small, progress))
    }

    /// Asks the hub what the revision means now, and downloads the files of that commit which are
    /// needed and not in the cache yet. A file that was cut off goes on where it was. Offline, the
    /// model is what the cache has.
    ///
    /// # Errors
    /// If the hub cannot be reached, does not have the model or does not show it, sends something
    /// else than it announced, the model has no weights in the safetensors format, or the cache
    /// cannot be written; offline, if the model is not in the cache, or a part of it is missing there.
    pub fn download(
        &self,
        model: &HubModel,
        progress: &mut dyn Progress,
    ) -> Result<Snapshot, HubError> {
        self.bring(model, Extent::Whole, progress)
    }

    /// What the cache has; an error where that is not enough, as it is told offline.
    fn here(&self, model: &HubModel, extent: Extent) -> Result<Snapshot, HubError> {
        let (model, cache) = (model.clone(), self.cache().display().to_string());
        let Some((commit, folder)) = Place::new(self.cache(), &model).found() else {
            return Err(HubError::Offline { model, cache });
        };
        match missing(&folder, extent).as_slice() {
            [] => Ok(Snapshot { model, commit, folder }),
            names => Err(HubError::Incomplete { model, cache, missing: names.join(", ") }),
        }
    }

    fn bring(
        &self,
        model: &HubModel,
        extent: Extent,
        progress: &mut dyn Progress,
    ) -> Result<Snapshot, HubError> {
        if self.reach() == Reach::Offline {
            return self.here(model, extent);
        }
        let client = Client::new(self, model)?;
        let listing = client.listing()?;
        let place = Place::new(self.cache(), model);
        let folder = place.snapshot(&listing.commit);
        let transfer = Transfer { client: &client, place: &place, listing: &listing };
        let mut get = |file: &Remote| transfer.file(file, progress);
        let config = listing.expect(model, files::CONFIG)?;
        listing.small().try_for_each(&mut get)?;
        if extent == Extent::Whole {
            for name in large(model, &listing, &folder)? {
                get(listing.expect(model, &name)?)?;
            }
        }
        // Last: it is what makes a folder a checkpoint.
        get(config)?;
        place.points_to(&listing.commit)?;
        Ok(Snapshot { model: model.clone(), commit: listing.commit, folder })
    }
}

/// The files that others name: weights, and whatever `visor.json` records. Those others are there.
fn large(model: &HubModel, listing: &Listing, folder: &Path) -> Result<Vec<String>, HubError> {
    let source = Source::Folder(folder.to_owned());
    let damaged = |error| HubError::Checkpoint { model: model.clone(), source: Box::new(error) };
    let mut names = Vec::new();
    if listing.has(files::WEIGHTS) {
        names.push(files::WEIGHTS.to_owned());
    } else if listing.has(files::INDEX) {
        let index = index::read(&source).map_err(damaged)?;
        names.extend(index.iter().flat_map(|index| index.shards()).map(str::to_owned));
    } else {
        return Err(HubError::NoWeights { model: model.clone() });
    }
    if listing.has(files::MANIFEST) {
        let json = source.read(files::MANIFEST, crate::source::MIB).map_err(damaged)?;
        let recorded = Manifest::parse(&json).map_err(damaged)?.files.into_keys();
        names.extend(recorded.filter(|name| name != files::CONFIG));
    }
    names.sort();
    names.dedup();
    Ok(names)
}
