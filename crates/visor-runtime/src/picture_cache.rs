//! Encoded pictures that are kept for later questions, bounded in bytes.
//!
//! What an encoder makes of a picture depends on the weights, the device, the number format and the
//! picture's own tiles (method, section 1). A cache belongs to one runner, which fixes the first
//! three; the picture is named by the SHA-256 of what was handed in, so that nobody can make one
//! that is mistaken for another, and its tiles by how they lie.

use lru::LruCache;
use sha2::{Digest, Sha256};
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use visor_processor::{Arrangement, Picture, PixelSize};

/// An encoded picture of any model. Only the runner that has made it looks inside.
pub(crate) type Erased = Arc<dyn Any + Send + Sync>;

/// What an entry takes beside what was encoded, roughly.
const OVERHEAD: u64 = 256;

/// The SHA-256 of a picture as it was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PictureKey([u8; 32]);

impl PictureKey {
    /// Files and decoded pictures are told apart: the same bytes may be either.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(bytes).finalize().into())
    }

    pub(crate) fn of_picture(picture: &Picture) -> Self {
        let hash = Sha256::new().chain_update([1]);
        let hash = hash.chain_update(picture.width().to_le_bytes());
        Self(hash.chain_update(picture.rgb()).finalize().into())
    }
}

/// An encoded picture and what a prompt must know of it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) arrangement: Arrangement,
    /// Tiles that were encoded.
    pub(crate) n_tiles: usize,
    pub(crate) encoded: Erased,
    /// Of what was encoded, and may still be kept with it.
    pub(crate) bytes: u64,
}

/// What a cache of pictures holds, and what it was good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PictureCacheStats {
    /// Pictures that were found.
    pub hits: u64,
    /// Pictures that were looked for and not found.
    pub misses: u64,
    /// Pictures that were put aside for others.
    pub evictions: u64,
    /// Pictures that are there.
    pub entries: usize,
    /// Bytes that they take.
    pub bytes: u64,
    /// Bytes that they may take.
    pub capacity: u64,
}

/// Encoded pictures, the least recently used put aside first. Threads share it.
#[derive(Debug)]
pub(crate) struct PictureCache(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// By what was handed in: its size, and what was made of it in each arrangement.
    pictures: LruCache<PictureKey, Known>,
    stats: PictureCacheStats,
}

#[derive(Debug)]
struct Known {
    size: PixelSize,
    variants: Vec<Kept>,
}

impl Known {
    fn bytes(&self) -> u64 {
        OVERHEAD + self.variants.iter().map(|kept| kept.bytes).sum::<u64>()
    }
}

impl Inner {
    /// Puts aside what is too much.
    fn shrink(&mut self) {
        while self.stats.bytes > self.stats.capacity {
            let Some((_, oldest)) = self.pictures.pop_lru() else { break };
            self.stats.bytes -= oldest.bytes();
            self.stats.evictions += oldest.variants.len() as u64;
        }
    }
}

impl PictureCache {
    /// A cache that holds so many bytes.
    pub(crate) fn new(capacity: u64) -> Self {
        let stats = PictureCacheStats { capacity, ..PictureCacheStats::default() };
        Self(Mutex::new(Inner { pictures: LruCache::unbounded(), stats }))
    }

    /// A panic elsewhere leaves it whole: nothing here stops halfway.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture's size, and what it is encoded, lying as `arrange` says of its size.
    pub(crate) fn get(
        &self,
        key: &PictureKey,
        arrange: impl FnOnce(PixelSize) -> Arrangement,
    ) -> Option<(PixelSize, Kept)> {
        let inner = &mut *self.inner();
        let found = inner.pictures.get(key).and_then(|Known { size, variants }| {
            let arrangement = arrange(*size);
            let kept = variants.iter().find(|kept| kept.arrangement == arrangement)?;
            Some((*size, kept.clone()))
        });
        match found {
            Some(_) => inner.stats.hits += 1,
            None => inner.stats.misses += 1,
        }
        found
    }

    /// The same without a count, and without being used.
    pub(crate) fn peek(&self, key: &PictureKey, arrangement: Arrangement) -> Option<Kept> {
        let inner = self.inner();
        let variants = &inner.pictures.peek(key)?.variants;
        variants.iter().find(|kept| kept.arrangement == arrangement).cloned()
    }

    /// Keeps an encoded picture. One that is larger than the whole cache is not kept.
    pub(crate) fn insert(&self, key: PictureKey, size: PixelSize, kept: Kept) {
        let inner = &mut *self.inner();
        if kept.bytes + OVERHEAD > inner.stats.capacity {
            return;
        }
        let mut known = match inner.pictures.pop(&key) {
            Some(known) => {
                inner.stats.bytes -= known.bytes();
                known
            }
            None => Known { size, variants: Vec::new() },
        };
        known.variants.retain(|other| other.arrangement != kept.arrangement);
        known.variants.push(kept);
        inner.stats.bytes += known.bytes();
        inner.pictures.put(key, known);
        inner.shrink();
    }

    /// Bytes that one picture may take.
    pub(crate) fn room(&self) -> u64 {
        self.inner().stats.capacity.saturating_sub(OVERHEAD)
    }

    /// Counts a picture anew to which something has come, if it is still there.
    pub(crate) fn reweigh(&self, key: &PictureKey, arrangement: Arrangement, bytes: u64) {
        let inner = &mut *self.inner();
        let Some(known) = inner.pictures.peek_mut(key) else { return };
        let kept = known.variants.iter_mut().find(|kept| kept.arrangement == arrangement);
        if let Some(kept) = kept {
            inner.stats.bytes = inner.stats.bytes - kept.bytes + bytes;
            kept.bytes = bytes;
            inner.shrink();
        }
    }

    pub(crate) fn stats(&self) -> PictureCacheStats {
        let inner = self.inner();
        let entries = inner.pictures.iter().map(|(_, known)| known.variants.len()).sum();
        PictureCacheStats { entries, ..inner.stats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PixelSize = PixelSize { width: 2, height: 2 };

    fn kept(bytes: u64) -> Kept {
        Kept { arrangement: Arrangement::Whole, n_tiles: 1, encoded: Arc::new(bytes), bytes }
    }

    fn whole(_: PixelSize) -> Arrangement {
        Arrangement::Whole
    }

    #[test]
    fn the_least_recently_used_picture_goes_first_and_the_bound_holds() {
        let cache = PictureCache::new(3 * (100 + OVERHEAD));
        let keys: Vec<PictureKey> = (0..4_u8).map(|i| PictureKey::of_bytes(&[i])).collect();
        for key in &keys[..3] {
            cache.insert(*key, SIZE, kept(100));
        }
        assert!(cache.get(&keys[0], whole).is_some());
        cache.insert(keys[3], SIZE, kept(100));
        let there: Vec<bool> = keys.iter().map(|key| cache.get(key, whole).is_some()).collect();
        assert_eq!(there, [true, false, true, true]);
        let stats = cache.stats();
        assert_eq!((stats.entries, stats.evictions, stats.bytes), (3, 1, stats.capacity));
    }

    #[test]
    fn a_picture_that_is_kept_twice_counts_once_and_one_beyond_the_bound_is_not_kept() {
        let cache = PictureCache::new(1000);
        let key = PictureKey::of_bytes(b"a");
        cache.insert(key, SIZE, kept(100));
        cache.insert(key, SIZE, kept(100));
        assert_eq!((cache.stats().entries, cache.stats().bytes), (1, 100 + OVERHEAD));
        let marked = Kept { arrangement: Arrangement::Marked { grid: None }, ..kept(50) };
        cache.insert(key, SIZE, marked);
        assert_eq!((cache.stats().entries, cache.stats().bytes), (2, 150 + OVERHEAD));
        cache.insert(PictureKey::of_bytes(b"b"), SIZE, kept(1000));
        assert_eq!(cache.stats().entries, 2);
        assert!(cache.get(&PictureKey::of_bytes(b"b"), whole).is_none());
    }

    #[test]
    fn a_file_and_a_picture_of_the_same_bytes_are_two() {
        let picture = Picture::from_rgb(1, 1, vec![1, 2, 3]).expect("a pixel");
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend([1, 2, 3]);
        assert_ne!(PictureKey::of_picture(&picture), PictureKey::of_bytes(&bytes));
        let wide = Picture::from_rgb(2, 1, vec![0; 6]).expect("two pixels");
        let high = Picture::from_rgb(1, 2, vec![0; 6]).expect("two pixels");
        assert_ne!(PictureKey::of_picture(&wide), PictureKey::of_picture(&high));
    }
}
