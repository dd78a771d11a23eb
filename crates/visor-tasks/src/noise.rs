//! The ground level of a picture and the noise over it, in integers only.

use crate::rng::Rng;

/// The darkest ground is black, the lightest 15 % of white.
const LIGHTEST_GROUND: usize = 38;

/// A sum of four uniform bytes has a deviation of 147.8; times 53 / 1024 that is 7.65, 3 % of white.
const NOISE_SCALE: i32 = 53;
const SUM_MEAN: i32 = 510;

/// Draws the grey level of a picture's ground.
pub(crate) fn ground(rng: &mut Rng) -> u8 {
    rng.between(0, LIGHTEST_GROUND) as u8
}

/// Adds bell-shaped noise of 3 % of white to every channel.
pub(crate) fn add(rgb: &mut [u8], rng: &mut Rng) {
    let key = rng.word();
    for (index, value) in rgb.iter_mut().enumerate() {
        let noisy = i32::from(*value) + deviation(key, index as u32);
        *value = noisy.clamp(0, 255) as u8;
    }
}

/// The noise of one channel: a function of its index, so that the loop over a picture can be
/// vectorised. The mixing is the finaliser of MurmurHash3.
fn deviation(key: u32, index: u32) -> i32 {
    let mut word = key.wrapping_add(index.wrapping_mul(0x9E37_79B9));
    word = (word ^ (word >> 16)).wrapping_mul(0x85EB_CA6B);
    word = (word ^ (word >> 13)).wrapping_mul(0xC2B2_AE35);
    word ^= word >> 16;
    let pairs = (word & 0x00FF_00FF) + (word >> 8 & 0x00FF_00FF);
    let sum = (pairs & 0xFFFF) + (pairs >> 16);
    ((sum as i32 - SUM_MEAN) * NOISE_SCALE + 512) >> 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_no_bias_and_the_deviation_it_names() {
        let draws: Vec<i64> = (0..100_000).map(|i| i64::from(deviation(5, i))).collect();
        let mean = draws.iter().sum::<i64>() as f64 / draws.len() as f64;
        let square = draws.iter().map(|d| d * d).sum::<i64>() as f64 / draws.len() as f64;
        assert!(mean.abs() < 0.1, "{mean}");
        assert!((square.sqrt() - 7.65).abs() < 0.1, "{square}");
    }
}
