//! Resampling that equals Pillow 11's to the bit, so that a model sees what it was trained on.
//!
//! Two passes, rows first, with 8-bit levels between them: overshoot is clipped after the first
//! pass, so that the order of passes is part of the result. A pass that changes nothing is left
//! out, so that resizing to the same size is a copy.

use crate::picture::Picture;

/// The curve that weighs the source pixels around an output pixel's centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// A triangle over 2 pixels.
    Bilinear,
    /// Keys' cubic with a = -0.5, over 4 pixels.
    Bicubic,
    /// A sinc windowed by a wider sinc, over 6 pixels.
    Lanczos,
}

impl Filter {
    /// Half of the curve's width in source pixels, before stretching.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => cubic(x.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// Factored as Pillow has it: another order of operations rounds differently.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// Scales a picture to `width` x `height` pixels, up or down, each axis by itself.
///
/// A side of 0 is taken as 1: a picture has at least one pixel.
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Filter) -> Picture {
    let (width, height) = (width.max(1), height.max(1));
    let widened = (width != picture.width()).then(|| {
        let taps = Taps::new(picture.width(), width, filter);
        Picture::from_parts(width, picture.height(), scale_rows(picture, &taps))
    });
    let source = widened.as_ref().unwrap_or(picture);
    let scaled = (height != source.height()).then(|| {
        let taps = Taps::new(source.height(), height, filter);
        Picture::from_parts(width, height, scale_columns(source, &taps))
    });
    scaled.or(widened).unwrap_or_else(|| picture.clone())
}

/// A picture in the middle of a square of one colour, scaled to `side` x `side` pixels: to the bit
/// what [`resize`] makes of [`Picture::centred`]. The square is never held: that of a strip of
/// 1 x 65535 pixels has 65535 times its bytes. Sums over the ground are taken once, so that the time is
/// that of the picture too.
pub(crate) fn resize_squared(
    picture: &Picture,
    ground: [u8; 3],
    side: u32,
    filter: Filter,
) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let full = width.max(height);
    if full <= side {
        return resize(&picture.centred(full, full, ground), side, side, filter);
    }
    let taps = Taps::new(full, side, filter);
    let (left, top) = ((full - width) as usize / 2, (full - height) as usize / 2);
    let below = (full - height) as usize - top;
    let ground = ground.map(i64::from);
    // What a row of ground alone sums to, before it is cut to a level.
    let sums = taps.iter().map(|(_, weights)| weights.iter().copied().map(i64::from).sum::<i64>());
    let bare: Vec<[i64; 3]> = sums.map(|sum| ground.map(|g| i64::from(HALF) + g * sum)).collect();
    let empty: Vec<u8> = bare.iter().flatten().map(|&sum| level(sum as i32)).collect();
    let mut narrowed = empty.repeat(top);
    for row in picture.rgb().chunks_exact(width as usize * 3) {
        let (pixels, _) = row.as_chunks::<3>();
        for ((start, weights), bare) in taps.iter().zip(&bare) {
            let mut sums = *bare;
            // The picture's columns are those from `left` on.
            let weights = weights.get(left.saturating_sub(start)..).unwrap_or_default();
            let pixels = pixels.get(start.saturating_sub(left)..).unwrap_or_default();
            for (pixel, &weight) in pixels.iter().zip(weights) {
                for ((sum, &channel), ground) in sums.iter_mut().zip(pixel).zip(ground) {
                    *sum += (i64::from(channel) - ground) * i64::from(weight);
                }
            }
            narrowed.extend(sums.map(|sum| level(sum as i32)));
        }
    }
    narrowed.extend(empty.repeat(below));
    let narrowed = Picture::from_parts(side, full, narrowed);
    Picture::from_parts(side, side, scale_columns(&narrowed, &taps))
}

/// Fractional bits of a weight: what is left of 32 for 8 bits of level, a sign and one of overshoot.
const WEIGHT_BITS: u32 = 22;
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// For every output pixel of an axis, where its source pixels begin and how much each one weighs.
struct Taps {
    starts: Vec<usize>,
    /// `starts.len()` rows of `stride` weights; only the first `lengths[i]` of a row count.
    weights: Vec<i32>,
    lengths: Vec<usize>,
    stride: usize,
}

impl Taps {
    fn new(source: u32, target: u32, filter: Filter) -> Self {
        let scale = f64::from(source) / f64::from(target);
        // Shrinking stretches the curve over all source pixels; enlarging interpolates with it as is.
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let stride = support.ceil() as usize * 2 + 1;
        let shrink = 1.0 / stretch;

        let outputs = target as usize;
        let mut taps = Self {
            starts: Vec::with_capacity(outputs),
            weights: vec![0; outputs * stride],
            lengths: Vec::with_capacity(outputs),
            stride,
        };
        let mut exact = Vec::with_capacity(stride);
        for (output, weights) in taps.weights.chunks_exact_mut(stride).enumerate() {
            let center = (output as f64 + 0.5) * scale;
            // Casts of negative numbers stop at 0, which is the picture's edge.
            let start = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(source as usize);
            exact.clear();
            exact.extend((start..end).map(|i| filter.weight((i as f64 - center + 0.5) * shrink)));
            let sum: f64 = exact.iter().sum();
            for (weight, &value) in weights.iter_mut().zip(&exact) {
                *weight = fixed_point(if sum == 0.0 { value } else { value / sum });
            }
            taps.starts.push(start);
            taps.lengths.push(exact.len());
        }
        taps
    }

    /// Start and weights of every output pixel, in order.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.starts
            .iter()
            .zip(&self.lengths)
            .zip(self.weights.chunks_exact(self.stride))
            .map(|((&start, &length), weights)| (start, &weights[..length]))
    }
}

/// Rounds half away from zero, by adding a half and cutting: `f64::round` differs just below it.
fn fixed_point(weight: f64) -> i32 {
    (weight * f64::from(1 << WEIGHT_BITS) + 0.5_f64.copysign(weight)) as i32
}

fn level(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

fn scale_rows(picture: &Picture, taps: &Taps) -> Vec<u8> {
    let mut out = Vec::with_capacity(taps.starts.len() * picture.height() as usize * 3);
    for row in picture.rgb().chunks_exact(picture.width() as usize * 3) {
        let (pixels, _) = row.as_chunks::<3>();
        for (start, weights) in taps.iter() {
            let mut sums = [HALF; 3];
            for (pixel, weight) in pixels[start..].iter().zip(weights) {
                for (sum, &channel) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(channel) * weight;
                }
            }
            out.extend(sums.map(level));
        }
    }
    out
}

fn scale_columns(picture: &Picture, taps: &Taps) -> Vec<u8> {
    let row_bytes = picture.width() as usize * 3;
    let mut out = Vec::with_capacity(taps.starts.len() * row_bytes);
    let mut sums = vec![HALF; row_bytes];
    for (start, weights) in taps.iter() {
        sums.fill(HALF);
        let rows = picture.rgb()[start * row_bytes..].chunks_exact(row_bytes);
        for (row, weight) in rows.zip(weights) {
            for (sum, &channel) in sums.iter_mut().zip(row) {
                *sum += i32::from(channel) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| level(sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_on_a_square_that_is_never_held_is_scaled_as_one_that_is() {
        let sizes = [(1, 1), (1, 301), (301, 1), (40, 17), (17, 40), (16, 16), (33, 32), (5, 16)];
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            for ((width, height), side) in sizes.into_iter().flat_map(|s| [7, 16].map(|t| (s, t))) {
                let level = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
                let rgb = (0..3 * width * height).map(level).collect();
                let picture = Picture::from_parts(width, height, rgb);
                let (full, ground) = (width.max(height), [127, 12, 240]);
                let held = resize(&picture.centred(full, full, ground), side, side, filter);
                let found = resize_squared(&picture, ground, side, filter);
                assert_eq!(found, held, "{filter:?} {width}x{height} to {side}");
            }
        }
    }

    #[test]
    fn no_weights_can_overflow_an_i32() {
        let sizes = || (1..=24).chain([31, 64, 97, 128, 257, 8192]);
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            for (source, target) in sizes().flat_map(|s| sizes().map(move |t| (s, t))) {
                for (_, weights) in Taps::new(source, target, filter).iter() {
                    let gain: i64 = weights.iter().map(|&w| i64::from(w.abs())).sum();
                    let worst = gain * 255 + i64::from(HALF);
                    assert!(worst <= i64::from(i32::MAX), "{filter:?} {source} to {target}");
                }
            }
        }
    }
}
