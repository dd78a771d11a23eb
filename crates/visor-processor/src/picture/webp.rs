//! A walk over a WebP file's chunks: frames that contradict the canvas, and the EXIF note.
//!
//! The decoder trusts the size inside a lossy frame until it has allocated it, and a frame larger
//! than its place can make it read out of bounds; so the sizes are compared here first.

/// What the chunks of a WebP file say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WebpFacts<'a> {
    /// The EXIF note, if it lies within the file.
    pub(super) exif: Option<&'a [u8]>,
    /// Bytes a pixel that the decoder holds beside the picture.
    pub(super) bytes_per_pixel: u64,
    /// Whether each lossy frame has the size of the place that it fills.
    pub(super) consistent: bool,
    /// Whether the file holds as many bytes as it says.
    pub(super) complete: bool,
}

/// A lossless picture's four channels; a lossy one's planes take less.
const PLAIN: u64 = 4;
/// Planes of a byte and a half, and an alpha picture of four channels and then of one.
const SEPARATE_ALPHA: u64 = 7;
/// A frame and the canvas that it is drawn on.
const ANIMATED: u64 = 8;

type Size = (u32, u32);

/// Walks the chunks of a RIFF file.
pub(super) fn inspect(bytes: &[u8]) -> WebpFacts<'_> {
    let declared = bytes.get(4..).and_then(u32_at).unwrap_or(u32::MAX);
    let mut facts = WebpFacts {
        consistent: true,
        complete: bytes.len() as u64 >= u64::from(declared) + 8,
        bytes_per_pixel: PLAIN,
        ..WebpFacts::default()
    };
    let mut canvas = None;
    for (name, content) in Chunks(bytes.get(12..).unwrap_or_default()) {
        match name {
            b"VP8X" => canvas = content.get(4..).and_then(extended_size),
            b"EXIF" if facts.exif.is_none() => facts.exif = Some(content),
            b"VP8 " => facts.consistent &= canvas.is_none_or(|size| lossy_fits(content, size)),
            b"ALPH" => facts.bytes_per_pixel = facts.bytes_per_pixel.max(SEPARATE_ALPHA),
            b"ANMF" => {
                facts.bytes_per_pixel = ANIMATED;
                facts.consistent &= frame_fits(content);
            }
            _ => {}
        }
    }
    facts
}

/// An animation's frame: 6 bytes of place, 6 of size, 4 of timing, then chunks.
fn frame_fits(content: &[u8]) -> bool {
    let Some(size) = content.get(6..).and_then(extended_size) else { return false };
    // The decoder takes the chunk behind an alpha chunk for a lossy frame, whatever its name.
    let mut chunks = Chunks(content.get(16..).unwrap_or_default());
    match chunks.next() {
        Some((b"VP8 ", frame)) => lossy_fits(frame, size),
        Some((b"ALPH", _)) => chunks.next().is_some_and(|(_, frame)| lossy_fits(frame, size)),
        _ => true,
    }
}

/// Whether a lossy frame (3 bytes of tag, 3 of signature, 14-bit sides) has this size.
fn lossy_fits(frame: &[u8], size: Size) -> bool {
    let Some(&[w0, w1, h0, h1]) = frame.get(6..).and_then(|rest| rest.first_chunk()) else {
        return false;
    };
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    (side(w0, w1), side(h0, h1)) == size
}

/// Two 24-bit sides, each one less than it counts.
fn extended_size(bytes: &[u8]) -> Option<Size> {
    let &[w0, w1, w2, h0, h1, h2] = bytes.first_chunk()?;
    Some((u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1))
}

fn u32_at(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_le_bytes)
}

/// Name and content of each chunk that lies wholly within the bytes.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32_at(rest)?).ok()?;
        let rest = rest.get(4..)?;
        let content = rest.get(..length)?;
        // Chunks of odd length are padded; the last one's padding may be missing.
        self.0 = rest.get(length + length % 2..).unwrap_or_default();
        Some((name, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut bytes = name.to_vec();
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(content);
        bytes.extend(vec![0; content.len() % 2]);
        bytes
    }

    fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
        let body = chunks.concat();
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((body.len() as u32 + 4).to_le_bytes());
        bytes.extend(b"WEBP");
        bytes.extend(body);
        bytes
    }

    fn lossy(width: u16, height: u16) -> Vec<u8> {
        let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a];
        frame.extend(width.to_le_bytes());
        frame.extend(height.to_le_bytes());
        frame
    }

    fn canvas(width: u8, height: u8) -> Vec<u8> {
        chunk(b"VP8X", &[0, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0])
    }

    fn animation_frame(width: u8, height: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut content = vec![0; 6];
        content.extend([width - 1, 0, 0, height - 1, 0, 0, 0, 0, 0, 0]);
        content.extend(chunks.concat());
        chunk(b"ANMF", &content)
    }

    #[test]
    fn a_lossy_frame_must_fill_its_canvas() {
        let fits = riff(&[canvas(10, 20), chunk(b"VP8 ", &lossy(10, 20))]);
        assert!(inspect(&fits).consistent);
        let bomb = riff(&[canvas(10, 20), chunk(b"VP8 ", &lossy(16383, 16383))]);
        assert!(!inspect(&bomb).consistent);
    }

    #[test]
    fn a_frame_behind_an_alpha_chunk_must_fill_its_place() {
        let with_alpha = |side| {
            let alpha = chunk(b"ALPH", &[0, 0, 0]);
            let frame = animation_frame(4, 4, &[alpha, chunk(b"VP8 ", &lossy(side, 4))]);
            riff(&[canvas(10, 20), frame])
        };
        assert!(inspect(&with_alpha(4)).consistent);
        assert!(!inspect(&with_alpha(5)).consistent);
        assert_eq!(inspect(&with_alpha(4)).bytes_per_pixel, ANIMATED);
    }

    #[test]
    fn an_exif_note_that_leaves_the_file_is_not_read() {
        let whole = riff(&[canvas(1, 1), chunk(b"EXIF", b"abc")]);
        assert_eq!(inspect(&whole).exif, Some(&b"abc"[..]));
        let cut = inspect(&whole[..whole.len() - 2]);
        assert_eq!((cut.exif, cut.complete), (None, false));
    }
}
