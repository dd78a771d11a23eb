//! A picture that has been encoded and is held by whoever asks about it, and the pictures of a
//! prepared request: encoded already, or still to be.

use crate::picture_cache::{Erased, Kept, PictureKey};
use std::fmt;
use std::sync::Arc;
use visor_core::cost::{Flops, ModelShape};
use visor_processor::{Arrangement, PixelSize};

/// Whose a picture is: what one runner has encoded means nothing to another.
#[derive(Clone, Default)]
pub(crate) struct Owner(Arc<u8>);

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A picture that a runner has encoded, for any number of questions to the same runner. Holding it
/// keeps what was encoded; it costs no further pass of the encoder, whatever a cache holds.
#[derive(Clone)]
pub struct PreparedImage {
    pub(crate) owner: Owner,
    pub(crate) key: PictureKey,
    pub(crate) size: PixelSize,
    pub(crate) kept: Kept,
}

impl PreparedImage {
    /// How its tiles lie.
    pub fn arrangement(&self) -> Arrangement {
        self.kept.arrangement
    }

    /// Tiles that were encoded.
    pub fn tiles(&self) -> usize {
        self.kept.n_tiles
    }

    /// Bytes that it held when it was handed out; what layers make of it for questions comes to them.
    pub fn bytes(&self) -> u64 {
        self.kept.bytes
    }
}

impl PartialEq for PreparedImage {
    fn eq(&self, other: &Self) -> bool {
        self.owner == other.owner
            && (self.key, self.kept.arrangement) == (other.key, other.kept.arrangement)
    }
}

impl fmt::Debug for PreparedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedImage")
            .field("size", &self.size)
            .field("arrangement", &self.kept.arrangement)
            .field("bytes", &self.kept.bytes)
            .finish_non_exhaustive()
    }
}

/// A picture of a prepared request.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) key: PictureKey,
    pub(crate) size: PixelSize,
    pub(crate) arrangement: Arrangement,
    pub(crate) n_tiles: usize,
    pub(crate) state: State,
}

/// How far a picture of a prepared request is.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// To be encoded: which of the request's processed pictures it is.
    Processed(usize),
    /// Encoded before.
    Encoded(Erased),
}

impl Shown {
    /// A picture that was encoded before.
    pub(crate) fn kept(key: PictureKey, size: PixelSize, kept: Kept) -> Self {
        let Kept { arrangement, n_tiles, encoded, .. } = kept;
        Self { key, size, arrangement, n_tiles, state: State::Encoded(encoded) }
    }

    /// What encoding it costs.
    pub(crate) fn flops(&self, shape: &ModelShape) -> Flops {
        shape.vision(self.n_tiles)
    }
}
