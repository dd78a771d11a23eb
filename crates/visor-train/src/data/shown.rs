//! A picture of a question: in memory, or where it lies on disk until it is asked about, in a file
//! of its own or in a row of a table.
//!
//! Benchmarks have tens of thousands of pictures; their pixels do not fit in memory together.

use super::columns::{Cell, Embedded};
use super::jsonl::{MAX_PICTURE, decode_picture, picture_bytes};
use crate::error::TrainError;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use visor_processor::{Picture, PictureLimits};

/// The grey of a picture that shows nothing.
const GREY: u8 = 16;

/// A picture of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemPicture {
    /// In memory.
    Held(Picture),
    /// On disk, where it has been read once.
    File(ItemFile),
    /// One dark grey.
    Grey {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// Where a picture lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PicturePlace {
    /// In a file of its own.
    File(PathBuf),
    /// In a row of a table.
    Cell(Cell),
}

impl PicturePlace {
    /// The file, or that of the table.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Cell(cell) => cell.path(),
        }
    }

    /// Reads it, or says what is wrong with it.
    fn picture(&self) -> Result<Picture, String> {
        match self {
            Self::File(path) => decode_picture(path, &picture_bytes(path)?),
            Self::Cell(cell) => decode_cell(cell, &cell.bytes()?),
        }
    }
}

fn decode_cell(cell: &Cell, bytes: &[u8]) -> Result<Picture, String> {
    let named = |because: String| format!("picture in {cell}: {because}");
    if bytes.len() as u64 > MAX_PICTURE {
        let size = bytes.len();
        return Err(named(format!("{size} bytes are more than the limit of {MAX_PICTURE}")));
    }
    Picture::decode(bytes, &PictureLimits::default()).map_err(|error| named(error.to_string()))
}

/// A picture on disk that has been read once, so that damage was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFile {
    place: PicturePlace,
    width: u32,
    height: u32,
    /// SHA-256 of its size and pixels.
    sha256: [u8; 32],
}

impl ItemFile {
    /// Reads a picture file and lets its pixels go again.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let place = PicturePlace::File(path.to_owned());
        let picture = place.picture()?;
        Ok(Self::seen(place, &picture))
    }

    /// The same of a picture in a table, whose bytes have just been read.
    pub(super) fn embedded(embedded: &Embedded) -> Result<Self, String> {
        let picture = decode_cell(&embedded.cell, embedded.bytes())?;
        Ok(Self::seen(PicturePlace::Cell(embedded.cell.clone()), &picture))
    }

    fn seen(place: PicturePlace, picture: &Picture) -> Self {
        let mut hash = Sha256::new();
        update(&mut hash, picture);
        let (width, height) = (picture.width(), picture.height());
        Self { place, width, height, sha256: hash.finalize().into() }
    }

    /// Where it lies.
    pub fn place(&self) -> &PicturePlace {
        &self.place
    }
}

impl ItemPicture {
    /// Its pixels.
    ///
    /// # Errors
    /// If a file is no longer what it was when it was first read.
    pub fn pixels(&self) -> Result<Picture, TrainError> {
        match self {
            Self::Held(picture) => Ok(picture.clone()),
            Self::Grey { width, height } => {
                let bytes = 3 * *width as usize * *height as usize;
                Ok(Picture::from_rgb(*width, *height, vec![GREY; bytes])?)
            }
            Self::File(file) => {
                let changed = |because| {
                    let path = file.place.path().to_owned();
                    TrainError::Unusable { path, because }
                };
                let picture = file.place.picture().map_err(changed)?;
                let mut hash = Sha256::new();
                update(&mut hash, &picture);
                match <[u8; 32]>::from(hash.finalize()) == file.sha256 {
                    true => Ok(picture),
                    false => Err(changed("it has changed since it was first read".to_owned())),
                }
            }
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Held(picture) => (picture.width(), picture.height()),
            Self::File(ItemFile { width, height, .. }) | Self::Grey { width, height } => {
                (*width, *height)
            }
        }
    }

    /// As many pixels that show nothing.
    #[must_use]
    pub fn blank(&self) -> Self {
        let (width, height) = self.size();
        Self::Grey { width, height }
    }

    /// Adds what tells it from others to a digest.
    pub(crate) fn identify(&self, hash: &mut Sha256) {
        match self {
            Self::Held(picture) => update(hash, picture),
            Self::File(file) => hash.update(file.sha256),
            Self::Grey { width, height } => {
                hash.update(width.to_le_bytes());
                hash.update(height.to_le_bytes());
            }
        }
    }
}

fn update(hash: &mut Sha256, picture: &Picture) {
    hash.update(picture.width().to_le_bytes());
    hash.update(picture.height().to_le_bytes());
    hash.update(picture.rgb());
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_tasks::encode_png;

    #[test]
    fn a_file_that_has_changed_since_it_was_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        let write = |grey: u8| {
            let png = encode_png(&[grey; 12], 2, 2).expect("a picture");
            std::fs::write(&path, png).expect("a file");
        };
        write(7);
        let file = ItemPicture::File(ItemFile::read(&path).expect("read"));
        assert_eq!((file.size(), file.pixels().expect("read").rgb()), ((2, 2), &[7; 12][..]));
        assert_eq!(file.blank().pixels().expect("made").rgb(), [GREY; 12]);
        write(8);
        let error = file.pixels().expect_err("another picture").to_string();
        assert!(error.contains("a.png cannot be used: it has changed"), "{error}");
    }
}
