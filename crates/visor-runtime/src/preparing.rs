//! From pictures as they are handed in to pictures that are ready to be encoded, or are encoded.

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::model::Backbone;
use crate::picture_cache::{Kept, PictureCache, PictureKey};
use crate::prepared_image::{PreparedImage, Shown, State};
use crate::request::{PictureInput, Planned, Prepared};
use crate::runner::Runner;
use crate::timing::timed;
use std::borrow::Cow;
use std::sync::Arc;
use visor_processor::{Picture, PixelSize, ProcessedPicture, Setting};

/// Pictures that are to be laid out, each with its place among all.
pub(crate) type Unread = Vec<(usize, PictureInput)>;

impl<M: Backbone> Runner<M> {
    /// Encodes a picture once, for any number of questions. `setting` is that of the questions: how
    /// many pictures they show, and in how many tiles at most. Where the cache has it, it is taken
    /// from there, and it is left there for others.
    ///
    /// # Errors
    /// If the picture cannot be read, the model fails, or it was called off.
    pub fn prepare_image(
        &self,
        input: &PictureInput,
        setting: Setting,
        cancel: &Cancel,
    ) -> Result<PreparedImage, RunError> {
        let owner = self.owner.clone();
        let (key, size) = match self.look(0, input, setting)? {
            Looked::Encoded { key, size, kept } => {
                return Ok(PreparedImage { owner, key, size, kept });
            }
            Looked::New { key, size } => (key, size),
        };
        let processed = self.process(0, input, setting)?;
        let encoded = self.model.encode(std::slice::from_ref(&processed), cancel)?;
        // Without a cache it is up to whoever holds it.
        let room = self.cache.as_ref().map_or(u64::MAX, PictureCache::room);
        let encoded = Arc::new(self.model.keep(encoded, room));
        let bytes = self.model.visual_bytes(&encoded);
        let (arrangement, n_tiles) = (processed.arrangement, processed.pixels.tiles());
        let kept = Kept { arrangement, n_tiles, encoded, bytes };
        if let Some(cache) = &self.cache {
            cache.insert(key, size, kept.clone());
        }
        Ok(PreparedImage { owner, key, size, kept })
    }

    /// Decodes the pictures of a request that are to be encoded, and cuts them into tiles. The
    /// request must have been planned by this runner.
    ///
    /// # Errors
    /// If a picture cannot be read, or the request was called off.
    pub fn lay_out(&self, planned: Planned) -> Result<Prepared, RunError> {
        let Planned { prepared, unread, setting, .. } = planned;
        let mut spent = prepared.spent;
        let picture = |(index, input): (usize, PictureInput)| {
            prepared.cancel.check()?;
            self.process(index, &input, setting)
        };
        let pictures: Result<Vec<ProcessedPicture>, RunError> =
            timed(&mut spent, || unread.into_iter().map(picture).collect());
        Ok(Prepared { pictures: pictures?.into(), spent, ..prepared })
    }

    /// The pictures of a request in their order, and those of them that are to be laid out, each
    /// with its place among all.
    pub(crate) fn shown(
        &self,
        inputs: Vec<PictureInput>,
        setting: Setting,
        cancel: &Cancel,
    ) -> Result<(Vec<Shown>, Unread), RunError> {
        let (mut all, mut unread) = (Vec::new(), Vec::new());
        for (index, input) in inputs.into_iter().enumerate() {
            cancel.check()?;
            all.push(match self.look(index, &input, setting)? {
                Looked::Encoded { key, size, kept } => Shown::kept(key, size, kept),
                Looked::New { key, size } => {
                    self.image_processor.check()?;
                    let arrangement = self.image_processor.arrange(size, setting);
                    let state = State::Processed(unread.len());
                    unread.push((index, input));
                    Shown { key, size, arrangement, n_tiles: arrangement.tiles(), state }
                }
            });
        }
        Ok((all, unread))
    }

    /// Whether a picture is encoded already: brought along, or kept. Of one that is not, its size.
    fn look(
        &self,
        index: usize,
        input: &PictureInput,
        setting: Setting,
    ) -> Result<Looked, RunError> {
        let unreadable = |source| RunError::Picture { index, source };
        match input {
            PictureInput::Prepared(PreparedImage { owner, key, size, kept }) => {
                if *owner != self.owner {
                    return Err(RunError::ForeignImage { index });
                }
                if self.image_processor.arrange(*size, setting) != kept.arrangement {
                    return Err(RunError::OtherSetting { index, pictures: setting.pictures });
                }
                Ok(Looked::Encoded { key: *key, size: *size, kept: kept.clone() })
            }
            PictureInput::Bytes(bytes) => {
                self.look_up(PictureKey::of_bytes(bytes), setting, || {
                    Picture::measure(bytes, &self.limits).map_err(unreadable)
                })
            }
            PictureInput::Decoded(picture) => {
                self.look_up(PictureKey::of_picture(picture), setting, || Ok(picture.size()))
            }
        }
    }

    /// Whether a picture is kept. Of one that is not, its size.
    fn look_up(
        &self,
        key: PictureKey,
        setting: Setting,
        size: impl FnOnce() -> Result<PixelSize, RunError>,
    ) -> Result<Looked, RunError> {
        let arrange = |size| self.image_processor.arrange(size, setting);
        Ok(match self.cache.as_ref().and_then(|cache| cache.get(&key, arrange)) {
            Some((size, kept)) => Looked::Encoded { key, size, kept },
            None => Looked::New { key, size: size()? },
        })
    }

    /// Decodes a picture and cuts it into tiles.
    fn process(
        &self,
        index: usize,
        input: &PictureInput,
        setting: Setting,
    ) -> Result<ProcessedPicture, RunError> {
        let picture = match input {
            PictureInput::Decoded(picture) => Cow::Borrowed(picture),
            PictureInput::Bytes(bytes) => Picture::decode(bytes, &self.limits)
                .map(Cow::Owned)
                .map_err(|source| RunError::Picture { index, source })?,
            PictureInput::Prepared(_) => return Err(RunError::ForeignImage { index }),
        };
        Ok(self.image_processor.process_in(&picture, setting)?)
    }
}

/// What is known of a picture before it is decoded.
enum Looked {
    /// It is encoded already.
    Encoded { key: PictureKey, size: PixelSize, kept: Kept },
    /// It is to be decoded and encoded.
    New { key: PictureKey, size: PixelSize },
}
