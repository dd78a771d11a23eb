//! A walk over a JPEG file's segments: whether it is whole, and what decoding it will hold.
//!
//! The decoder fills what a cut file lacks with gray and reports success, so that the end marker is
//! looked for here. Entropy-coded data stuffs every 0xff, which makes the walk exact.

/// What the segments of a JPEG file say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JpegFacts {
    /// Whether the end-of-image marker was reached.
    pub(super) complete: bool,
    /// Bytes of coefficients that wait for later scans; 0 where one scan holds all components.
    pub(super) coefficient_bytes: u64,
}

const TEMPORARY: u8 = 0x01;
const RESTART_FIRST: u8 = 0xd0;
const RESTART_LAST: u8 = 0xd7;
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Walks the segments until the end marker or the end of `bytes`.
pub(super) fn inspect(bytes: &[u8]) -> JpegFacts {
    let mut facts = JpegFacts::default();
    let mut frame = None;
    let mut at = 0;
    while let Some(marker_end) = next_marker(bytes, at) {
        let marker = bytes[marker_end - 1];
        at = marker_end;
        match marker {
            END_OF_IMAGE => {
                facts.complete = true;
                break;
            }
            START_OF_IMAGE | TEMPORARY | RESTART_FIRST..=RESTART_LAST => continue,
            _ => {}
        }
        let Some(segment) = segment(bytes, at) else { break };
        at += segment.len() + 2;
        match marker {
            // Start of frame; 0xc4, 0xc8 and 0xcc are tables in the same range.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                frame = Frame::parse(marker, segment);
            }
            START_OF_SCAN => {
                let in_scan = segment.first().copied().unwrap_or(0);
                if let Some(frame) = &frame
                    && (frame.progressive || usize::from(in_scan) < frame.components)
                {
                    facts.coefficient_bytes = frame.coefficient_bytes;
                }
            }
            _ => {}
        }
    }
    facts
}

/// The index behind the next marker's code, from `at` on: 0xff, fill bytes, then neither 0 nor 0xff.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xff)?;
        while *bytes.get(at)? == 0xff {
            at += 1;
        }
        at += 1;
        if bytes[at - 1] != 0 {
            return Some(at);
        }
    }
}

/// The content of the segment whose length field stands at `at`.
fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = bytes.get(at..)?.first_chunk::<2>().copied().map(u16::from_be_bytes)?;
    bytes.get(at + 2..at + usize::from(length.max(2)))
}

struct Frame {
    progressive: bool,
    components: usize,
    coefficient_bytes: u64,
}

impl Frame {
    fn parse(marker: u8, segment: &[u8]) -> Option<Self> {
        let &[_precision, h0, h1, w0, w1, components, ref samplings @ ..] = segment else {
            return None;
        };
        let factors = samplings
            .chunks_exact(3)
            .take(usize::from(components))
            .map(|c| (u64::from(c[1] >> 4), u64::from(c[1] & 15)));
        let (mut widest, mut highest, mut blocks) = (1, 1, 0);
        for (across, down) in factors {
            widest = widest.max(across);
            highest = highest.max(down);
            blocks += across * down;
        }
        let units = u64::from(u16::from_be_bytes([w0, w1])).div_ceil(8 * widest)
            * u64::from(u16::from_be_bytes([h0, h1])).div_ceil(8 * highest);
        Some(Self {
            progressive: matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce),
            components: usize::from(components),
            // 64 coefficients of two bytes each in a block.
            coefficient_bytes: units * blocks * 128,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frame_marker: u8, scan_components: u8) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8];
        // 16x16, three components, the first one sampled 2x2.
        bytes.extend([0xff, frame_marker, 0, 17, 8, 0, 16, 0, 16, 3]);
        bytes.extend([1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]);
        bytes.extend([0xff, 0xda, 0, 3, scan_components]);
        bytes.extend([0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56]);
        bytes.extend([0xff, 0xff, 0xd9]);
        bytes
    }

    #[test]
    fn a_file_is_complete_only_with_its_end_marker() {
        let whole = file(0xc0, 3);
        assert_eq!(inspect(&whole), JpegFacts { complete: true, coefficient_bytes: 0 });
        for length in 0..whole.len() {
            assert!(!inspect(&whole[..length]).complete, "cut at {length}");
        }
    }

    #[test]
    fn several_scans_hold_all_coefficients() {
        // One unit of 4 + 1 + 1 blocks.
        assert_eq!(inspect(&file(0xc2, 3)).coefficient_bytes, 6 * 128);
        assert_eq!(inspect(&file(0xc0, 1)).coefficient_bytes, 6 * 128);
    }

    #[test]
    fn a_segment_of_impossible_length_ends_the_walk() {
        assert!(!inspect(&[0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 1]).complete);
        assert!(inspect(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xd9]).complete);
    }
}
