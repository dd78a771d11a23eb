//! From a file's bytes to RGB: size first, then memory, then pixels, then rotation. Who only asks
//! for the size takes the first of these steps and no other.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage};

use super::{Picture, PictureError, PictureFormat, PictureLimits, color, jpeg, webp};
use crate::shield::shielded;
use crate::tiles::PixelSize;

/// Text, profiles and EXIF notes inside a PNG file, decompressed.
const MAX_METADATA_BYTES: u64 = 64 << 20;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Picture, PictureError> {
    let format = PictureFormat::sniff(bytes)?;
    // Should a codec panic, a picture is lost and not the process.
    shielded(|| open(format, bytes, limits)?.pixels(limits))
        .unwrap_or_else(|| Err(malformed(format, "the decoder gave up")))
}

pub(super) fn measure(bytes: &[u8], limits: &PictureLimits) -> Result<PixelSize, PictureError> {
    let format = PictureFormat::sniff(bytes)?;
    shielded(|| Ok(open(format, bytes, limits)?.size()))
        .unwrap_or_else(|| Err(malformed(format, "the decoder gave up")))
}

/// A file whose size is within the limits, and of which no pixel is decoded.
struct Opened<'a, D> {
    format: PictureFormat,
    notes: Notes<'a>,
    decoder: D,
    orientation: Orientation,
}

fn open<'a>(
    format: PictureFormat,
    bytes: &'a [u8],
    limits: &PictureLimits,
) -> Result<Opened<'a, impl ImageDecoder + use<'a>>, PictureError> {
    if format == PictureFormat::Png
        && let Some(&[w0, w1, w2, w3, h0, h1, h2, h3]) =
            bytes.get(16..).and_then(|rest| rest.first_chunk())
    {
        // Beyond the address space the decoder refuses without naming the size.
        let (w, h) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
        check_size(w, h, limits)?;
    }
    let notes = Notes::read(format, bytes)?;

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.codec());
    let metadata_bytes = MAX_METADATA_BYTES.min(limits.max_alloc_bytes);
    reader.limits(memory(metadata_bytes));
    let mut decoder =
        reader.into_decoder().map_err(|error| refused(format, error, metadata_bytes))?;

    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let orientation = match notes.exif {
        Some(exif) => Orientation::from_exif_chunk(exif),
        None if format == PictureFormat::WebP => None,
        None => decoder.orientation().ok(),
    }
    // A damaged note does not make the pixels unreadable.
    .unwrap_or(Orientation::NoTransforms);
    Ok(Opened { format, notes, decoder, orientation })
}

impl<D: ImageDecoder> Opened<'_, D> {
    /// The size of the picture once it is turned.
    fn size(&self) -> PixelSize {
        match (self.decoder.dimensions(), turns(self.orientation)) {
            ((width, height), false) => PixelSize { width, height },
            ((height, width), true) => PixelSize { width, height },
        }
    }

    fn pixels(self, limits: &PictureLimits) -> Result<Picture, PictureError> {
        let Self { format, notes, mut decoder, orientation } = self;
        let (width, height) = decoder.dimensions();
        let layout = decoder.color_type();
        let pixels = u64::from(width) * u64::from(height);
        let decoded = decoder.total_bytes();
        let needed = (decoded.saturating_add(notes.codec_bytes(format, pixels)))
            .max(decoded.saturating_add(color::extra_bytes(layout, pixels)))
            .max(if turns(orientation) { pixels.saturating_mul(6) } else { 0 });
        let max_bytes = limits.max_alloc_bytes;
        if needed > max_bytes {
            return Err(PictureError::TooMuchMemory { format, max_bytes });
        }
        let fail = |error| refused(format, error, max_bytes);
        decoder.set_limits(memory(max_bytes.saturating_sub(decoded))).map_err(fail)?;
        let mut data = zeroed(decoded).ok_or(PictureError::TooMuchMemory { format, max_bytes })?;
        decoder.read_image(&mut data).map_err(fail)?;

        let rgb = color::to_rgb(layout, data)
            .ok_or_else(|| malformed(format, format!("pixels are laid out as {layout:?}")))?;
        oriented(width, height, rgb, orientation)
    }
}

/// What a format's own walk found: the facts that the decoder does not give or does not check.
#[derive(Default)]
struct Notes<'a> {
    exif: Option<&'a [u8]>,
    coefficient_bytes: u64,
    webp_bytes_per_pixel: u64,
}

impl<'a> Notes<'a> {
    fn read(format: PictureFormat, bytes: &'a [u8]) -> Result<Self, PictureError> {
        match format {
            PictureFormat::Jpeg => {
                let facts = jpeg::inspect(bytes);
                if !facts.complete {
                    return Err(PictureError::Truncated { format });
                }
                Ok(Self { coefficient_bytes: facts.coefficient_bytes, ..Self::default() })
            }
            PictureFormat::WebP => {
                let facts = webp::inspect(bytes);
                if !facts.complete {
                    return Err(PictureError::Truncated { format });
                }
                if !facts.consistent {
                    return Err(malformed(format, "a frame does not have the size of its place"));
                }
                let webp_bytes_per_pixel = facts.bytes_per_pixel;
                Ok(Self { exif: facts.exif, webp_bytes_per_pixel, ..Self::default() })
            }
            PictureFormat::Png | PictureFormat::Bmp | PictureFormat::Gif => Ok(Self::default()),
        }
    }

    /// Bytes that the decoder holds beside the buffer that it fills.
    fn codec_bytes(&self, format: PictureFormat, pixels: u64) -> u64 {
        let per_pixel = match format {
            // Rows only.
            PictureFormat::Png | PictureFormat::Bmp => 0,
            PictureFormat::Jpeg => return self.coefficient_bytes,
            // Palette indices.
            PictureFormat::Gif => 1,
            PictureFormat::WebP => self.webp_bytes_per_pixel,
        };
        pixels.saturating_mul(per_pixel)
    }
}

fn check_size(width: u32, height: u32, limits: &PictureLimits) -> Result<(), PictureError> {
    let &PictureLimits { max_side, max_pixels, min_side, max_aspect, .. } = limits;
    if width == 0 || height == 0 {
        return Err(PictureError::NoPixels { width, height });
    }
    if width > max_side || height > max_side {
        return Err(PictureError::TooLarge { width, height, max_side });
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(PictureError::TooManyPixels { width, height, max_pixels });
    }
    if width.min(height) < min_side {
        return Err(PictureError::TooSmall { width, height, min_side });
    }
    if u64::from(width.max(height)) > u64::from(max_aspect) * u64::from(width.min(height)) {
        return Err(PictureError::TooNarrow { width, height, max_aspect });
    }
    Ok(())
}

/// A codec's limits: sizes are compared by [`check_size`], whose errors name them.
fn memory(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// Zeroed bytes; `None` where the machine has less memory than the limits allow.
fn zeroed(bytes: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(bytes).ok()?;
    let mut data = Vec::new();
    data.try_reserve_exact(length).ok()?;
    data.resize(length, 0);
    Some(data)
}

/// Whether width and height change places, which takes a second buffer.
fn turns(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn oriented(
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    orientation: Orientation,
) -> Result<Picture, PictureError> {
    if orientation == Orientation::NoTransforms {
        return Picture::from_rgb(width, height, rgb);
    }
    let found = rgb.len();
    let expected =
        u128::from(width) * u128::from(height) * ColorType::Rgb8.bytes_per_pixel() as u128;
    let image = RgbImage::from_raw(width, height, rgb).ok_or(PictureError::WrongLength {
        width,
        height,
        expected,
        found,
    })?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    Picture::from_rgb(image.width(), image.height(), image.into_bytes())
}

fn malformed(
    format: PictureFormat,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PictureError {
    PictureError::Malformed { format, source: source.into() }
}

fn refused(format: PictureFormat, error: ImageError, max_bytes: u64) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::TooMuchMemory { format, max_bytes },
        ImageError::Unsupported(_) => PictureError::Unsupported { format, source: error.into() },
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format }
        }
        _ => malformed(format, error),
    }
}
