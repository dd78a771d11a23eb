//! From 8-bit levels to the numbers that a vision encoder was trained on.

/// Rescaling and standardisation of each channel, as a checkpoint's preprocessor file has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Subtracted after rescaling: red, green, blue.
    pub mean: [f32; 3],
    /// Divides what is left: red, green, blue. Neither 0 nor non-finite.
    pub std: [f32; 3],
    /// Factor that turns a level of 0..=255 into a fraction, mostly 1/255.
    pub rescale: f64,
}

impl Default for Normalization {
    /// From 0..=255 to -1..=1, as SigLIP towers have it.
    fn default() -> Self {
        Self { mean: [0.5; 3], std: [0.5; 3], rescale: 1.0 / 255.0 }
    }
}

impl Normalization {
    /// The value of every level, per channel: rescaled in f64, rounded, standardised in f32.
    pub(crate) fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| {
            std::array::from_fn(|level| {
                let fraction = (level as f64 * self.rescale) as f32;
                (fraction - self.mean[channel]) / self.std[channel]
            })
        })
    }

    /// Whether every level becomes a finite number.
    pub(crate) fn is_usable(&self) -> bool {
        self.table().as_flattened().iter().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_maps_black_and_white_to_minus_one_and_one() {
        let [red, ..] = Normalization::default().table();
        assert_eq!((red[0], red[255]), (-1.0, 1.0));
    }

    #[test]
    fn rescaling_is_rounded_once_before_standardisation() {
        let [red, ..] = Normalization::default().table();
        let fraction = (77.0_f64 * (1.0 / 255.0)) as f32;
        assert_eq!(red[77].to_bits(), ((fraction - 0.5) / 0.5).to_bits());
    }

    #[test]
    fn a_zero_deviation_is_not_usable() {
        let broken = Normalization { std: [0.5, 0.0, 0.5], ..Normalization::default() };
        assert!(!broken.is_usable());
    }
}
