//! Every pixel layout that a decoder gives, as 8-bit RGB on white.

use image::ColorType;

/// Bytes that hold the RGB picture beside the decoder's buffer while one is turned into the other.
///
/// Layouts of three bytes and more shrink where they are.
pub(super) fn extra_bytes(color: ColorType, pixels: u64) -> u64 {
    if color.bytes_per_pixel() < 3 { pixels.saturating_mul(3) } else { 0 }
}

/// Converts a decoder's buffer. `None` for layouts that none of the formats that are read has.
///
/// 16-bit channels keep their top byte, as Pillow has it for colour; gray, which Pillow clips
/// instead, is treated alike.
pub(super) fn to_rgb(color: ColorType, data: Vec<u8>) -> Option<Vec<u8>> {
    Some(match color {
        ColorType::L8 => widen(&data, |&[gray]| [gray; 3]),
        ColorType::La8 => widen(&data, |&[gray, a]| [over_white(gray, a); 3]),
        ColorType::L16 => widen(&data, |&[a, b]| [top_byte([a, b]); 3]),
        ColorType::Rgb8 => data,
        ColorType::Rgba8 => {
            shrink(data, |&[r, g, b, a]| [over_white(r, a), over_white(g, a), over_white(b, a)])
        }
        ColorType::La16 => shrink(data, |&[g0, g1, a0, a1]| {
            [over_white(top_byte([g0, g1]), top_byte([a0, a1])); 3]
        }),
        ColorType::Rgb16 => shrink(data, |&[r0, r1, g0, g1, b0, b1]| {
            [top_byte([r0, r1]), top_byte([g0, g1]), top_byte([b0, b1])]
        }),
        ColorType::Rgba16 => shrink(data, |&[r0, r1, g0, g1, b0, b1, a0, a1]| {
            let alpha = top_byte([a0, a1]);
            [[r0, r1], [g0, g1], [b0, b1]].map(|channel| over_white(top_byte(channel), alpha))
        }),
        // Decoders of 8 and 16-bit formats give no floats.
        _ => return None,
    })
}

/// `color` with opacity `alpha / 255` on white, rounded to the nearest level, in integers.
fn over_white(color: u8, alpha: u8) -> u8 {
    let (color, alpha) = (u32::from(color), u32::from(alpha));
    let sum = color * alpha + 255 * (255 - alpha) + 128;
    // (s + s/256) / 256 is s / 255 for every sum that can occur; the result is at most 255.
    (((sum >> 8) + sum) >> 8) as u8
}

fn top_byte(native: [u8; 2]) -> u8 {
    u16::from_ne_bytes(native).to_be_bytes()[0]
}

/// Fewer than three bytes a pixel: into a new buffer.
fn widen<const N: usize>(data: &[u8], convert: impl Fn(&[u8; N]) -> [u8; 3]) -> Vec<u8> {
    data.as_chunks::<N>().0.iter().flat_map(convert).collect()
}

/// More than three bytes a pixel: a pixel is written at or before the place where it was read.
fn shrink<const N: usize>(mut data: Vec<u8>, convert: impl Fn(&[u8; N]) -> [u8; 3]) -> Vec<u8> {
    let pixels = data.len() / N;
    for i in 0..pixels {
        let Some(pixel) = data.get(i * N..).and_then(|rest| rest.first_chunk::<N>()) else { break };
        let rgb = convert(pixel);
        if let Some(out) = data.get_mut(i * 3..i * 3 + 3) {
            out.copy_from_slice(&rgb);
        }
    }
    data.truncate(pixels * 3);
    data.shrink_to_fit();
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compositing_on_white_rounds_exactly_for_every_colour_and_opacity() {
        for color in 0..=255_u8 {
            for alpha in 0..=255_u8 {
                let (c, a) = (u32::from(color), u32::from(alpha));
                // Nearest integer of the exact quotient; 255 is odd, so there are no ties.
                let exact = (2 * (c * a + 255 * (255 - a)) + 255) / 510;
                assert_eq!(u32::from(over_white(color, alpha)), exact, "{color} at {alpha}");
            }
        }
    }

    #[test]
    fn every_layout_of_one_pixel_gives_the_same_gray() {
        let wide = |levels: &[u8]| -> Vec<u8> {
            levels.iter().flat_map(|&v| u16::from_be_bytes([v, 0x7f]).to_ne_bytes()).collect()
        };
        let layouts = [
            (ColorType::L8, vec![200]),
            (ColorType::La8, vec![200, 255]),
            (ColorType::Rgb8, vec![200; 3]),
            (ColorType::Rgba8, vec![200, 200, 200, 255]),
            (ColorType::L16, wide(&[200])),
            (ColorType::La16, wide(&[200, 255])),
            (ColorType::Rgb16, wide(&[200; 3])),
            (ColorType::Rgba16, wide(&[200, 200, 200, 255])),
        ];
        for (color, data) in layouts {
            assert_eq!(to_rgb(color, data), Some(vec![200; 3]), "{color:?}");
        }
    }

    #[test]
    fn shrinking_keeps_the_order_of_pixels() {
        let rgba = (0..40_u8).flat_map(|i| [i, i + 100, i + 200, 255]).collect();
        let expected: Vec<u8> = (0..40_u8).flat_map(|i| [i, i + 100, i + 200]).collect();
        assert_eq!(to_rgb(ColorType::Rgba8, rgba), Some(expected));
    }
}
