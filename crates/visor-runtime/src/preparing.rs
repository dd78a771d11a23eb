//! From pictures as they are handed in to pictures that are ready to be encoded, or are encoded.

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::model::Backbone;
use crate::picture_cache::{Kept, PictureCache, PictureKey};
use crate::prepared_image::{PreparedImage, Shown, State};
use crate::request::PictureInput;
use crate::runner::Runner;
use std::borrow::Cow;
use std::sync::Arc;
use visor_processor::{Picture, PixelSize, ProcessedPicture, Setting};

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
        let looked = self.look(0, input, setting)?;
        if let Looked::Encoded { key, size, kept } = looked {
            return Ok(PreparedImage { owner, key, size, kept });
        }
        let (shown, processed) = self.process(0, input, setting)?;
        let encoded = self.model.encode(std::slice::from_ref(&processed), cancel)?;
        // Without a cache it is up to whoever holds it.
        let room = self.cache.as_ref().map_or(u64::MAX, PictureCache::room);
        let encoded = Arc::new(self.model.keep(encoded, room));
        let bytes = self.model.visual_bytes(&encoded);
        let Shown { key, size, arrangement, n_tiles, .. } = shown;
        let kept = Kept { arrangement, n_tiles, encoded, bytes };
        if let Some(cache) = &self.cache {
            cache.insert(key, size, kept.clone());
        }
        Ok(PreparedImage { owner, key, size, kept })
    }

    /// The pictures of a request in their order, and the tiles of those that are to be encoded.
    pub(crate) fn shown(
        &self,
        inputs: &[PictureInput],
        setting: Setting,
        cancel: &Cancel,
    ) -> Result<(Vec<Shown>, Vec<ProcessedPicture>), RunError> {
        let (mut all, mut pictures) = (Vec::new(), Vec::new());
        for (index, input) in inputs.iter().enumerate() {
            cancel.check()?;
            all.push(match self.look(index, input, setting)? {
                Looked::Encoded { key, size, kept } => Shown::kept(key, size, kept),
                Looked::New => {
                    let (shown, processed) = self.process(index, input, setting)?;
                    pictures.push(processed);
                    Shown { state: State::Processed(pictures.len() - 1), ..shown }
                }
            });
        }
        Ok((all, pictures))
    }

    /// Whether a picture is encoded already: brought along, or kept.
    fn look(
        &self,
        index: usize,
        input: &PictureInput,
        setting: Setting,
    ) -> Result<Looked, RunError> {
        let arrange = |size| self.image_processor.arrange(size, setting);
        if let PictureInput::Prepared(PreparedImage { owner, key, size, kept }) = input {
            if *owner != self.owner {
                return Err(RunError::ForeignImage { index });
            }
            if arrange(*size) != kept.arrangement {
                return Err(RunError::OtherSetting { index, pictures: setting.pictures });
            }
            return Ok(Looked::Encoded { key: *key, size: *size, kept: kept.clone() });
        }
        let kept = || {
            let key = PictureKey::of(input)?;
            let (size, kept) = self.cache.as_ref()?.get(&key, arrange)?;
            Some(Looked::Encoded { key, size, kept })
        };
        Ok(kept().unwrap_or(Looked::New))
    }

    /// Decodes a picture and cuts it into tiles.
    fn process(
        &self,
        index: usize,
        input: &PictureInput,
        setting: Setting,
    ) -> Result<(Shown, ProcessedPicture), RunError> {
        let (key, picture) = match input {
            PictureInput::Decoded(picture) => {
                (PictureKey::of_picture(picture), Cow::Borrowed(picture))
            }
            PictureInput::Bytes(bytes) => {
                let picture = Picture::decode(bytes, &self.limits)
                    .map_err(|source| RunError::Picture { index, source })?;
                (PictureKey::of_bytes(bytes), Cow::Owned(picture))
            }
            PictureInput::Prepared(_) => return Err(RunError::ForeignImage { index }),
        };
        let size = PixelSize { width: picture.width(), height: picture.height() };
        let processed = self.image_processor.process_in(&picture, setting)?;
        let (arrangement, n_tiles) = (processed.arrangement, processed.pixels.tiles());
        let state = State::Processed(0);
        Ok((Shown { key, size, arrangement, n_tiles, state }, processed))
    }
}

/// What is known of a picture before it is decoded.
enum Looked {
    /// It is encoded already.
    Encoded { key: PictureKey, size: PixelSize, kept: Kept },
    /// It is to be decoded and encoded.
    New,
}
